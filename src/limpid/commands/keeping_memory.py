"""Memory that a command keeps for its next image instead of giving it back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os

#: Parameters of glibc's `mallopt` (malloc.h).
_TRIM_THRESHOLD = -1
_MMAP_MAX = -4
_ARENA_MAX = -8
_LARGEST = 2**31 - 1


def keep_memory() -> None:
    """Have the C library keep what is freed, for as long as the program runs; where it is glibc and nobody said else.

    A network's features are large, and glibc asks the system for each of them and gives each back: the system clears
    every page anew, which takes longer than many a convolution (docs/performance.md). Whoever sets a ``MALLOC_``
    variable, or loads another allocator, is left alone.
    """
    chosen = any(name.startswith("MALLOC_") for name in os.environ)
    if chosen or os.environ.get("LD_PRELOAD"):
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library has no mallopt, or no such library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
        mallopt(_ARENA_MAX, 1)
