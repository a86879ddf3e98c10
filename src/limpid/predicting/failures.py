"""What went wrong with one photograph, in a sentence that names it; and what would go wrong with all that follow."""

from __future__ import annotations

import errno
from pathlib import Path

from limpid.errors import UserError
from limpid.predicting.names import shown

#: What the next file would meet as well: no room, a share used up, a medium that takes nothing, or is gone.
_FOR_ALL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENODEV, errno.ESTALE})


class OutputLostError(UserError):
    """Nothing more can be written to the output folder, whichever photograph it is."""


def sentence(error: Exception, source: Path) -> str:
    """What went wrong with the photograph `source`, with its name."""
    return named(_said(error, source), source)


def named(text: str, source: Path) -> str:
    """The sentence `text`, with the name of `source` where it lacks it."""
    return text if str(source) in text or shown(source) in text else f"{shown(source)}: {text}"


def _said(error: Exception, source: Path) -> str:
    if isinstance(error, UserError):
        return str(error)
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, MemoryError) or _is_about_memory(first):
        return (
            f"{shown(source)} needs more memory than there is; close other programs, make it smaller, or try "
            "inference=tiled inference.tile=256."
        )
    if isinstance(error, OSError):
        return f"{shown(source)} could not be restored ({error.strerror or first})."
    return f"{shown(source)} could not be restored ({type(error).__name__}: {first})."


def _is_about_memory(text: str) -> bool:
    """Whether a sentence of PyTorch, OpenCV or an accelerator says that memory is used up."""
    return any(words in text.lower() for words in ("out of memory", "can't allocate memory", "insufficient memory"))


def ends_all(error: BaseException) -> str | None:
    """Why nothing more can be written, as the operating system says it; None where only one photograph is concerned."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FOR_ALL:
            return cause.strerror or str(cause)
        cause = cause.__cause__
    return None
