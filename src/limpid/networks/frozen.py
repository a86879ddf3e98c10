"""A network that is used but belongs to nobody's weights: a teacher, or VGG-19 inside a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Frozen(nn.Module):
    """Holds `module` in evaluation mode without its being a submodule.

    It has no parameters and no state dict of its own, so that nothing saves, averages or trains it, and the `train()`
    of what holds it does not reach it. It does follow its holder to another device or type. Gradients flow through
    it to its input.

    Args:
        module: what is held; it is switched to evaluation and its parameters need no gradient from now on.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._held = (module.eval().requires_grad_(False),)  # in a tuple: torch registers modules, not tuples

    @property
    def module(self) -> nn.Module:
        """The module that is held."""
        return self._held[0]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the held module."""
        return self.module(*args, **kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Frozen:
        # Every .to(), .cuda() and .float() of a holder arrives here.
        self.module._apply(fn, recurse)
        super()._apply(fn, recurse)
        return self
