"""What a command did with an input, and whether that is what every command owes to any input."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from limpid.cli import status

#: Names of files that only a command which was killed may leave.
_UNFINISHED = re.compile(r"\.part|\.tmp|~$")


class Fault(AssertionError):
    """What a command did that it must not do."""


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        code: its exit status.
        out: what it printed on stdout.
        err: what it printed on stderr.
    """

    code: int
    out: str
    err: str

    @property
    def word(self) -> str:
        """``done`` or ``refused``."""
        return "refused" if self.code else "done"


def ran(arguments: list[str], folder: Path) -> Outcome:
    """What `limpid ARGUMENTS` does in this process, once it was checked.

    Args:
        arguments: of the command line.
        folder: where it may write.

    Raises:
        Fault: an exception came out, the status is neither 0 nor 2, it is 2 without a sentence, a traceback was
            printed, or an unfinished file is left.
    """
    out, err = io.StringIO(), io.StringIO()
    argv = sys.argv
    sys.argv = ["limpid"]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = status(arguments)
    except (Exception, SystemExit) as error:
        raise Fault(f"{type(error).__name__}: {str(error)[:200]!r} from {shortened(arguments)}") from error
    finally:
        sys.argv = argv
    outcome = Outcome(code, out.getvalue(), err.getvalue())
    refuse(outcome, arguments)
    left = [str(path) for path in folder.rglob("*") if _UNFINISHED.search(path.name)]
    if left:
        raise Fault(f"left {left} after {shortened(arguments)}")
    return outcome


def refuse(outcome: Outcome, arguments: list[str]) -> None:
    """Raise what is wrong with how a command ended.

    Raises:
        Fault: see `ran`.
    """
    if outcome.code not in (0, 2):
        raise Fault(f"status {outcome.code} from {shortened(arguments)}: {outcome.err[-300:]}")
    if "Traceback (most recent call last)" in outcome.err:
        raise Fault(f"a traceback from {shortened(arguments)}: {outcome.err[-300:]}")
    sentence = outcome.err.strip()
    if outcome.code == 2 and not re.search(r"[A-Za-z].* .*[.?!)\w]$", sentence, re.DOTALL):
        raise Fault(f"no sentence from {shortened(arguments)}: {sentence[-300:]!r}")


def shortened(arguments: list[str]) -> str:
    """A command line for a report."""
    return " ".join(repr(word) if len(word) < 200 else f"{word[:200]!r}..." for word in arguments)
