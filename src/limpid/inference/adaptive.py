"""Photographs of any size: whole while they are small enough, in tiles beyond, or at the size of the training."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from limpid.errors import UserError
from limpid.inference.carried import carried
from limpid.inference.statistics import Adjust, adjusted
from limpid.inference.tiles import Tiled, reduced, undivided, window
from limpid.inference.whole import SMALLEST, Precision, asks_for_whole_image, restore
from limpid.ranges import Pixels, PixelsOrNone, PositiveFloat


class Adaptive:
    """Whole while the image is small enough, in tiles beyond. What learns nothing always sees the whole image.

    So does a network that works at a size of its own inside, or looks for something in the whole image, and needs
    little memory for a large one: it says so by an attribute ``sees_whole_image = True``.

    One that holds much of an image says how much may go through at once, by an attribute ``largest_megapixels``.
    One that looks far says by ``least_overlap`` how much tiles share at least.

    Either way the image goes on beyond its border, reflected, so that no frame is seen. With `restore_at`, a larger
    image is restored reduced to that size, where a network sees a scene as it did in training, and the change is
    carried to the full size (see `carried`): right for haze and dust, not for noise, streaks and blur.

    Args:
        largest: how many megapixels go through at once; in tiles, how many the image is reduced to for its statistics.
        tile: see `Tiled`.
        overlap: see `Tiled`.
        blend: see `Tiled`.
        margin: see `Tiled`.
        precision: see `restore`.
        restore_at: megapixels; None restores at full size.
        radius: see `carried`.
        epsilon: see `carried`.

    Raises:
        UserError: as `Tiled`; or a number is not above 0.
    """

    def __init__(
        self,
        largest: PositiveFloat = 1.0,
        tile: Pixels = 512,
        overlap: PixelsOrNone = 64,
        blend: PixelsOrNone = 16,
        margin: PixelsOrNone = 0,
        precision: Precision = "32",
        restore_at: PositiveFloat | None = None,
        radius: PixelsOrNone = 4,
        epsilon: PositiveFloat = 1e-4,
    ) -> None:
        for name, value in {"restore_at": restore_at, "radius": radius, "epsilon": epsilon}.items():
            if value is not None and not value > 0:
                raise UserError(f"inference.{name} is {value}, but it must be above 0.")
        self.largest = largest
        self.tiled = Tiled(tile, overlap, blend, margin, largest, precision)
        self.restore_at = restore_at
        self.radius = radius
        self.epsilon = epsilon

    def at(self, megapixels: float | None) -> Adaptive:
        """The same with `restore_at`, where none was set."""
        if megapixels is None or self.restore_at is not None:
            return self
        changed = copy.copy(self)
        changed.restore_at = megapixels
        return changed

    def _largest(self, network: nn.Module) -> float:
        """The megapixels that go through `network` at once."""
        return min(self.largest, getattr(network, "largest_megapixels", self.largest))

    def in_tiles(self, network: nn.Module, height: int, width: int) -> bool:
        """Whether an image of this size is cut into tiles."""
        largest = min(self._largest(network), self.restore_at or self.largest)
        return height * width > largest * 1e6 and not sees_whole_image(network)

    def __call__(self, network: nn.Module, x: Tensor, adjust: Adjust | None = None) -> Tensor:
        """See `Inference`; what the network finds of the whole image goes through `adjust`, see `adjusted`."""
        small = x if self.restore_at is None else reduced(x, self.restore_at)
        restored = self._at_size(network, small, adjust)
        if small is x:
            return restored
        if restored.shape != small.shape:
            raise UserError("This network changes the size of images; leave out inference.restore_at.")
        return carried(x, small, restored, self.radius, self.epsilon).clamp_(0, 1)

    def _at_size(self, network: nn.Module, x: Tensor, adjust: Adjust | None) -> Tensor:
        """The restored image of `x` at its own size."""
        if sees_whole_image(network):
            precision = self.tiled.precision if asks_for_whole_image(network) else "32"  # priors compute in float32
            with adjusted(network, adjust):
                return restore(network, x, precision)
        height, width = x.shape[-2:]
        if height * width > self._largest(network) * 1e6:
            tiled = copy.copy(self.tiled)
            tiled.statistics = self._largest(network)
            return tiled(network, x, adjust)
        margin = self.tiled.margin
        below, right = (max(margin, SMALLEST - side - margin) for side in (height, width))
        with undivided(network), adjusted(network, adjust):
            around = window(x, -margin, height + below, -margin, width + right)
            restored = restore(network, around, self.tiled.precision)
        scale = restored.shape[-1] // around.shape[-1]  # of a network that enlarges
        first = margin * scale
        return restored[..., first : first + height * scale, first : first + width * scale]


def sees_whole_image(network: nn.Module) -> bool:
    """Whether an image goes through `network` whole, however large, and as it is, without a reflected border."""
    learns = any(True for _ in network.parameters())
    return not learns or asks_for_whole_image(network)
