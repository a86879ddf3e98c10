"""How pages are read: blocks, commands, and what counts as printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import blocks, commands, missing

PAGE = """
Text.

<!-- exit status 2 -->
```console
$ limpid one \\
    two
some output
$ python three.py  # why
```

<!-- not run: needs a cluster of machines -->
```python title="a/b.py"
x = 1
```
"""


def test_a_page_is_read(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    console, python = blocks(tmp_path / "page.md")
    assert (console.line, console.language, console.title, console.not_run) == (5, "console", None, None)
    first, second = commands(console)
    assert first.words.split() == ["limpid", "one", "two"]
    assert (first.prints, first.status) == (("some output",), 0)
    assert (second.words, second.prints, second.status) == ("python three.py", (), 2)
    assert (python.title, python.body, python.not_run) == ("a/b.py", "x = 1\n", "needs a cluster of machines")


@pytest.mark.parametrize(
    ("shown", "printed", "lacking"),
    [
        (("a b",), "x\na   b\ny", None),
        (("b", "a"), "a\nb", "a"),  # in this order
        (("│ n │ 1.00 │",), "┃ n        │  1.04 │", None),
        (("│ n │ 1.00 │",), "│ n │ 1.06 │", "│ n │ 1.00 │"),
        (("seed 0, ... done",), "seed 0, many words done", None),
        (("runs/.../images",), "runs/free/x/images", None),
        (("one",), "one two", "one"),
        (("3,203",), "3203", None),
        (("step 2",), "step 3", "step 2"),
        (("...",), "anything", None),
    ],
)
def test_what_counts_as_printed(shown: tuple[str, ...], printed: str, lacking: str | None) -> None:
    assert missing(shown, printed) == lacking
