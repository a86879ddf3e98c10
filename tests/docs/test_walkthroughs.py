"""Each page of docs/extend, followed by the letter in an empty folder: its files, its commands, and what they print."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs import shell
from tests.docs.blocks import blocks

PAGES = sorted((ROOT / "docs" / "extend").glob("*.md"))
FAST = ("index", "network")  # a network in a table is what a newcomer comes for


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=p.stem, marks=() if p.stem in FAST else pytest.mark.slow) for p in PAGES]
)
def test_a_page_works_as_it_is_written(page: Path, tmp_path: Path) -> None:
    shell.follow(page, tmp_path)


def test_every_file_of_a_walk_is_shown_whole() -> None:
    for page in PAGES:
        for block in blocks(page):
            assert block.title or block.language in ("console", "python"), f"{page.name}, line {block.line}"
            assert block.not_run is None, f"{page.name}, line {block.line}: a walk has no gaps"
            assert not (block.title and Path(block.title).is_absolute())
