"""Structural similarity (Wang et al. 2004) in the variants that the papers' code computes.

"SSIM" is a different number in almost every code base: the window, the border, the covariance's normaliser, the
colour space and the assumed range all differ. Each variant is a preset, and a preset is data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from limpid.errors import UserError, nearest
from limpid.metrics import images
from limpid.metrics.filters import box_mean, gaussian, gaussian_mean, pad, sum_over_strips


@dataclass(frozen=True)
class SSIMPreset:
    """One variant of SSIM.

    Attributes:
        size: side of the window in pixels.
        sigma: of the Gaussian window in pixels; None is a uniform window.
        border: `valid` scores only pixels whose window lies inside, `zero` and `replicate` pad the images.
        data_range: L of C1 = (k1 L)² and C2 = (k2 L)², where the images themselves have range one.
        sample_covariance: variances are divided by n - 1 instead of n.
        space: `rgb` averages the three channels; `y` is rgb2ycbcr's, `grey` rgb2gray's, rounded to 8 bit.
        across_colours: the window is a cube that also reaches over the colour axis, replicated at its ends.
        quantise: the images are rounded to 8 bit first.
        k1: of C1.
        k2: of C2.
    """

    size: int = 11
    sigma: float | None = 1.5
    border: Literal["valid", "zero", "replicate"] = "valid"
    data_range: float = 1.0
    sample_covariance: bool = False
    space: Literal["rgb", "y", "grey"] = "rgb"
    across_colours: bool = False
    quantise: bool = False
    k1: float = 0.01
    k2: float = 0.03


PRESETS: dict[str, SSIMPreset] = {
    # scikit-image's structural_similarity, data_range=1: OP-Attention, GridDehazeNet
    "skimage7": SSIMPreset(size=7, sigma=None, sample_covariance=True),
    # the same on floats without a data_range, before scikit-image 0.16 (it took -1..1): SPANet
    "skimage7_range2": SSIMPreset(size=7, sigma=None, sample_covariance=True, data_range=2.0),
    # Wang's ssim_index on each colour
    "wang": SSIMPreset(),
    # Wang's ssim_index on Y: MPRNet's deraining
    "wang_y": SSIMPreset(space="y", quantise=True),
    # zero padding, nothing cropped: FFA-Net, FAM
    "zero_pad": SSIMPreset(border="zero"),
    # MATLAB's ssim of an (H, W, 3) array, which it takes for a volume: GoPro, SRN, MPRNet's deblurring
    "matlab_rgb3d": SSIMPreset(border="replicate", across_colours=True, quantise=True),
    # MATLAB's ssim of rgb2gray
    "matlab_grey": SSIMPreset(border="replicate", space="grey", quantise=True),
}


def ssim(restored: Tensor, reference: Tensor, *, preset: str | SSIMPreset = "skimage7", clamp: bool = True) -> Tensor:
    """Mean structural similarity of each image: eq. 13 of Wang et al. 2004, averaged over the scored pixels.

    Args:
        restored: `(N, 3, H, W)` or `(N, 1, H, W)`, floating point in [0, 1] or uint8.
        reference: the same shape.
        preset: a name of `PRESETS` or a preset of your own.
        clamp: cut floating-point values outside [0, 1].

    Returns:
        `(N,)` float64 in [-1, 1]; higher is better. Differentiable unless the preset rounds to 8 bit.

    Raises:
        UserError: an unknown preset, shapes or types that do not fit, or an image smaller than the window.
    """
    p = _named(preset)
    images.check_pair(restored, reference)
    images.check_size(restored, p.size, f"SSIM with a window of {p.size} pixels")

    def compared(some: Tensor) -> Tensor:
        some = images.unit_range(some, clamp=clamp)
        if p.quantise:
            some = images.eight_bit(some)
        if p.space == "grey":
            return images.grey_levels(some) / 255
        return images.luma(some, rounded=p.quantise) if p.space == "y" else some

    def similarity(x: Tensor, y: Tensor) -> Tensor:
        if p.border == "valid":
            x, y = compared(x), compared(y)
        return _similarity(x, y, p).sum((1, 2, 3))

    if p.border != "valid":
        restored, reference = (pad(compared(some), p.size // 2, p.border) for some in (restored, reference))
    sums = sum_over_strips(similarity, restored, reference, overlap=p.size - 1)
    channels, (height, width) = 1 if p.space != "rgb" else restored.shape[1], restored.shape[2:]
    return sums / (channels * (height - p.size + 1) * (width - p.size + 1))


def _named(preset: str | SSIMPreset) -> SSIMPreset:
    if isinstance(preset, SSIMPreset):
        return preset
    if preset not in PRESETS:
        hint = nearest(preset, PRESETS)
        raise UserError(f"There is no SSIM preset named {preset!r}{hint}; there are {', '.join(PRESETS)}.")
    return PRESETS[preset]


def _similarity(x: Tensor, y: Tensor, p: SSIMPreset) -> Tensor:
    """The map of similarities of `(N, C, H, W)` images, wherever the window lies inside."""
    # Of x + y and x - y four maps are filtered; x, y and their three products would be five.
    maps = torch.stack([x + y, x - y])
    squares = _local_means(maps, p).square()
    variances = _local_means(maps.square(), p) - squares
    n = p.size**2
    c1, c2 = (p.k1 * p.data_range) ** 2, (p.k2 * p.data_range) ** 2
    return _ratio(squares, c1) * _ratio(variances, c2 * (n - 1) / n if p.sample_covariance else c2)


def _ratio(of_sum_and_difference: Tensor, c: float) -> Tensor:
    """`(2 xy + c) / (x² + y² + c)`, of the luminances and of the contrasts, from `(x + y)²` and `(x - y)²`."""
    of_sum, of_difference = of_sum_and_difference
    return (of_sum - of_difference).add_(2 * c) / (of_sum + of_difference).add_(2 * c)


def _local_means(maps: Tensor, p: SSIMPreset) -> Tensor:
    """Windowed means of `(M, N, C, H, W)`."""
    if p.across_colours:
        maps = torch.einsum("ij,mnjhw->mnihw", _colour_window(maps.shape[2], p).to(maps.device), maps)
    return box_mean(maps, p.size) if p.sigma is None else gaussian_mean(maps, p.size, p.sigma)


def _colour_window(channels: int, p: SSIMPreset) -> Tensor:
    """The window along the colour axis, replicated at its ends, as weights `(C, C)` of the colours."""
    weights = gaussian(p.size, p.sigma) if p.sigma is not None else [1 / p.size] * p.size
    reach = torch.arange(p.size) - p.size // 2
    source = (torch.arange(channels)[:, None] + reach).clamp(0, channels - 1)
    window = torch.tensor(weights, dtype=torch.float64).expand(channels, -1)
    return torch.zeros(channels, channels, dtype=torch.float64).scatter_add(1, source, window)
