"""Warnings of a command that shows something, told below what it shows."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from limpid.errors import ResultWarning


@contextmanager
def warnings_last() -> Iterator[None]:
    """Hold back warnings in the block; at its end each goes to stderr once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResultWarning)
        try:
            yield
        finally:
            sys.stdout.flush()
            told = {f"{one.category.__name__} {one.message}": one for one in caught}
    for one in told.values():
        if issubclass(one.category, ResultWarning):
            print(one.message, file=sys.stderr)
        else:
            warnings.showwarning(one.message, one.category, one.filename, one.lineno)
