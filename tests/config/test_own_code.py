"""The source of one's own classes, as a hash."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from limpid.config.own_code import own_packages, source_digests


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def digest_after(name: str, change: Callable[[], object]) -> tuple[str, str]:
    before = source_digests([name])[name]
    change()
    return before, source_digests([name])[name]


def test_only_targets_in_packages_that_were_allowed_are_ones_own() -> None:
    config = {"a": {"_target_": "mine.nets.Net"}, "b": [{"_target_": "torch.nn.ReLU"}, {"c": {"_target_": "other.F"}}]}
    assert own_packages(config, ["mine", "other", "unused"]) == {"mine", "other"}
    assert own_packages(config, ["torch"]) == set()
    assert own_packages(config, []) == set()


def test_a_module_that_changes_has_another_hash(here: Path) -> None:
    file = here / "own_single.py"
    file.write_text("class A: pass\n")
    before, after = digest_after("own_single", lambda: file.write_text("class A: x=1\n"))
    assert before != after
    before, after = digest_after("own_single", lambda: (here / "unrelated.py").write_text("x = 1\n"))
    assert before == after


def test_every_module_of_a_package_counts_wherever_it_lies(here: Path) -> None:
    folder = here / "own_package" / "parts"
    folder.mkdir(parents=True)
    (here / "own_package" / "__init__.py").write_text("")
    (folder / "blocks.py").write_text("x = 1\n")
    before, after = digest_after("own_package", lambda: (folder / "blocks.py").write_text("x = 2\n"))
    assert before != after


def test_what_it_imports_beside_it_counts_however_far(here: Path) -> None:
    (here / "own_first.py").write_text("import torch, sys\nfrom own_second import f\n")
    (here / "own_second.py").write_text("def f():\n    import own_third\n")
    (here / "own_third.py").write_text("x = 1\n")
    before, after = digest_after("own_first", lambda: (here / "own_third.py").write_text("x = 2\n"))
    assert before != after


def test_the_same_source_elsewhere_has_the_same_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own_moved.py").write_text("x = 1\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path / name))
            digests |= set(source_digests(["own_moved"]).values())
    assert len(digests) == 1


def test_what_has_no_source_is_no_trouble() -> None:
    assert "sys" in sys.builtin_module_names
    assert len(set(source_digests(["sys", "no_such_package_here"]).values())) == 1
