"""What is printed of names that hold more than letters."""

from __future__ import annotations

import pytest

from limpid.cli import status
from limpid.consoles import answers
from limpid.errors import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Zoë 写真.png\nis damaged.", "Zoë 写真.png\nis damaged."),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("a\rb\x08c\x7fd\x9be\x00", r"a\rb\x08c\x7fd\x9be\x00"),
        ("a‮gnp.exe", r"a\u202egnp.exe"),  # turns what follows around
        ("a\udcff", r"a\udcff"),  # a byte that is no UTF-8
    ],
)
def test_only_letters_and_line_ends_are_printed_as_they_are(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert printable(text) == shown
    answers().print(text, markup=False, highlight=False, soft_wrap=True)
    left_out = r"\x07", r"\x08", r"\r"  # rich leaves these out
    for number in left_out:
        shown = shown.replace(number, "")
    assert capsys.readouterr().out == f"{shown}\n"


def test_a_sentence_names_a_file_without_its_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["zoo", "show", "\x1b[31mred"]) == 2
    assert capsys.readouterr().err.startswith(r"There are no weights zoo:\x1b[31mred; ")
