"""How an image goes through a network: whole, padded to a multiple, or in overlapping tiles.

Each way is a callable `(network, x) -> restored`. The image stays on the device it is on; what the network works on is
moved to the network's device and back, so that a large image needs no more of an accelerator than one tile does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError

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


@torch.no_grad()
def restore(network: nn.Module, x: Tensor) -> Tensor:
    """The image that `network` restores from `x` `(N, 3, H, W)` in [0, 1]: whole, in float32, clamped to [0, 1]."""
    device = next((p.device for p in network.parameters()), x.device)
    with torch.autocast(device.type, enabled=False):
        return restored_image(network(x.float().to(device))).float().clamp(0.0, 1.0).to(x.device)


class Full:
    """The whole image at once."""

    def __call__(self, network: nn.Module, x: Tensor) -> Tensor:
        """See `Inference`."""
        return restore(network, x)


class Padded:
    """The whole image, made larger at its right and lower edge and cut back afterwards.

    Args:
        multiple: height and width become multiples of it.
        mode: what fills the margin: ``reflect``, ``replicate`` or ``constant`` (black).

    Raises:
        UserError: the mode is none of these, or the multiple is below 1.
    """

    def __init__(self, multiple: int, mode: str = "reflect") -> None:
        if mode not in ("reflect", "replicate", "constant") or multiple < 1:
            raise UserError(
                f"inference is padded to multiples of {multiple} by {mode!r}, but the multiple must be 1 or more "
                "and the mode reflect, replicate or constant."
            )
        self.multiple, self.mode = multiple, mode

    def __call__(self, network: nn.Module, x: Tensor) -> Tensor:
        """See `Inference`."""
        height, width = x.shape[-2:]
        below, right = -height % self.multiple, -width % self.multiple
        # A reflection cannot be wider than the image; what lies beyond it repeats the border.
        mode = "replicate" if self.mode == "reflect" and (below >= height or right >= width) else self.mode
        return restore(network, F.pad(x, (0, right, 0, below), mode=mode))[..., :height, :width]


class Tiled:
    """Overlapping tiles, one after the other; where two meet, each fades into the other.

    Neighbours share `overlap` pixels. The outer ones are thrown away, because there a network sees the tile's edge; the
    `blend` pixels in the middle fade. So tiles give what the whole image gives if a network looks no further than
    `(overlap - blend) / 2` pixels and works the same at positions that differ by `tile - overlap`. A network that
    looks at the whole image, as channel attention does, gives something else in tiles.

    Args:
        tile: side of a tile in pixels.
        overlap: how many pixels neighbours share; at most half a tile.
        blend: over how many of them they fade.

    Raises:
        UserError: the three do not go together.
    """

    def __init__(self, tile: int = 512, overlap: int = 64, blend: int = 16) -> None:
        if not 1 <= blend <= overlap <= tile // 2 or (overlap - blend) % 2:
            raise UserError(
                f"Tiles of {tile} pixels with an overlap of {overlap} and a blend of {blend} cannot be laid: the "
                "overlap must be at most half the tile, and the blend at least 1, at most the overlap, and even or "
                "odd as the overlap is."
            )
        self.tile = tile
        self.overlap = overlap
        self.blend = blend

    def __call__(self, network: nn.Module, x: Tensor) -> Tensor:
        """See `Inference`."""
        rows, columns = list(self.spans(x.shape[-2])), list(self.spans(x.shape[-1]))
        if len(rows) == len(columns) == 1:
            return restore(network, x)
        result = torch.zeros_like(x, dtype=torch.float32)
        for row in rows:
            for column in columns:
                tile = x[..., row.start : row.stop, column.start : column.stop]
                restored = restore(network, tile)
                if restored.shape != tile.shape:
                    raise UserError("This network changes the size of images, so tiles do not fit; use inference=full.")
                shares = row.shares.view(-1, 1) * column.shares
                area = result[..., row.first : row.last, column.first : column.last]
                inner = restored[
                    ...,
                    row.first - row.start : row.last - row.start,
                    column.first - column.start : column.last - column.start,
                ]
                area.addcmul_(inner, shares.to(x.device))
        return result

    def spans(self, length: int) -> Iterator[_Span]:
        """The tiles along an axis of `length` pixels: what each reads, what it gives, and its share of each pixel."""
        step, context = self.tile - self.overlap, (self.overlap - self.blend) // 2
        fade = (torch.arange(self.blend) + 0.5) / self.blend
        start = 0
        while True:
            stop = min(start + self.tile, length)
            first = start + context if start else 0
            last = stop - context if stop < length else length
            shares = torch.ones(last - first)
            if start:
                shares[: self.blend] = fade
            if stop < length:
                shares[len(shares) - self.blend :] *= 1 - fade
            yield _Span(start, stop, first, last, shares)
            if stop == length:
                return
            start += step


class _Span(NamedTuple):
    """One tile along one axis: it reads `start:stop`, and gives `first:last` with `shares` of each pixel there."""

    start: int
    stop: int
    first: int
    last: int
    shares: Tensor


class Adaptive:
    """Whole while the image is small enough, in tiles beyond. What learns nothing always sees the whole image.

    Args:
        largest: how many megapixels go through at once.
        tile: see `Tiled`.
        overlap: see `Tiled`.
        blend: see `Tiled`.

    Raises:
        UserError: as `Tiled`.
    """

    def __init__(self, largest: float = 1.0, tile: int = 512, overlap: int = 64, blend: int = 16) -> None:
        self.largest, self.tiled = largest, Tiled(tile, overlap, blend)

    def in_tiles(self, network: nn.Module, height: int, width: int) -> bool:
        """Whether an image of this size is cut into tiles."""
        return height * width > self.largest * 1e6 and any(True for _ in network.parameters())

    def __call__(self, network: nn.Module, x: Tensor) -> Tensor:
        """See `Inference`."""
        if self.in_tiles(network, *x.shape[-2:]):
            return self.tiled(network, x)
        if min(x.shape[-2:]) < SMALLEST and any(True for _ in network.parameters()):
            return Padded(SMALLEST, "replicate")(network, x)
        return restore(network, x)


@torch.no_grad()
def receptive_radius(network: nn.Module, size: int = 128, seed: int = 0) -> int | None:
    """The distance in pixels up to which one pixel of the input acts on the output; None where it acts on all of it.

    Measured, in float64: the middle pixel of a random image of `size` x `size` is changed. What changes the output by
    less than 1e-12 counts as nothing.
    """
    network = network.double().eval()
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(1, 3, size, size, generator=generator, dtype=torch.float64)
    changed = x.clone()
    middle = size // 2
    changed[..., middle, middle] = 1 - changed[..., middle, middle]
    difference = (restored_image(network(changed)) - restored_image(network(x))).abs().amax((0, 1)) > 1e-12
    touched = difference.nonzero()
    if len(touched) == 0:
        return 0
    reach = int((touched - middle).abs().max())
    return None if reach >= middle - 1 else reach
