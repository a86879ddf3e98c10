"""The pages that are made: one for every command, paper, set and protocol, with the facts of the files they come from."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from limpid import cli
from limpid.commands import data, score
from limpid.config.registry import registered
from limpid.results.rows import rows
from tests.conftest import ROOT

pytest.importorskip("mkdocs", reason="needs mkdocs-material: pip install limpid[docs]")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("limpid_docs_generate", ROOT / "docs" / "_generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(generate: ModuleType) -> dict[str, str]:
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    makers = (generate.commands, generate.papers, generate.sets, generate.metrics, generate.networks)
    makers += (generate.configuration, generate.notes)
    return {place: text for maker in makers for place, text in maker(written)}


def test_every_verb_has_a_page_with_its_help(made: dict[str, str]) -> None:
    for command, text in cli.COMMANDS.items():
        page = made[f"commands/{command}.md"]
        assert text[1:] in page
        assert f"limpid {command}" in page.partition("```text")[2]
    assert "## limpid data make" in made["commands/data.md"]
    assert "megapixels" in made["commands/predict.md"]


def test_every_paper_has_a_page_with_its_tables(made: dict[str, str]) -> None:
    for row in rows():
        page = made[f"papers/{row.paper}.md"]
        assert f"### {row.paper}/{row.table} {{#{row.table}}}" in page
        assert row.label in page
    assert "| Ours [Student] | paper | sots_indoor | 0.096 | 27.9356 | 0.9327 |" in made["papers/rfd.md"]
    assert "Dehazing on RESIDE SOTS indoor, trained on ITS." in made["papers/rfd.md"]
    assert "data root" not in made["papers/rfd.md"].partition("## Tables")[2], (
        "which sets are here is no fact of a paper"
    )


def test_every_set_has_a_page_with_its_card(made: dict[str, str]) -> None:
    for name in data.known():
        assert (ROOT / "conf" / "dataset" / f"{name}.yaml").read_text().rstrip() in made[f"sets/{name}.md"]
    page = made["sets/gopro.md"]
    assert "| images as published | train 2,103, test 1,111 |" in page
    assert "`data=gopro`" in page
    assert "| licence | CC BY 4.0 by the project page. |" in page


def test_every_protocol_has_a_page_with_what_decides_its_number(made: dict[str, str]) -> None:
    for name in {card["id"] for card in score.protocols().values()}:
        page = made[f"metrics/{name}.md"]
        for what in ("metric", "better", "colour space", "value range", "rounding", "border", "window", "used by"):
            assert f"| {what} | " in page, f"{name} does not say its {what}"
    page = made["metrics/ssim_zero_pad.md"]
    assert "| options | `preset=zero_pad` |" in page
    assert "| border | zeros, 5 pixels |" in page
    assert "[rfd/table5](../papers/rfd.md#table5)" in page


def test_every_network_is_listed_with_its_parameters(made: dict[str, str]) -> None:
    for name in registered():
        assert f"## {name}\n" in made["networks.md"]
    assert "| [aod_net](#aod_net) | network | 1,761 |" in made["networks.md"]
    assert "| [dcp](#dcp) | prior | 0 |" in made["networks.md"]


def test_the_navigation_names_every_page_once(generate: ModuleType, made: dict[str, str]) -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")] + list(made)
    places = list(generate._places(generate._expanded(nav, pages)))
    assert sorted(places) == sorted(pages)


def test_what_stands_in_a_cell_stays_in_it(generate: ModuleType) -> None:
    assert (
        generate.sheet(("a", ""), [("x|y", "one\ntwo"), (None, 3)])
        == "| a |  |\n|---|---|\n| x\\|y | one two |\n|  | 3 |"
    )
    assert generate.said("<split>/*/blur < 3") == r"&lt;split>/\*/blur < 3"


@pytest.mark.slow
def test_the_site_builds_strictly_and_fetches_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 100
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loads: list[Any] = re.findall(r"<(?:script|img|source|iframe)[^>]+src=\"?(https?:[^\s\">]+)", text)
        loads += re.findall(r"<link[^>]+rel=\"?(?:stylesheet|preconnect|icon)[^>]+href=\"?(https?:[^\s\">]+)", text)
        assert loads == [], page
