"""What every metric does first: check its images and bring them to float64 in [0, 1] or to grey levels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.metrics.filters import map_strips, plain

# MATLAB's rgb2gray: the first row of inv([1 .956 .621; 1 -.272 -.647; 1 -1.106 1.703]), the NTSC luma.
_GREY = (0.29893602129377539, 0.58704307445112125, 0.11402090425510336)
# MATLAB's rgb2ycbcr (ITU-R BT.601, studio swing): Y from R, G, B in [0, 1], in grey levels.
_LUMA, _LUMA_OFFSET = (65.481, 128.553, 24.966), 16.0

# The unsigned integers with the bits of a floating-point type, and that of 1.0.
_BITS = {torch.float32: np.uint32, torch.float64: np.uint64}
_ONE = {torch.float32: np.float32(1).view(np.uint32), torch.float64: np.float64(1).view(np.uint64)}


def unit_range(images: Tensor, what: str = "image", *, clamp: bool = True) -> Tensor:
    """The images as float64 in [0, 1].

    Args:
        images: `(N, C, H, W)` of one or three channels, floating point in [0, 1] or uint8 in 0..255.
        what: what to call them in an error.
        clamp: cut floating-point values outside [0, 1].

    Raises:
        UserError: another shape or type.
    """
    check(images, what)
    if images.dtype == torch.uint8:
        return images.double() / 255
    return (clamped(images) if clamp else images).double()


def clamped(images: Tensor) -> Tensor:
    """Images cut to [0, 1] if they are floating point; the tensor itself where it is quick to see that this is all."""
    if not images.is_floating_point():
        return images
    if images.dtype in _BITS and images.numel() > 0 and plain(images):
        bits = images.numpy().view(_BITS[images.dtype])
        # Read as unsigned integers, 0..1 keep their order, and negative numbers and NaN come after them.
        if bits.max() <= _ONE[images.dtype]:
            return images
    return images.clamp(0, 1)


def check(images: Tensor, what: str = "image") -> None:
    """Refuse what is no batch of images.

    Raises:
        UserError: the shape or type is another than `unit_range` takes.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UserError(
            f"A metric takes a {what} of shape (N, C, H, W) with C = 1 or 3, but this one is {tuple(images.shape)}."
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise UserError(
            f"A metric takes floating-point images in [0, 1] or uint8 images, but this {what} is {images.dtype}."
        )


def check_pair(restored: Tensor, reference: Tensor) -> None:
    """Refuse what cannot be compared.

    Raises:
        UserError: one is no batch of images, or they differ in shape.
    """
    if restored.shape != reference.shape:
        raise UserError(
            f"The restored image is {tuple(restored.shape)} but its reference is {tuple(reference.shape)}; "
            "crop or resize one of them before they are compared."
        )
    check(restored, "restored image")
    check(reference, "reference")


def round_half_up(levels: Tensor) -> Tensor:
    """MATLAB's rounding of values that are not negative (`torch.round` goes to the even neighbour)."""
    return (levels + 0.5).floor_()


def eight_bit(images: Tensor) -> Tensor:
    """Images in [0, 1] rounded to the 256 values that an 8-bit file can hold; still in [0, 1]."""
    return round_half_up(images * 255) / 255


def _weighted(images: Tensor, weights: tuple[float, float, float]) -> Tensor:
    red, green, blue = images.unbind(1)
    return (red * weights[0]).add_(green, alpha=weights[1]).add_(blue, alpha=weights[2]).unsqueeze(1)


def luma(images: Tensor, *, rounded: bool) -> Tensor:
    """Y of MATLAB's rgb2ycbcr, `(N, 1, H, W)` in [16/255, 235/255]; one channel is taken to be Y already.

    Args:
        images: RGB in [0, 1].
        rounded: round Y to 8 bit, as rgb2ycbcr does for uint8 images.
    """
    if images.shape[1] == 1:
        return images
    levels = _weighted(images, _LUMA) + _LUMA_OFFSET
    return (round_half_up(levels) if rounded else levels) / 255


def grey_levels(images: Tensor, what: str = "image", *, least: int = 1, metric: str = "A metric") -> Tensor:
    """MATLAB's rgb2gray of uint8 images: whole grey levels 0..255 as float64 `(N, 1, H, W)`.

    Args:
        images: see `unit_range`; rounded to 8 bit first.
        what: what to call the images in an error.
        least: the least height and width that `metric` can score.
        metric: the metric's name, for the error.

    Raises:
        UserError: the shape or type is wrong, or the image is too small.
    """
    check(images, what)
    check_size(images, least, metric)

    def strip(part: Tensor) -> Tensor:
        whole = part.double() if part.dtype == torch.uint8 else round_half_up(clamped(part).double() * 255)
        return whole if whole.shape[1] == 1 else round_half_up(_weighted(whole, _GREY))

    return map_strips(strip, images)


def check_size(images: Tensor, least: int, metric: str) -> None:
    """Refuse images of less than `least` pixels on a side.

    Raises:
        UserError: they are too small.
    """
    height, width = images.shape[-2:]
    if min(height, width) < least:
        raise UserError(
            f"{metric} needs images of at least {least}x{least} pixels, but this one is {height}x{width}; "
            "leave the metric out or give larger images."
        )


def per_image(score: Callable[[Tensor], Tensor], levels: Tensor, *, flat: float = math.nan) -> Tensor:
    """`score` of each image `(C, H, W)` on its own, `(N,)`.

    Args:
        score: what to compute; called only where it is defined.
        levels: `(N, C, H, W)`.
        flat: the value of an image whose pixels are all the same. With a pixel that is not finite it is NaN.
    """

    def value(image: Tensor) -> Tensor:
        least, most = (bound.item() for bound in image.aminmax())  # both NaN if any pixel is
        if not math.isfinite(least + most):
            return image.new_tensor(math.nan)
        return image.new_tensor(flat) if least == most else score(image)

    return torch.stack([value(image) for image in levels])


def in_groups(score: Callable[[Tensor], Tensor], levels: Tensor, *, values: int = 1 << 18) -> Tensor:
    """As `per_image`, for a `score` of several images `(M, C, H, W)` at a time, `(M,)`; NaN for flat images.

    A few small images share the cost of a call; of large ones, about `values` pixels, each has its own.
    """
    least, most = levels.flatten(1).amin(1), levels.flatten(1).amax(1)
    result = torch.full_like(least, math.nan)
    sound = (least < most).nonzero()[:, 0]  # a comparison with NaN is false
    for group in sound.split(max(1, values // levels[0].numel())) if len(sound) else ():
        result[group] = score(levels[group])
    return result


def check_colour(images: Tensor, metric: str) -> None:
    """Refuse images that have one channel.

    Raises:
        UserError: they have.
    """
    if images.shape[1] != 3:
        raise UserError(f"{metric} compares colours, but these images have {images.shape[1]} channel.")
