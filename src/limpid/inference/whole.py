"""An image that goes through a network whole, as it is or padded to a multiple; what every way of inference is."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.inference.alone import alone
from limpid.ranges import Pixels

#: Networks take images of this many pixels on a side and more.
SMALLEST = 16


class Inference(Protocol):
    """One way to put images through a network."""

    def __call__(self, network: nn.Module, x: Tensor) -> Tensor:
        """The restored image of `x` `(N, 3, H, W)` in [0, 1]: float32, the same shape, clamped to [0, 1]."""


class HasRestored(Protocol):
    """A named tuple that a network returns: the restored image, and what else the network found."""

    @property
    def restored(self) -> Tensor:
        """The restored image, `(N, 3, H, W)`."""


#: What a network returns: the restored image `(N, 3, H, W)`, or a named tuple with `.restored`.
NetworkOutput: TypeAlias = Tensor | HasRestored


def restored_image(output: NetworkOutput) -> Tensor:
    """The image `(N, 3, H, W)` in a network's output: the output itself, or the `.restored` of its named tuple."""
    return output if isinstance(output, Tensor) else output.restored


def asks_for_whole_image(network: nn.Module) -> bool:
    """Whether `network` says by an attribute ``sees_whole_image = True`` that it is not to be given parts of images.

    It works at a size of its own inside, or looks for something in the whole image, and needs little memory for a large
    one.
    """
    return getattr(network, "sees_whole_image", False) is True


#: What a network computes in: float32, or bf16 where that is known to do.
PRECISIONS = ("32", "bf16")
#: The same as a signature names them; a configuration gives 32 as a number too.
Precision = Literal["32", "bf16", 32]


@torch.no_grad()
def restore(network: nn.Module, x: Tensor, precision: str = "32") -> Tensor:
    """The image that `network` restores from `x` `(N, 3, H, W)` in [0, 1]: whole, float32, clamped to [0, 1].

    Args:
        network: in evaluation mode.
        x: the image, on any device.
        precision: one of `PRECISIONS`.
    """
    device = next((p.device for p in network.parameters()), x.device)
    with alone(network), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        return restored_image(network(x.float().to(device))).float().clamp(0.0, 1.0).to(x.device)


def named_precision(precision: str | int) -> str:
    """The `precision` as `PRECISIONS` has it.

    Raises:
        UserError: it is none of them.
    """
    if str(precision) not in PRECISIONS:
        raise UserError(f"precision is {precision!r}, but it must be one of {', '.join(PRECISIONS)}.")
    return str(precision)


class Full:
    """The whole image at once.

    Args:
        precision: see `restore`.

    Raises:
        UserError: there is no such precision.
    """

    def __init__(self, precision: Precision = "32") -> None:
        self.precision = named_precision(precision)

    def __call__(self, network: nn.Module, x: Tensor) -> Tensor:
        """See `Inference`."""
        return restore(network, x, self.precision)


class Padded:
    """The whole image, made larger at its right and lower edge and cut back afterwards.

    Args:
        multiple: height and width become multiples of it.
        mode: what fills the margin: ``reflect``, ``replicate`` or ``constant`` (black).
        precision: see `restore`.

    Raises:
        UserError: the mode is none of these, the multiple is below 1, or there is no such precision.
    """

    def __init__(self, multiple: Pixels, mode: str = "reflect", precision: Precision = "32") -> None:
        if mode not in ("reflect", "replicate", "constant") or multiple < 1:
            raise UserError(
                f"inference is padded to multiples of {multiple} by {mode!r}, but the multiple must be 1 or more "
                "and the mode reflect, replicate or constant."
            )
        self.multiple, self.mode = multiple, mode
        self.precision = named_precision(precision)

    def __call__(self, network: nn.Module, x: Tensor) -> Tensor:
        """See `Inference`."""
        height, width = x.shape[-2:]
        below, right = -height % self.multiple, -width % self.multiple
        # A reflection cannot be wider than the image; what lies beyond it repeats the border.
        mode = "replicate" if self.mode == "reflect" and (below >= height or right >= width) else self.mode
        return restore(network, F.pad(x, (0, right, 0, below), mode=mode), self.precision)[..., :height, :width]
