"""Contrast restored at visible edges: e, r and sigma, and the visible-edge difference E_d.

Hautière, Tarel, Aubert and Dumont, "Blind contrast enhancement assessment by gradient ratioing at visible edges",
2008. An edge is where the best of all thresholds of a small window separates neighbours (Köhler 1981), and it is
visible if its contrast exceeds five per cent (CIE 1987).

The paper leaves much open; here it is as in the authors' own evaluation. Windows begin at every fourth pixel and run
over the lower and right border into the mirrored image. In a window of 7x7 each pixel but the first row's and column's
is compared with the one above and the one to its left, whose lesser and greater level are mirrored beyond the border
like the image. A threshold s separates a < b where a <= s < b; the contrast of a border is the mean over all its
neighbours, vertical and horizontal together. The count of the one scene for which that of the authors' program is
known agrees to the pixel: 2435, 4691 and 4901 in its hazy, restored and clean image.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.metrics import images
from limpid.metrics.filters import pad, pad_symmetric

#: Contrasts that are nearer than this may be equal.
_ROUNDING = 1e-12


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
        A visible edge without a gradient in either image counts as unchanged in r, as in the authors' program. Where
        the degraded image has no visible edge, e is infinite (NaN if the restored one has none either); without a
        visible edge in the restored image, r is NaN.

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
        r=(logarithm.sum((1, 2, 3)) / n_after).exp(),
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
    up = padded[..., :-2, :]
    middle = padded[..., 1:-1, :]
    down = padded[..., 2:, :]
    smooth, slope = up + 2 * middle + down, down - up
    across = smooth[..., 2:] - smooth[..., :-2]
    along = slope[..., :-2] + 2 * slope[..., 1:-1] + slope[..., 2:]
    return torch.hypot(across, along)


def edges(levels: Tensor, *, window: int = 7, contrast: float = 0.05) -> Tensor:
    """Where the visible edges are: whole grey levels `(N, 1, H, W)` to a mask of the same shape."""
    return torch.stack([_image_edges(image, window, contrast) for image in levels])


def _image_edges(image: Tensor, window: int, contrast: float) -> Tensor:
    """The mask `(1, H, W)` of one image: the union over windows that overlap by half."""
    step = (window + 1) // 2
    height, width = image.shape[1:]
    rows, columns = -(-height // step), -(-width // step)
    padded = pad_symmetric(pad_symmetric(_neighbours(image[0]), 1, 0, window), 2, 0, window)
    grid = padded.unfold(1, window, step).unfold(2, window, step)[:, :rows, :columns]
    whole = torch.zeros(rows, columns, dtype=torch.bool, device=image.device)
    whole[: (height - window) // step + 1, : (width - window) // step + 1] = True

    pairs = _pairs(grid.flatten(1, 2))
    threshold, found = _best_thresholds(pairs, whole.flatten(), contrast / 2)
    at = threshold[:, None, None]
    separated = ((pairs.low <= at) & (at < pairs.high)).unflatten(2, (window - 1, window - 1))
    marked = torch.zeros(rows * columns, window, window, dtype=torch.bool, device=image.device)
    vertical, horizontal = separated.unbind(1)
    marked[:, 1:, 1:] |= vertical | horizontal
    marked[:, :-1, 1:] |= vertical
    marked[:, 1:, :-1] |= horizontal
    visible = marked & (found > contrast / 2)[:, None, None]

    covered = (rows - 1) * step + window, (columns - 1) * step + window
    union = F.fold(visible.flatten(1).T.double()[None], covered, window, stride=step)[0] > 0
    return union[:, :height, :width]


class _Pairs(NamedTuple):
    """The neighbours that windows compare, vertical ones before horizontal ones: each `(B, 2, (w - 1)^2)`.

    Inside the image `low` and `high` are the two levels. Beyond its border they are mirrored maps of what they are
    inside, but within the window's range, while `own` and `other` are the mirrored image.
    """

    own: Tensor
    other: Tensor
    low: Tensor
    high: Tensor


def _neighbours(levels: Tensor) -> Tensor:
    """Levels `(H, W)`, and the lesser and the greater of each and the one above, then the one left: `(5, H, W)`."""
    above, left = (pad_symmetric(levels, dim, 1, 0).narrow(dim, 0, levels.shape[dim]) for dim in (0, 1))
    of_above = torch.minimum(levels, above), torch.maximum(levels, above)
    of_left = torch.minimum(levels, left), torch.maximum(levels, left)
    return torch.stack([levels, *of_above, *of_left])


def _pairs(grid: Tensor) -> _Pairs:
    """The pairs of windows of `_neighbours`, `(5, B, w, w)`."""
    levels, low_above, high_above, low_left, high_left = grid
    own = levels[:, 1:, 1:]
    lowest, highest = (extreme(levels.flatten(1), 1)[:, None, None] for extreme in (torch.amin, torch.amax))

    def both(vertical: Tensor, horizontal: Tensor) -> Tensor:
        return torch.stack([vertical, horizontal], 1).flatten(2)

    return _Pairs(
        both(own, own),
        both(levels[:, :-1, 1:], levels[:, 1:, :-1]),
        both(low_above[:, 1:, 1:], low_left[:, 1:, 1:]).maximum(lowest),
        both(high_above[:, 1:, 1:], high_left[:, 1:, 1:]).minimum(highest + 1),
    )


def _best_thresholds(pairs: _Pairs, whole: Tensor, limit: float, *, at_once: int = 512) -> tuple[Tensor, Tensor]:
    """The threshold of each window whose border has the greatest mean contrast, and that contrast, `(B,)` each.

    Args:
        pairs: of B windows.
        whole: which windows lie in the image altogether, `(B,)`.
        limit: the contrast above which a border is visible. Where it, or another threshold's contrast, is so near that
            rounding decides, sums are taken in the definition's order.
        at_once: windows whose sums are held at a time.
    """
    threshold, found = pairs.own.new_zeros(2, len(whole))
    slow = [(~whole).nonzero()[:, 0]]
    for places in whole.nonzero()[:, 0].split(at_once):
        contrast = _means(_Pairs(*(part[places] for part in pairs)))
        found[places], best = contrast.max(1)
        threshold[places] = best.to(threshold.dtype)
        several = (contrast > found[places][:, None] - _ROUNDING).sum(1) > 1
        slow.append(places[several | ((found[places] - limit).abs() < _ROUNDING)])
    for places in torch.cat(slow).split(at_once // 8):
        contrast = _means_by_definition(_Pairs(*(part[places] for part in pairs)))
        found[places], threshold[places] = contrast.amax(1), contrast.argmax(1).to(threshold.dtype)
    return threshold, found


def _means(pairs: _Pairs, levels: int = 256) -> Tensor:
    """The mean contrast at each threshold, `(B, levels)`, where `low` and `high` are the levels themselves.

    A threshold s separates a < b where a <= s < b, with contrast min((s - a) / s, (b - s) / b). Up to s² = ab that is
    1 - a / s, then 1 - s / b, so that running sums over s of 1, a and 1 / b give every mean at once.
    """
    a, b = pairs.low.flatten(1), pairs.high.flatten(1)
    start = a.long().clamp_min(1)
    turn = (a * b).sqrt().long() + 1
    end = b.long()
    end = torch.maximum(start, end)
    turn = turn.clamp_max(levels).clamp(start, end)

    def running_sum(values: Tensor, first: Tensor, beyond: Tensor) -> Tensor:
        """The sum, at each s, of the values of the neighbours with `first <= s < beyond`: `(B, levels)`."""
        steps = values.new_zeros(len(values), levels + 1)
        return steps.scatter_add(1, first, values).scatter_add_(1, beyond, -values).cumsum(1)[:, :levels]

    s = torch.arange(levels, dtype=a.dtype, device=a.device).clamp_min(1)
    count = running_sum(torch.ones_like(a), start, end)
    contrast = count - running_sum(a, start, turn) / s - running_sum(1 / b.clamp_min(1), turn, end) * s
    return contrast / count.clamp_min(1)


def _means_by_definition(pairs: _Pairs, levels: int = 256) -> Tensor:
    """The mean contrast at each threshold, `(B, levels)`, for any pairs: the lesser of both levels' contrasts to s.

    Sums go from left to right and from above, of vertical and horizontal neighbours apart, as in the authors' program:
    which of several thresholds is the best may depend on the last bit.
    """
    own, other, low, high = (part[:, None] for part in pairs)
    s = torch.arange(levels, dtype=own.dtype, device=own.device)[:, None, None]
    separated = (s >= 1) & (low <= s) & (s < high)
    contrast = torch.minimum(*((s - level).abs() / torch.maximum(s, level).clamp_min(1) for level in (own, other)))
    vertical, horizontal = (contrast * separated).cumsum(3)[..., -1].unbind(2)
    return (vertical + horizontal) * (1 / separated.sum((2, 3)).clamp_min(1).to(own.dtype))
