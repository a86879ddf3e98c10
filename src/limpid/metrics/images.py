"""What every metric does first: check its images and bring them to float64 in [0, 1] or to grey levels."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from limpid.errors import UserError

# MATLAB's rgb2gray: the first row of inv([1 .956 .621; 1 -.272 -.647; 1 -1.106 1.703]), the NTSC luma.
_GREY = (0.29893602129377539, 0.58704307445112125, 0.11402090425510336)
# MATLAB's rgb2ycbcr (ITU-R BT.601, studio swing): Y from R, G, B in [0, 1], in grey levels.
_LUMA, _LUMA_OFFSET = (65.481, 128.553, 24.966), 16.0


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
    return (images.clamp(0, 1) if clamp else images).double()


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


def pair(restored: Tensor, reference: Tensor, *, clamp: bool = True) -> tuple[Tensor, Tensor]:
    """Both images of a full-reference metric as float64 in [0, 1]; see `unit_range` and `check_pair`."""
    check_pair(restored, reference)
    return unit_range(restored, clamp=clamp), unit_range(reference, clamp=clamp)


def round_half_up(levels: Tensor) -> Tensor:
    """MATLAB's rounding of values that are not negative (`torch.round` goes to the even neighbour)."""
    return torch.floor(levels + 0.5)


def eight_bit(images: Tensor) -> Tensor:
    """Images in [0, 1] rounded to the 256 values that an 8-bit file can hold; still in [0, 1]."""
    return round_half_up(images * 255) / 255


def _weighted(images: Tensor, weights: tuple[float, float, float]) -> Tensor:
    red, green, blue = images.unbind(1)
    return (red * weights[0] + green * weights[1] + blue * weights[2]).unsqueeze(1)


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
    levels = round_half_up(unit_range(images, what) * 255)
    check_size(levels, least, metric)
    return levels if levels.shape[1] == 1 else round_half_up(_weighted(levels, _GREY))


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
        if not bool(image.isfinite().all()):
            return image.new_tensor(math.nan)
        return image.new_tensor(flat) if bool((image == image.flatten()[0]).all()) else score(image)

    return torch.stack([value(image) for image in levels])


def check_colour(images: Tensor, metric: str) -> None:
    """Refuse images that have one channel.

    Raises:
        UserError: they have.
    """
    if images.shape[1] != 3:
        raise UserError(f"{metric} compares colours, but these images have {images.shape[1]} channel.")
