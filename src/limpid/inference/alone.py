"""One image at a time through one network.

Hooks and switches that are set on a network for one image (see `adjusted`, `undivided`) would reach the images that
other threads put through it meanwhile, which would be restored wrongly without a word.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from torch import nn

_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_guard = threading.Lock()
if hasattr(os, "register_at_fork"):  # whoever held a lock is not there in a forked process
    os.register_at_fork(after_in_child=_locks.clear)


@contextlib.contextmanager
def alone(network: nn.Module) -> Iterator[None]:
    """Inside, other threads wait before they put an image through `network`; the same thread may enter again."""
    with _guard:
        lock = _locks.setdefault(network, threading.RLock())
    with lock:
        yield
