"""Photographs as people have them: 8 or 16 bit, grey, with a palette, alpha, an EXIF orientation, a colour profile.

`read_photograph` gives upright RGB pixels and remembers the rest; `write_photograph` writes restored pixels the way the
original was.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from limpid.errors import UserError
from limpid.store.atomic_io import atomic_write

Pixels = NDArray[np.float32]
#: What a file holds: whole numbers of 8 or 16 bits.
Samples = NDArray[np.unsignedinteger]

#: The formats that can be written, by suffix.
FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jfif", ".jpe"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".avif": "AVIF",
    ".jp2": "JPEG2000",
}
#: The formats that can be read, by suffix; HEIC and RAW need an extra.
READABLE = {
    **FORMATS,
    **dict.fromkeys((".j2k", ".j2c", ".jpc", ".jpf", ".jpx"), "JPEG2000"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC"),
    **dict.fromkeys((".dng", ".nef", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"), "RAW"),
    ".mpo": "JPEG",
    ".gif": "GIF",
}
#: The longest side that a format can hold.
_LONGEST = {"JPEG": 65535, "WEBP": 16383, "AVIF": 65535, "BMP": 2**31 - 1}
#: Where a format that is only read goes: the suffix of one that holds as much.
_INSTEAD = {"JPEG": ".jpg", "JPEG2000": ".jp2", "HEIC": ".jpg", "RAW": ".tif", "GIF": ".png"}
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"\x00\x00\x00\x0cjP  ": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}


_PROCESSED_BY = 11  # the EXIF tag ProcessingSoftware
_ORIENTATION = 274  # the EXIF and TIFF tag
_BITS_PER_SAMPLE = 258  # a TIFF tag
_TILE = (322, 323)  # TIFF tags: width and height of a tile, which a decoder makes room for whatever the picture's size
#: EXIF tags that describe how the file stored its pixels, which the new file does in its own way.
_OF_THE_FILE = frozenset({254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 338, 339, 34675})
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Photograph:
    """What a file holds, upright.

    Attributes:
        pixels: `(H, W, 3)` float32 RGB in [0, 1]; the three are alike in a grey photograph.
        levels: the highest value of the file's samples: 255 or 65535.
        grey: whether the file has a single channel of brightness.
        alpha: `(H, W)` in the file's own samples, or None.
        profile: the ICC colour profile, or None.
        exif: the EXIF block without its orientation, or None.
        lossless: whether the file holds exactly these pixels (JPEG and most WebP files do not).
        notes: whole sentences on what of the file was left out.
    """

    pixels: Pixels
    levels: int
    grey: bool
    alpha: Samples | None
    profile: bytes | None
    exif: bytes | None
    lossless: bool = True
    notes: tuple[str, ...] = ()


def read_photograph(path: Path, megapixels: float = 200.0) -> Photograph:
    """The photograph at `path`.

    Args:
        path: PNG, JPEG, TIFF, WebP or BMP.
        megapixels: refuse larger ones.

    Raises:
        UserError: the file cannot be read or is cut short, holds several pictures or floating-point samples, or is
            larger than `megapixels`.
    """
    with _opened(path) as (file, image):
        _refuse(image, path, megapixels)  # by its header alone
        file.seek(0)
        data = file.read()
        with Image.open(io.BytesIO(data)) as image:
            if _is_16_bit(image, data):
                return _of_16_bit(image, data, path)
            return _of_8_bit(image, data)


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of the picture at `path` as it is stored, from its header alone: nothing is decoded.

    Raises:
        UserError: the file cannot be read, or is no image.
    """
    with _opened(path) as (_, image):
        return image.size


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Image.Image]]:
    """The file, and its picture of which only the header has been read; what goes wrong is said in a sentence."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours has a sentence
    try:
        with path.open("rb") as file, Image.open(file) as image:
            yield file, image
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not an image that can be read; replace or remove it.") from error
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow's decoders raise
        if isinstance(error, OSError) and error.errno is not None:  # the file system's, not Pillow's
            raise UserError(f"{path} cannot be read ({error.strerror}); check the file and its permissions.") from error
        raise UserError(f"{path} is cut short or damaged ({error}); replace or remove it.") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def processed_by(path: Path) -> str | None:
    """What `write_photograph` was told in `processed_by` for the file at `path`; None where there is nothing.

    Only the file's header is read. A file that is no image has nothing either.
    """
    try:
        with _opened(path) as (_, image):
            if image.format == "PNG" and "exif" not in image.info:
                return None  # Pillow would decode all of it to look behind the pixels
            found = image.getexif().get(_PROCESSED_BY)
    except UserError:
        return None
    return found if isinstance(found, str) else None


def kind_of(path: Path) -> str | None:
    """The format of the file at `path`, a value of `READABLE`, by its first bytes; None where it is no such file."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError:
        return None
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "AVIF" if brand in (b"avif", b"avis") else "HEIC" if brand[:3] in (b"hei", b"hev", b"mif") else None
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    kind = next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)
    return "RAW" if READABLE.get(path.suffix.lower()) == "RAW" else kind


def written_suffix(path: Path) -> str:
    """The suffix that the result of `path` is written under: its own where that format can be written.

    Raises:
        UserError: the file's suffix is none of `READABLE`.
    """
    suffix = path.suffix.lower()
    if suffix in FORMATS:
        return path.suffix
    if suffix not in READABLE:
        raise UserError(f"{path} has the suffix of no photograph; there are {', '.join(sorted(READABLE))}.")
    return _INSTEAD[READABLE[suffix]]


def refuse_output(path: Path, width: int, height: int) -> None:
    """Refuse to write `width` x `height` pixels to `path`.

    Raises:
        UserError: the suffix is none of `FORMATS`, or a side is longer than its format can hold.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise UserError(
            f"{path} cannot be written: there is no writer for {path.suffix or 'a name without a suffix'}; "
            f"take one of {', '.join(sorted(FORMATS))}."
        )
    longest = _LONGEST.get(form)
    if longest is not None and max(width, height) > longest:
        raise UserError(
            f"{path} cannot be written: its {width}x{height} pixels are more than the {longest} of a side that "
            f"{form} can hold; write PNG or TIFF."
        )


def frames(path: Path, megapixels: float = 200.0) -> Iterator[Pixels]:
    """The frames of an animated GIF, WebP or PNG, each `(H, W, 3)` float32 RGB in [0, 1]; one of a still picture.

    Raises:
        UserError: as `read_photograph`.
    """
    with _opened(path) as (_, image):
        width, height = image.size
        if width * height > megapixels * 1e6:
            raise UserError(f"{path} has {width}x{height} pixels, more than {megapixels:g} megapixels.")
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            yield np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


def write_photograph(
    path: Path, pixels: Pixels, like: Photograph, quality: int = 95, processed_by: str | None = None
) -> None:
    """Write `pixels` as the photograph `like` was stored, see `atomic_write`.

    Args:
        path: its suffix says the format; what the format cannot hold (alpha in a JPEG, 16 bit but in PNG and TIFF) is
            left out.
        pixels: `(H, W, 3)` RGB in [0, 1]; values outside are clipped, halves round up.
        like: gives bit depth, grey or colour, alpha, profile and EXIF, and whether a WebP may lose anything.
        quality: of JPEG and lossy WebP, 1 to 100.
        processed_by: what made it, written as the EXIF tag ProcessingSoftware where the format holds EXIF.

    Raises:
        UserError: the file cannot be written.
    """
    refuse_output(path, pixels.shape[1], pixels.shape[0])
    form = FORMATS[path.suffix.lower()]
    if processed_by is not None:
        exif = Image.Exif()
        exif.load(like.exif or b"")
        exif[_PROCESSED_BY] = processed_by
        like = replace(like, exif=exif.tobytes())
    data = _encoded(form, pixels, like, quality)
    try:
        with atomic_write(path) as file:
            file.write_bytes(data)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); give another output.") from error


def _refuse(image: Image.Image, path: Path, megapixels: float) -> None:
    width, height = image.size
    if width * height > megapixels * 1e6:
        raise UserError(
            f"{path} has {width}x{height} pixels, more than {megapixels:g} megapixels; if it is what you want, set "
            f"megapixels={-(-width * height // 10**6)}."
        )
    tile = [getattr(image, "tag_v2", {}).get(tag, 0) for tag in _TILE]
    if tile[0] * tile[1] > max(megapixels * 1e6, 4 * width * height):
        raise UserError(f"{path} has {width}x{height} pixels in a tile of {tile[0]}x{tile[1]}; save it anew as PNG.")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise UserError(f"{path} holds {frames} pictures; split it into files of one picture each.")
    if image.mode in ("F", "I"):
        raise UserError(
            f"{path} has samples of 32 bits, which have no agreed range; save it as 8 or 16 bit and try again."
        )


def _is_16_bit(image: Image.Image, data: bytes) -> bool:
    if image.format == "PNG":
        return data[24] == 16  # the bit depth in the header, which Pillow does not tell
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))
    return max(bits) == 16 if isinstance(bits, tuple) else bits == 16


def _of_8_bit(image: Image.Image, data: bytes) -> Photograph:
    profile = image.info.get("icc_profile")
    exif = _exif(image)
    grey = image.mode in ("1", "L", "LA", "La")
    upright = ImageOps.exif_transpose(image)
    has_alpha = image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info
    alpha = np.asarray(upright.convert("RGBA"))[..., 3] if has_alpha else None
    if image.mode in ("CMYK", "LAB", "YCbCr"):
        profile = None  # it describes the colours of a space that is left
    pixels = np.array(upright.convert("RGB"), np.float32)
    pixels /= np.float32(255)
    lossless = image.format != "JPEG" and (image.format != "WEBP" or _is_lossless_webp(data))
    return Photograph(pixels, 255, grey, alpha, profile, exif, lossless)


def _is_lossless_webp(data: bytes) -> bool:
    """Whether a WebP file (chunks of a name, a length and a body padded to even bytes) has a lossless picture."""
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"VP8L", b"VP8 "):
            return data[at : at + 4] == b"VP8L"
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return False


def _of_16_bit(image: Image.Image, data: bytes, path: Path) -> Photograph:
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), flags)  # Pillow would give 8 bits of colour
    except cv2.error:  # OpenCV has a limit of its own, of a gigapixel
        decoded = None
    if decoded is None or decoded.dtype != np.uint16:
        raise UserError(f"{path} is cut short, or of a kind of 16 bit that cannot be read; save it as PNG.")
    samples = _upright(decoded.astype(np.uint16, copy=False), image.getexif().get(_ORIENTATION, 1))
    alpha = samples[..., 3] if samples.ndim == 3 and samples.shape[2] == 4 else None
    grey = samples.ndim == 2 or samples.shape[2] == 1 or (image.format == "PNG" and data[25] in (0, 4))
    colour = np.atleast_3d(samples)[..., :3]
    # OpenCV's order is blue, green, red.
    rgb = np.repeat(colour[..., :1], 3, axis=2) if colour.shape[2] == 1 else colour[..., ::-1]
    pixels = np.ascontiguousarray(rgb, dtype=np.float32)
    pixels /= np.float32(65535)
    return Photograph(pixels, 65535, grey, alpha, image.info.get("icc_profile"), _exif(image))


def _upright(samples: Samples, orientation: int) -> Samples:
    """Samples `(H, W, ...)` turned as the EXIF orientation 1 to 8 says (2, 4, 5 and 7 are mirrored)."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples


def _exif(image: Image.Image) -> bytes | None:
    """The EXIF block of `image` without what only described the old file, its orientation among it."""
    exif = Image.Exif()
    exif.load(image.getexif().tobytes())  # a copy: the image's own still says how to turn it
    for tag in _OF_THE_FILE | {_ORIENTATION}:
        exif.pop(tag, None)
    return exif.tobytes() if len(exif) else None


def _encoded(form: str, pixels: Pixels, like: Photograph, quality: int) -> bytes:
    """The bytes of the file."""
    levels = like.levels if form in ("PNG", "TIFF") else 255
    samples = _samples(pixels, levels, like.grey)
    alpha = None if form == "JPEG" or like.alpha is None else _rescaled(like.alpha, levels)
    if levels == 65535:
        return _encoded_16_bit(form, samples, alpha, like)
    picture = Image.fromarray(samples)
    if alpha is not None:
        picture.putalpha(Image.fromarray(alpha))
        if form == "BMP":  # Pillow's would not say that the fourth channel is alpha
            return bytes(cv2.imencode(".bmp", np.asarray(picture.convert("RGBA"))[..., [2, 1, 0, 3]])[1].tobytes())
    file = io.BytesIO()
    extra: dict[str, Any] = {
        "JPEG": {"quality": quality, "subsampling": 0},
        "WEBP": {"lossless": True, "exact": True} if like.lossless else {"quality": quality},
        "TIFF": {"compression": "tiff_adobe_deflate"},
    }.get(form, {})
    metadata = {} if form in ("BMP", "JPEG2000") else {"icc_profile": like.profile, "exif": like.exif or b""}
    picture.save(file, form, **metadata, **extra)
    return file.getvalue()


def _samples(pixels: Pixels, levels: int, grey: bool) -> Samples:
    """Whole samples up to `levels`, `(H, W, 3)` or, grey, `(H, W)`; row by row, to need little memory."""
    height, width, _ = pixels.shape
    shape = (height, width) if grey else pixels.shape
    samples: Samples = np.empty(shape, np.uint16 if levels == 65535 else np.uint8)
    for row, line in zip(samples, pixels, strict=True):
        row[...] = np.floor(np.clip(line @ _LUMA if grey else line, 0, 1) * np.float32(levels) + np.float32(0.5))
    return samples


def _rescaled(alpha: Samples, levels: int) -> Samples:
    """Alpha in samples up to `levels`."""
    if alpha.dtype == np.uint8:
        return alpha if levels == 255 else alpha.astype(np.uint16) * np.uint16(257)
    return alpha if levels == 65535 else ((alpha.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _encoded_16_bit(form: str, samples: Samples, alpha: Samples | None, like: Photograph) -> bytes:
    if alpha is not None:  # grey with alpha at 16 bit is what few programs read: it becomes colour
        samples = np.dstack([samples if samples.ndim == 3 else np.repeat(samples[..., None], 3, axis=2), alpha])
    if form == "TIFF":
        return _tiff_of_16_bit(samples, like)
    if samples.ndim == 3:
        samples = samples[..., [2, 1, 0, 3][: samples.shape[2]]]
    blocks = {
        cv2.IMAGE_METADATA_EXIF: like.exif.removeprefix(b"Exif\0\0") if like.exif else None,
        cv2.IMAGE_METADATA_ICCP: like.profile,
    }
    present = {kind: np.frombuffer(block, np.uint8)[None] for kind, block in blocks.items() if block}
    return bytes(cv2.imencodeWithMetadata(".png", samples, list(present), list(present.values()))[1].tobytes())


def _tiff_of_16_bit(samples: Samples, like: Photograph) -> bytes:
    """OpenCV writes no profile into a TIFF, and Pillow no 16 bit of colour."""
    import tifffile  # it takes a moment to import, and such files are rare

    exif = Image.Exif()
    exif.load(like.exif or b"")
    words = [(tag, "s", 0, value, True) for tag, value in exif.items() if isinstance(value, str)]
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        samples,
        photometric="rgb" if samples.ndim == 3 else "minisblack",
        extrasamples=["unassalpha"] if samples.ndim == 3 and samples.shape[2] == 4 else None,
        compression="zlib",
        iccprofile=like.profile,
        metadata=None,
        software=False,
        extratags=words,
    )
    return file.getvalue()
