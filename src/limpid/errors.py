"""The one error that a user can cause: whole sentences, no traceback, exit status 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: Longer ones are no misspelt names; comparing them would take long.
_LONGEST_WORD = 200


class UserError(Exception):
    """A mistake in what was asked for.

    The message is one whole sentence (or a few): what is wrong, where, and how to mend it. Any module may
    raise it; only `limpid.cli` turns it into exit status 2.
    """


class Damaged(UserError):  # noqa: N818 - as `CannotRun`
    """A file that Limpid wrote once is not whole any more: cut short, changed, or replaced by another.

    Attributes:
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ResultWarning(UserWarning):
    """What a user should know of a result that was made all the same: one whole sentence, which `limpid` prints."""


def printable(text: str) -> str:
    r"""The text with all but its letters and line ends written by their numbers, such as ``\x1b``.

    A name of a file may hold anything: a terminal would obey its control characters, and a stream refuse bytes that are
    no UTF-8.
    """
    if text.isprintable():
        return text
    plain = (letter if letter.isprintable() or letter == "\n" else _number(letter) for letter in text)
    return "".join(plain)


def _number(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def reason_of(error: BaseException) -> str:
    """What the error says, on one line without a full stop; the name of its kind where it says nothing.

    A data-loading process hands on the whole traceback as the text of its error, of which this is the last line.
    """
    text = str(error).strip()
    if text.startswith("Caught "):
        text = text.splitlines()[-1].partition(": ")[2]
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def shortened(text: str, letters: int = 200) -> str:
    """The `text`, or where it is longer than so many letters its beginning and how long it is."""
    return text if len(text) <= letters else f"{text[:letters]}... ({len(text)} letters)"


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean 'student'?`` for a misspelt `word`, or an empty string."""
    if len(word) > _LONGEST_WORD:
        return ""
    close = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.6)
    if not close:
        return ""
    turned = [other for other in close if sorted(other) == sorted(word)]  # two letters in the wrong order come first
    return f"; did you mean {[*turned, *close][0]!r}?"


class CannotRun(UserError):  # noqa: N818 - it is no failure
    """What was asked for is right but cannot run here: a row that is not built, or a data set that is not there.

    A sweep lists such a row as skipped and goes on.
    """
