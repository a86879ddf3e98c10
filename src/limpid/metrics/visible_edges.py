"""Contrast restored at visible edges: e, r and sigma, and the visible-edge difference E_d.

Hautière, Tarel, Aubert and Dumont, "Blind contrast enhancement assessment by gradient ratioing at visible edges",
2008. An edge is where the best of all thresholds of a small window separates neighbours (Köhler 1981), and it is
visible if its contrast exceeds five per cent (CIE 1987).

The paper leaves the windows' arrangement open. Here they are centred on every fourth pixel of the mirrored image, so
that they overlap by half, s separates a < b where a < s <= b, and the contrast of a border is the mean of its vertical
and of its horizontal neighbours' means. This reading is a guess, the nearest of tens of thousands that were tried on
the one scene for which the counts of the authors' program are known: 2435, 4691 and 4901 edge pixels in its hazy, its
restored and its clean image, here 2432, 4716 and 4904. No reading gave all three, and they differ by much: moving the
windows by one pixel changes e by 3 to 8 per cent. So there e is 0.4 to 1.4 per cent from theirs, r up to 0.6, sigma the
same, but E_d, a small difference of large counts, 11 per cent (0.0399 in place of 0.0448).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.metrics import images
from limpid.metrics.filters import pad, pad_symmetric


class VisibleEdges(NamedTuple):
    """What a restoration does to the visible edges; each `(N,)` float64.

    Attributes:
        e: rate of new visible edges, `(n_r - n_0) / n_0` (eq. 8); higher is better.
        r: geometric mean of the gradients' ratio at the restored image's visible edges (eq. 9); higher is better.
        sigma: share of pixels that became black or white, 0..1 (eq. 10); lower is better.
    """

    e: Tensor
    r: Tensor
    sigma: Tensor


def visible_edges(
    restored: Tensor, degraded: Tensor, *, window: int = 7, contrast: float = 0.05, white: int = 256
) -> VisibleEdges:
    """The three indicators of a restored image against the degraded one that it was made from.

    Args:
        restored: `(N, 3, H, W)` or `(N, 1, H, W)`, floating point in [0, 1] or uint8; rounded to 8 bit, in grey.
        degraded: the same shape; the input of the restoration, not a clean reference.
        window: side of the windows in pixels; they overlap by half.
        contrast: above which an edge is visible.
        white: the grey level that counts as white in sigma. The authors' code says 256, which no pixel has, so that
            only black counts; 255 gives the definition of the paper.

    Returns:
        Where the degraded image has no visible edge, e is infinite (NaN if the restored one has none either); without
        a visible edge in the restored image, r is NaN.

    Raises:
        UserError: the shapes or types do not fit, or an image is smaller than the window.
    """
    after, before = _grey_pair(restored, degraded, window)
    edges_after = edges(after, window=window, contrast=contrast)
    n_after, n_before = _count(edges_after), _count(edges(before, window=window, contrast=contrast))
    gradient_after, gradient_before = gradient(after), gradient(before)
    counted = edges_after & (gradient_after > 0) & (gradient_before > 0)
    logarithm = torch.where(counted, gradient_after / gradient_before, 1.0).log()
    return VisibleEdges(
        e=(n_after - n_before) / n_before,
        r=(logarithm.sum((1, 2, 3)) / _count(counted)).exp(),
        sigma=_saturated(after, before, white),
    )


def visible_edges_e(restored: Tensor, degraded: Tensor, *, window: int = 7, contrast: float = 0.05) -> Tensor:
    """The rate of new visible edges alone, `(N,)`; see `visible_edges`."""
    return visible_edges(restored, degraded, window=window, contrast=contrast).e


def visible_edges_r(restored: Tensor, degraded: Tensor, *, window: int = 7, contrast: float = 0.05) -> Tensor:
    """The mean ratio of gradients alone, `(N,)`; see `visible_edges`."""
    return visible_edges(restored, degraded, window=window, contrast=contrast).r


def visible_edges_sigma(restored: Tensor, degraded: Tensor, *, white: int = 256) -> Tensor:
    """The share of pixels that became black or white alone, `(N,)`; see `visible_edges`."""
    after, before = _grey_pair(restored, degraded, 1)
    return _saturated(after, before, white)


def visible_edge_difference(
    restored: Tensor,
    reference: Tensor,
    *,
    per: Literal["restored", "reference"] = "restored",
    window: int = 7,
    contrast: float = 0.05,
) -> Tensor:
    """E_d, the visible edges that a restored image lacks: `(n_reference - n_restored) / n`.

    WMCP-EM's paper (figure 13) prints no formula; it says that lower is better, that lost edges are positive, and that
    edges of artefacts are negative. This is a reading of that text.

    Args:
        restored: `(N, 3, H, W)` or `(N, 1, H, W)`, floating point in [0, 1] or uint8; rounded to 8 bit, in grey.
        reference: the clean image, of the same shape.
        per: whose number of visible edges is n. With `restored` it is the rate e from the restored image to its
            reference.
        window: side of the windows in pixels.
        contrast: above which an edge is visible.

    Returns:
        `(N,)` float64; infinite or NaN where n is zero.

    Raises:
        UserError: the shapes or types do not fit, or an image is smaller than the window.
    """
    out, clean = (
        _count(edges(levels, window=window, contrast=contrast)) for levels in _grey_pair(restored, reference, window)
    )
    return (clean - out) / (out if per == "restored" else clean)


def _grey_pair(first: Tensor, second: Tensor, window: int) -> tuple[Tensor, Tensor]:
    images.check_pair(first, second)
    return tuple(images.grey_levels(one, metric="Visible edges", least=window) for one in (first, second))  # type: ignore[return-value]


def _saturated(after: Tensor, before: Tensor, white: int) -> Tensor:
    """The share `(N,)` of pixels that are black or white now and were not before."""
    saturated = ((after == 0) | (after == white)) & (before != 0) & (before != white)
    return saturated.double().mean((1, 2, 3))


def _count(mask: Tensor) -> Tensor:
    return mask.sum((1, 2, 3)).double()


def gradient(levels: Tensor) -> Tensor:
    """Magnitude of Sobel's gradient of `(N, 1, H, W)`, the border pixels repeated."""
    padded = pad(levels, 1, "replicate")
    up, middle, down = padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :]
    smooth, slope = up + 2 * middle + down, down - up
    across = smooth[..., 2:] - smooth[..., :-2]
    along = slope[..., :-2] + 2 * slope[..., 1:-1] + slope[..., 2:]
    return torch.hypot(across, along)


def edges(levels: Tensor, *, window: int = 7, contrast: float = 0.05) -> Tensor:
    """Where the visible edges are: whole grey levels `(N, 1, H, W)` to a mask of the same shape."""
    return torch.stack([_image_edges(image, window, contrast) for image in levels])


def _image_edges(image: Tensor, window: int, contrast: float) -> Tensor:
    """The mask `(1, H, W)` of one image: the union over windows that overlap by half."""
    margin, step = window // 2, (window + 1) // 2
    mirrored = pad_symmetric(pad_symmetric(image[0], 0, margin, margin), 1, margin, margin)
    grid = mirrored.unfold(0, window, step).unfold(1, window, step)
    rows, columns = grid.shape[:2]
    windows = grid.flatten(0, 1)
    threshold, found = _best_threshold(windows)

    above = windows >= threshold[:, None, None]
    separated = torch.zeros_like(above)
    for dim in (1, 2):
        near, far = (separated.narrow(dim, start, window - 1) for start in (0, 1))
        crossing = above.narrow(dim, 0, window - 1) != above.narrow(dim, 1, window - 1)
        near |= crossing
        far |= crossing
    visible = separated & (2 * found > contrast)[:, None, None]

    covered = (rows - 1) * step + window, (columns - 1) * step + window
    union = F.fold(visible.flatten(1).T.double()[None], covered, window, stride=step)[0] > 0
    mask = torch.zeros_like(mirrored, dtype=torch.bool)[None]
    mask[:, : covered[0], : covered[1]] = union
    return mask[:, margin : margin + image.shape[1], margin : margin + image.shape[2]]


def _best_threshold(windows: Tensor, *, levels: int = 256, at_once: int = 512) -> tuple[Tensor, Tensor]:
    """The threshold of each `(B, w, w)` window whose border has the greatest mean contrast, and that contrast.

    A threshold s separates neighbours a < b where a < s <= b, with contrast min((s - a) / s, (b - s) / b). Up to
    s² = ab that is 1 - a / s, then 1 - s / b, so that running sums over s of 1, a and 1 / b give every mean at once.

    Args:
        windows: whole grey levels.
        levels: how many grey levels there are.
        at_once: windows whose sums are held at a time.
    """
    found = [_threshold_of_some(some, levels) for some in windows.split(at_once)]
    thresholds, contrasts = zip(*found, strict=True)
    return torch.cat(thresholds), torch.cat(contrasts)


def _threshold_of_some(windows: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    near = torch.stack([windows[:, :-1].flatten(1), windows[:, :, :-1].flatten(1)], 1)
    far = torch.stack([windows[:, 1:].flatten(1), windows[:, :, 1:].flatten(1)], 1)
    a, b = torch.minimum(near, far), torch.maximum(near, far)  # (B, 2, w (w - 1)): vertical and horizontal neighbours
    start, turn, end = a.long() + 1, (a * b).sqrt().long() + 1, b.long() + 1

    def running_sum(values: Tensor, first: Tensor, beyond: Tensor) -> Tensor:
        """The sum, at each s, of the values of the neighbours with `first <= s < beyond`: `(B, 2, levels + 1)`."""
        steps = values.new_zeros(*values.shape[:2], levels + 1)
        return steps.scatter_add(2, first, values).scatter_add_(2, beyond, -values).cumsum(2)

    s = torch.arange(levels + 1, dtype=windows.dtype, device=windows.device).clamp_min(1)
    count = running_sum(torch.ones_like(a), start, end)
    contrast = count - running_sum(a, start, turn) / s - running_sum(1 / b.clamp_min(1), turn, end) * s
    best, threshold = (contrast / count.clamp_min(1)).mean(1).max(1)
    return threshold, best
