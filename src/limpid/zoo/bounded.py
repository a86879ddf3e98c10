"""Networks that settings from a file describe, made only where they are no larger than the weights beside them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from limpid.errors import UserError

#: A network may hold so many times the numbers of its weights, and so many more: some are not stored.
_TIMES, _MORE = 2, 1 << 24
#: The same of its modules, of which most have no weights.
_MODULES_TIMES, _MODULES_MORE = 100, 10_000


@contextmanager
def bounded(state: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside the block this thread makes no network that is far larger than the weights `state`.

    Raises:
        UserError: one was begun.
    """
    thread = threading.get_ident()
    left = {
        "values": _MORE + _TIMES * sum(value.numel() for value in state.values()),
        "modules": _MODULES_MORE + _MODULES_TIMES * len(state),
    }

    def take(what: str, count: int) -> None:
        if threading.get_ident() == thread:
            left[what] -= count
        if left[what] < 0:
            raise UserError("its settings ask for far more than the weights fill.")

    def values(module: nn.Module, name: str, value: Tensor | None) -> None:
        take("values", 0 if value is None else value.numel())

    def modules(module: nn.Module, name: str, child: nn.Module | None) -> None:
        take("modules", 1)

    hooks = (
        register_module_parameter_registration_hook(values),
        register_module_buffer_registration_hook(values),
        register_module_module_registration_hook(modules),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
