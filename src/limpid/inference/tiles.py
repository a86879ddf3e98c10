"""Images in overlapping tiles that fade into each other."""

from __future__ import annotations

import contextlib
import copy
import itertools
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import ResultWarning, UserError
from limpid.inference.alone import alone
from limpid.inference.statistics import Adjust, ImageStatistics, adjusted, continued, given, measured
from limpid.inference.whole import Precision, asks_for_whole_image, named_precision, restore
from limpid.ranges import Pixels, PixelsOrNone, PositiveFloat

#: Tiles that differ by more than this on average, in parts of [0, 1], where they meet leave a seam that can be seen.
_VISIBLE = 4 / 255

#: The second size at which statistics are taken, as a share of the megapixels of the first.
_SHARE = 0.5


class Tiled:
    """Overlapping tiles, one after the other; where two meet, each fades into the other.

    Neighbours share `overlap` pixels. The outer ones are thrown away, because there a network sees the tile's edge; the
    `blend` pixels in the middle fade. At the border of the image a tile goes on into the image's reflection.
    A network that asks for the whole image gets it nevertheless.
    What a network finds of the whole image (see `limpid.inference.statistics`) it finds once for all tiles, of the
    image reduced to `statistics` megapixels and to half of them (see `continued`).
    A network that looks further says by an attribute ``least_overlap`` how many pixels neighbours share at least; half
    a tile is the most.
    So tiles give what the whole image gives if, that apart, a network looks no further than `(overlap - blend) / 2`
    pixels and works the same at positions that differ by `tile - overlap`.

    Args:
        tile: side of a tile in pixels.
        overlap: how many pixels neighbours share; at most half a tile.
        blend: over how many of them they fade.
        margin: how many pixels the image goes on beyond its border, reflected.
        statistics: the megapixels to which an image is reduced before statistics are taken of it.
        precision: see `restore`.

    Raises:
        UserError: tile, overlap and blend do not go together, the margin is negative, or the precision is unknown.
    """

    def __init__(
        self,
        tile: Pixels = 512,
        overlap: PixelsOrNone = 64,
        blend: PixelsOrNone = 16,
        margin: PixelsOrNone = 0,
        statistics: PositiveFloat = 1.0,
        precision: Precision = "32",
    ) -> None:
        if not 1 <= blend <= overlap <= tile // 2 or (overlap - blend) % 2:
            raise UserError(
                f"Tiles of {tile} pixels with an overlap of {overlap} and a blend of {blend} cannot be laid: the "
                "overlap must be at most half the tile, and the blend at least 1, at most the overlap, and even or "
                "odd as the overlap is."
            )
        if margin < 0 or statistics <= 0:
            raise UserError(
                f"Tiles with a margin of {margin} and statistics at {statistics} megapixels cannot be: the margin must "
                "be 0 or more, and the megapixels above 0."
            )
        self.tile = tile
        self.overlap = overlap
        self.blend = blend
        self.margin = margin
        self.statistics = statistics
        self.precision = named_precision(precision)

    def __call__(self, network: nn.Module, x: Tensor, adjust: Adjust | None = None) -> Tensor:
        """See `Inference`; what the network finds of the whole image goes through `adjust`, see `adjusted`."""
        if asks_for_whole_image(network):
            with adjusted(network, adjust):
                return restore(network, x, self.precision)
        least = min(getattr(network, "least_overlap", 0), self.tile // 2)
        if least > self.overlap + 1:
            wider = copy.copy(self)
            wider.overlap = least - (least - self.blend) % 2
            return wider(network, x, adjust)
        rows, columns = list(self.spans(x.shape[-2])), list(self.spans(x.shape[-1]))
        if len(rows) == len(columns) == 1:
            with undivided(network), adjusted(network, adjust):
                return _restored_window(network, x, rows[0], columns[0], self.precision)
        result = torch.zeros_like(x, dtype=torch.float32)
        apart = 0.0
        with undivided(network), given(network, self._measured(network, x, adjust)):
            for row in rows:
                shared = result[..., :0]  # what the tile before gave of the pixels that it shares with the next
                for column, following in itertools.pairwise([*columns, None]):
                    assert column is not None
                    restored = _restored_window(network, x, row, column, self.precision)
                    apart = max(apart, _difference(shared, restored[..., : shared.shape[-1]]))
                    shared = restored[..., following.first - column.first :] if following else result[..., :0]
                    shares = (row.shares.view(-1, 1) * column.shares).to(x.device)
                    result[..., row.first : row.last, column.first : column.last].addcmul_(restored, shares)
        if apart > _VISIBLE:
            warnings.warn(
                f"Neighbouring tiles differ by {255 * apart:.0f} grey levels where they meet, so seams may be seen: "
                "the network looks further than tiles overlap, or at the whole image without saying so by "
                "pools_over_image; give inference=full, or a larger inference.overlap.",
                ResultWarning,
                stacklevel=2,
            )
        return result

    def _measured(self, network: nn.Module, x: Tensor, adjust: Adjust | None) -> ImageStatistics:
        """The statistics of the image, from what the network finds of it reduced to two sizes."""
        found = self._of_reduced(network, x, self.statistics)
        pixel = (x.shape[-2] * x.shape[-1] / (self.statistics * 1e6)) ** 0.5  # of the reduced image, in those of `x`
        if found.values and pixel > 1:
            steps = (pixel - 1) / (pixel * (_SHARE**-0.5 - 1))
            found = continued(found, self._of_reduced(network, x, _SHARE * self.statistics), steps)
        if adjust is None:
            return found
        return ImageStatistics(tuple(adjust(number, value) for number, value in enumerate(found.values)))

    def _of_reduced(self, network: nn.Module, x: Tensor, megapixels: float) -> ImageStatistics:
        """The statistics of the reduced image, which goes on beyond its border as far as the image itself does."""
        small = reduced(x, megapixels)
        height, width = small.shape[-2:]
        margin = round(self.margin * height / x.shape[-2])
        return measured(network, window(small, -margin, height + margin, -margin, width + margin))

    def spans(self, length: int) -> Iterator[Span]:
        """The tiles along an axis of `length` pixels."""
        step, context = self.tile - self.overlap, (self.overlap - self.blend) // 2
        fade = (torch.arange(self.blend) + 0.5) / self.blend
        start, end = -self.margin, length + self.margin
        while True:
            stop = min(start + self.tile, end)
            first = start + context if start > -self.margin else start
            last = stop - context if stop < end else stop
            shares = torch.ones(last - first)
            if start > -self.margin:
                shares[: self.blend] = fade
            if stop < end:
                shares[len(shares) - self.blend :] *= 1 - fade
            begins, ends = max(first, 0), min(last, length)
            if begins < ends:
                yield Span(start, stop, begins, ends, shares[begins - first : ends - first])
            if stop == end:
                return
            start += step


class Span(NamedTuple):
    """One tile along one axis: it reads `start:stop`, and gives `first:last` with `shares` of each pixel there.

    What it reads may begin before the image, at negative pixels, and go on behind it.
    """

    start: int
    stop: int
    first: int
    last: int
    shares: Tensor


def _difference(one: Tensor, other: Tensor) -> float:
    """The mean absolute difference of two parts of images; 0 of none."""
    return float((one - other).abs().mean()) if one.numel() else 0.0


def _restored_window(network: nn.Module, x: Tensor, row: Span, column: Span, precision: str) -> Tensor:
    """What `network` makes of the window of `x` that both spans read, as far as they give it."""
    tile = window(x, row.start, row.stop, column.start, column.stop)
    restored = restore(network, tile, precision)
    if restored.shape != tile.shape:
        raise UserError("This network changes the size of images, so tiles do not fit; use inference=full.")
    rows = slice(row.first - row.start, row.last - row.start)
    return restored[..., rows, column.first - column.start : column.last - column.start]


def window(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """The pixels ``top:bottom, left:right`` of `x` `(N, C, H, W)`; beyond the image they are its reflection.

    They are laid out in channels_last, in which convolutions take less time.
    """
    height, width = x.shape[-2:]
    if top < 0 or left < 0 or bottom > height or right > width:
        rows, columns = reflected(top, bottom, height, x.device), reflected(left, right, width, x.device)
        first, last = int(rows.min()), int(rows.max()) + 1
        part = x[..., first:last, :].index_select(-2, rows - first).index_select(-1, columns)
    else:
        part = x[..., top:bottom, left:right]
    return part.contiguous(memory_format=torch.channels_last)


def reflected(start: int, stop: int, length: int, device: torch.device) -> Tensor:
    """The pixels that stand at ``start:stop`` of an axis of `length` pixels which goes on reflected on both sides.

    The pixel at the border is not repeated. An axis shorter than what is beyond it is reflected again and again.
    """
    period = max(2 * length - 2, 1)
    places = torch.arange(start, stop, device=device) % period
    return torch.minimum(places, period - places)


def reduced(x: Tensor, megapixels: float) -> Tensor:
    """`x` `(N, 3, H, W)` made smaller, smoothed, to about this many `megapixels`; itself where it is no larger."""
    height, width = x.shape[-2:]
    scale = (megapixels * 1e6 / (height * width)) ** 0.5
    if scale >= 1:
        return x
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return F.interpolate(x, size, mode="bilinear", antialias=True)


@contextlib.contextmanager
def undivided(network: nn.Module) -> Iterator[None]:
    """Inside, what `network` would do with parts of the image by itself it does with the whole.

    MPRNet's first stages see quarters and halves, whose borders show as seams in the middle of the result. A network
    that divides says so by an attribute ``divides_image = True`` and leaves it where that is False.
    """
    with alone(network):
        dividing = [layer for layer in network.modules() if getattr(layer, "divides_image", False) is True]
        for layer in dividing:
            layer.divides_image = False  # type: ignore[assignment]
        try:
            yield
        finally:
            for layer in dividing:
                layer.divides_image = True  # type: ignore[assignment]
