"""What became of a command's photographs, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from limpid.errors import UserError
from limpid.predicting.names import shown

#: How many names a sentence lists.
_LISTED = 5


@dataclass
class Summary:
    """What became of the photographs.

    Attributes:
        written: results.
        again: those of them that took the place of an older one, whose photograph has changed.
        skipped: results that were done already.
        untouched: photographs for which no method suits.
        kept: files in a result's place that are not this command's, by whose they are.
        failed: a sentence for each photograph that could not be restored.
        problems: sentences on what else went wrong.
        notes: sentences on what of a photograph was left out.
        stopped: why nothing more could be written.
        left: photographs that were not tried for that.
    """

    written: int = 0
    again: int = 0
    skipped: int = 0
    untouched: int = 0
    kept: dict[str, list[Path]] = field(default_factory=dict)
    failed: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: str | None = None
    left: int = 0

    def says(self) -> str:
        """What was done, such as ``3 restored, 1 skipped that exist (overwrite=true replaces them)``."""
        words = [f"{self.written} restored"]
        if self.again:
            words.append(f"{self.again} of them anew for a photograph that has changed")
        if self.skipped:
            words.append(f"{self.skipped} skipped that exist (overwrite=true replaces them)")
        if self.untouched:
            words.append(f"{self.untouched} left as they are")
        return ", ".join(words)

    def refuse_failures(self, photographs: int, folder: Path) -> None:
        """Raise what went wrong, if anything did.

        Args:
            photographs: how many there were.
            folder: of the results.

        Raises:
            UserError: naming every photograph that could not be restored, and why.
        """
        said = []
        if self.failed:
            said.append(_failed(list(self.failed.values()), photographs))
        for whose, files in self.kept.items():
            said.append(_kept(whose, files, folder))
        said += self.problems
        if self.stopped is not None:
            said.append(
                f"Nothing more can be written to {shown(folder)} ({self.stopped}), so {self.left} more were not tried; "
                "mend that, and give the same command again: it goes on where it was."
            )
        if said:
            raise UserError("\n".join(said))


def _failed(failed: Sequence[str], photographs: int) -> str:
    if photographs == 1:
        return failed[0]
    return f"{len(failed)} of {photographs} photographs could not be restored:\n  " + "\n  ".join(failed)


def _kept(whose: str, files: Sequence[Path], folder: Path) -> str:
    """Why files stay, such as ``2 results in clear are from another method (...)``."""
    names = ", ".join(shown(file.relative_to(folder)) for file in files[:_LISTED])
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    verb = "was" if len(files) == 1 else "were"
    mend = "give another output, or overwrite=true to replace what is there"
    return f"{names}{more} in {shown(folder)} {verb} {whose}; {mend}."
