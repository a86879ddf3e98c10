"""Names of files as they are printed: any bytes may be in them."""

from __future__ import annotations

import os
from pathlib import PurePath

from limpid.errors import printable


def shown(path: PurePath | str) -> str:
    """The path on one line, in letters that every terminal takes; what is no letter is written by its number."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return printable(text).replace("\n", r"\n")
