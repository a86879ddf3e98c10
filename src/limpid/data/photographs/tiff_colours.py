"""What the samples of a TIFF are: grey, colours or inks, with or without alpha, from black to white or from white."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from limpid.data.photographs import colours, tiff_values
from limpid.data.photographs.photograph import Stored
from limpid.errors import UserError

if TYPE_CHECKING:
    from tifffile import TiffPage

_PHOTOMETRIC = 262  # PhotometricInterpretation, of which these are the values:
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_CHANNELS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_ASSOCIATED, _UNASSOCIATED = 1, 2  # alpha that the colours are multiplied by, and that they are not
_ALPHAS = (_ASSOCIATED, _UNASSOCIATED)
_LEAST, _MOST = 340, 341  # SMinSampleValue and SMaxSampleValue
_JPEG = 7  # of Compression; what it makes of signed values is not agreed
_INK_SET, _CMYK_INKS = 332, 1


def meaning(page: TiffPage, values: NDArray[Any], name: str) -> Stored:
    """The colours and the alpha that the samples of a page are.

    Args:
        page: whose tags say it.
        values: `(H, W, channels)`.
        name: of the file, for sentences.

    Raises:
        UserError: nothing says it, or it is of a kind that is not agreed.
    """
    photometric = int(page.photometric)
    count = _CHANNELS.get(photometric)
    if _PHOTOMETRIC not in page.tags:
        raise UserError(f"{name} does not say what its samples are, colours or grey; save it as RGB and try again.")
    if count is None:
        words = getattr(page.photometric, "name", str(photometric))
        raise UserError(f"{name} holds colours of a kind that is not agreed ({words}); save it as RGB and try again.")
    if values.shape[2] < count:
        raise UserError(f"{name} has {values.shape[2]} channels where {count} make a picture; save it as RGB.")
    extra = values.shape[2] - count
    meanings = (*map(int, page.extrasamples), *[0] * extra)[:extra]  # without the tag nothing is said
    if extra > 1 and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and not any(meanings):
        raise UserError(
            f"{name} has {values.shape[2]} channels that are not said to be red, green and blue; save it as RGB."
        )
    samples, note = _colours(page, values[..., :count], name)
    notes = [note] if note else []
    alpha = None
    first, note = _alpha_among(meanings, photometric)
    if first is not None:
        alpha = _whole_alpha(_in_range(values[..., count + first], page, name))
        if meanings[first] not in _ALPHAS and not alpha.any():  # padding: nothing would be seen of the picture
            alpha, note = None, "has a channel beside its colours that is empty, which was left out"
    notes += [note] if note else []
    # That of other colours describes a space that is left.
    profile = None if photometric in (_CMYK, _LAB) else page.iccprofile
    if alpha is not None and first is not None and meanings[first] == _ASSOCIATED:
        samples = colours.without_alpha(samples, alpha)
    return Stored(samples[..., 0] if samples.shape[2] == 1 else samples, alpha, profile=profile, notes=notes)


def _alpha_among(meanings: tuple[int, ...], photometric: int) -> tuple[int | None, str]:
    """Which of the channels beside the colours is alpha, and what is to be noted.

    One that is not said to be anything is alpha beside red, green and blue, as many programs write it; beside inks it
    is one more ink, or a selection.
    """
    said = [index for index, meaning in enumerate(meanings) if meaning in _ALPHAS]
    if not meanings:
        return None, ""
    if not said and photometric == _CMYK:
        return None, "has more channels than its inks, none of which is said to be alpha; they were left out"
    if len(meanings) > 1:
        return (said or [0])[0], f"has {len(meanings)} channels beside its colours, of which one was taken for alpha"
    return 0, "" if said else "has a channel beside its colours that is not said to be alpha, and was taken for it"


def _colours(page: TiffPage, values: NDArray[Any], name: str) -> tuple[NDArray[Any], str]:
    """Grey or RGB samples, `(H, W, 1)` or `(H, W, 3)`, and what is to be noted."""
    photometric = int(page.photometric)
    if photometric == _PALETTE:
        return _from_palette(values[..., 0], page, name), ""
    if photometric == _LAB:
        return _from_lab(values, page, name), ""
    samples = _in_range(values, page, name)
    if photometric == _CMYK:
        return _from_inks(samples, page, name)
    if photometric == _WHITE_IS_ZERO:
        samples = (np.float32(1) if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max) - samples
    return samples, ""


def _bits(page: TiffPage) -> int:
    bits = page.bitspersample
    if isinstance(bits, (tuple, list)):
        return max(bits)
    return int(bits)


def _in_range(values: NDArray[Any], page: TiffPage, name: str) -> NDArray[Any]:
    bounds = tiff_values.bounds_of(page.tags.valueof(_LEAST), page.tags.valueof(_MOST))
    try:
        return tiff_values.agreed(values, _bits(page), bounds)
    except tiff_values.NoAgreedRangeError as error:
        raise UserError(
            f"{name} has {error}; save it as 8 or 16 bit, or as floating-point values in [0, 1]."
        ) from error


def _whole_alpha(alpha: NDArray[Any]) -> NDArray[np.unsignedinteger]:
    if alpha.dtype.kind == "f":
        return np.floor(alpha * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
    return alpha


def _from_palette(indices: NDArray[Any], page: TiffPage, name: str) -> NDArray[np.uint8]:
    """Colours of 16 bits, of which the upper 8 are meant, or, by old writers, the lower."""
    palette = page.colormap
    if indices.dtype == np.bool_:  # as which tifffile gives 1 bit
        indices = indices.astype(np.uint8)
    if palette is None or palette.shape[0] != 3 or int(indices.max()) >= palette.shape[1]:
        raise UserError(f"{name} is damaged (its palette is too short); save it as RGB and try again.")
    narrow = palette if palette.max() < 256 else palette >> 8
    return np.ascontiguousarray(narrow.astype(np.uint8).T[indices])


def _from_inks(samples: NDArray[Any], page: TiffPage, name: str) -> tuple[NDArray[Any], str]:
    if page.tags.valueof(_INK_SET, _CMYK_INKS) != _CMYK_INKS or samples.dtype.kind == "f":
        raise UserError(f"{name} holds print colours that are not cyan, magenta, yellow and black; save it as RGB.")
    return colours.from_cmyk(samples, page.iccprofile)


def _from_lab(values: NDArray[Any], page: TiffPage, name: str) -> NDArray[Any]:
    """CIE L*a*b* of 8 or 16 bits: L* unsigned, a* and b* signed (TIFF 6.0, section 23)."""
    bits = values.dtype.itemsize * 8
    if values.dtype.kind not in "ui" or bits not in (8, 16) or page.compression == _JPEG:
        raise UserError(f"{name} holds Lab colours of a kind that is not agreed; save it as RGB and try again.")
    unsigned, signed = np.dtype(f"u{bits // 8}"), np.dtype(f"i{bits // 8}")
    samples = np.empty(values.shape, unsigned)
    steps = np.float32(2 ** (bits - 8))
    highest = np.float32(2**bits - 1)
    for row, line in zip(samples, values, strict=True):
        lab = line.view(signed).astype(np.float32) / steps
        lab[:, 0] = line[:, 0].astype(unsigned) * (np.float32(100) / highest)
        row[...] = np.floor(colours.from_lab(lab) * highest + np.float32(0.5))
    return samples
