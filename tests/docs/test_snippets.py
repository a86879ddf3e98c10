"""Python and console blocks of README.md and docs/ do what they say; other commands in them can at least be composed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from limpid.cli import COMMANDS, COMPOSED, quoted
from limpid.config import compose as limpid_compose
from limpid.predicting.asked import asked
from tests.conftest import ROOT
from tests.docs import shell
from tests.docs.blocks import blocks

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "experiments").glob("*/README.md")])
OTHERS = [page for page in PAGES if page.parent.name != "extend"]  # test_walkthroughs has those


def _run(page: Path, language: str) -> bool:
    return any(b.language == language and not b.title and not b.not_run for b in blocks(page))


WITH_COMMANDS = [page for page in OTHERS if _run(page, "console")]
PYTHON_ALONE = [page for page in OTHERS if _run(page, "python") and page not in WITH_COMMANDS]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_commands_print_what_is_shown(page: Path, tmp_path: Path) -> None:
    shell.follow(page, tmp_path)


@pytest.mark.parametrize("page", PYTHON_ALONE, ids=lambda page: page.stem)
def test_python_runs(page: Path, tmp_path: Path) -> None:
    shell.follow(page, tmp_path)


def test_what_is_not_run_says_why() -> None:
    for page in PAGES:
        for block in blocks(page):
            if block.not_run is not None:
                assert len(block.not_run.split()) > 2, f"{page.name}, line {block.line}: {block.not_run!r}"


def _written() -> Iterator[tuple[str, str]]:
    """Every indented line that begins with `limpid`, and where it stands; fenced ones are run."""
    for page in OTHERS:
        joined = re.sub(r" *\\\n *", " ", page.read_text(encoding="utf-8"))
        for line in re.findall(r"^ {4,}(limpid [^\n]+)", joined, re.MULTILINE):
            yield str(page.relative_to(ROOT)), re.split(r" {2,}| # ", line)[0]  # what stands behind it explains it


WRITTEN = sorted(set(_written()))


def test_verbs_exist() -> None:
    assert len(WRITTEN) > 30
    for place, words in WRITTEN:
        assert words.split()[1].isupper() or words.split()[1] in (*COMMANDS, "-sc"), f"{place}: {words}"


@pytest.fixture(scope="module")
def hydra() -> Iterator[OverridesParser]:
    limpid_compose.register()
    GlobalHydra.instance().clear()
    with initialize(config_path=None, version_base="1.3"):
        yield OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())


@pytest.mark.slow
def test_commands_can_be_composed(hydra: OverridesParser) -> None:
    refused = []
    for place, words in WRITTEN:
        _, command, *arguments = shlex.split(words)
        if command not in COMPOSED or any(a.isupper() or a.startswith(("--", "images=")) for a in arguments):
            continue  # not Hydra's, or with a placeholder
        if command == "predict":  # it takes the methods out first
            arguments = asked(arguments).words if arguments else []
        chosen = []
        for override in hydra.parse_overrides([quoted(a) for a in arguments if a != "-m" and "$" not in a]):
            if override.is_hydra_override() or (override.is_sweep_override() and override.is_interval_sweep()):
                continue
            line = override.input_line or ""
            if override.is_sweep_override():
                line = f"{line.partition('=')[0]}={next(iter(override.sweep_string_iterator()))}"
            chosen.append(line)
        try:
            compose(command, overrides=chosen)
        except HydraException as error:
            refused.append(f"{place}: {words}: {error}")
    assert not refused, "\n".join(refused)
