"""JPEG, PNG, WebP, BMP, GIF, AVIF and JPEG 2000: by Pillow, and by imagecodecs where they have more than 8 bits."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from limpid.data.photographs import avif, colours, containers, exif, jpeg_2000
from limpid.data.photographs.codecs import codecs
from limpid.data.photographs.photograph import Pixels, Stored, in_unit_range, to_16_bit
from limpid.errors import UserError

#: Pillow's readers. They are called themselves, as `Image.open` has one limit of pixels for all threads of a process;
#: and of a JPEG with further pictures behind it they read the first, whatever the list of these says.
_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "JPEG2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
}
#: The formats whose further pictures are frames; those in a JPEG are previews and gain maps.
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
# What Pillow finds odd in EXIF and in animations; once, as a filter for a while would reach into other threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.(Png|Tiff)ImagePlugin")


def opened(file: BinaryIO, kind: str) -> Image.Image:
    """The picture in `file`, of which only the header has been read."""
    return _READERS[kind](file)


def size(file: BinaryIO, kind: str) -> tuple[int, int]:
    """Width and height as the header of `file` says."""
    if kind == "JPEG":
        return containers.jpeg_frame(file)[:2]
    return opened(_content(file, kind), kind).size


def _content(file: BinaryIO, kind: str) -> BinaryIO:
    """The file from its beginning, without what could keep its picture from being read."""
    file.seek(0)
    return io.BytesIO(avif.without_exif(file.read())) if kind == "AVIF" else file


def decode(file: BinaryIO, kind: str) -> Stored:
    """What `file` stores."""
    file.seek(0)
    data = file.read()
    bits = containers.bits_of(data, kind)
    if bits > 8 and kind == "JPEG":  # which Pillow does not know at all
        if not containers.jpeg_ends(data):
            raise ValueError("its end is missing")
        stored = Stored(_of_bits(codecs().jpeg8_decode(data), bits), lossless=False)
        _add_exif(stored, containers.jpeg_exif(data))
        return stored
    if kind == "PNG" and not containers.png_is_sound(data):
        raise ValueError("a checksum does not fit")
    content = avif.without_exif(data) if kind == "AVIF" else data
    image = opened(io.BytesIO(content), kind)
    if bits > 8:
        content = jpeg_2000.without_profile(data) if kind == "JPEG2000" else content
        stored = _deep(image, content, kind, bits)
    else:
        stored = _of_8_bit(image)
        if kind == "PNG" and stored.alpha is not None and data[25] == 0:
            stored.alpha = codecs().png_decode(data)[..., 1]  # Pillow compares what it has scaled with what it has not
    stored.lossless = kind not in ("JPEG", "AVIF") and (kind != "WEBP" or containers.is_lossless_webp(data))
    _add_metadata(stored, image, data, kind)
    count = _frame_count(image, kind)
    if count > 1:
        stored.notes.append(f"has {count} frames, of which only the first was read")
    return stored


def _add_metadata(stored: Stored, image: Image.Image, data: bytes, kind: str) -> None:
    """EXIF, XMP, and what else a kind of file has of its own."""
    block = image.info.get("exif") or _exif_text(image)
    stored.xmp = _bytes(image.info.get("xmp"))
    if kind == "PNG":
        block = block or containers.png_exif(data)  # it may lie behind the pixels
        stored.colour_chunks = containers.colour_chunks(data)
    if kind == "JPEG" and image.info.get("icc_profile") is None and containers.has_jpeg_profile(data):
        stored.notes.append("has a colour profile of which a part is missing, which was left out")
    if kind == "JPEG2000":
        block, stored.xmp, stored.profile = jpeg_2000.metadata(data)
        by_profile = stored.profile is not None and stored.profile[16:20] == b"CMYK"
        if by_profile or (image.mode == "CMYK" and stored.samples.dtype != np.uint8):
            raise UserError("It holds print colours in a way that cannot be read; save it as RGB and try again.")
    if kind == "AVIF":  # Pillow's is only how the container turns the picture
        turned, _ = exif.read(block)
        stored.turn = 1 if turned is None else turned.orientation()
        block = avif.exif_of(data)
        if stored.profile is None and containers.is_beyond_srgb(data):
            stored.notes.append(containers.BEYOND_SRGB)
    _add_exif(stored, block)


def is_animated(file: BinaryIO, kind: str) -> bool:
    """Whether there are several frames."""
    return kind in _ANIMATED and _frame_count(opened(_content(file, kind), kind), kind) > 1


def _frame_count(image: Image.Image, kind: str) -> int:
    return getattr(image, "n_frames", 1) if kind in _ANIMATED else 1


def frames(file: BinaryIO, kind: str) -> Iterator[Pixels]:
    """Every frame, `(H, W, 3)` float32 RGB in [0, 1]."""
    image = opened(_content(file, kind), kind)
    for number in range(_frame_count(image, kind)):
        image.seek(number)
        frame = image.convert("RGBA") if "transparency" in image.info else image
        yield in_unit_range(np.asarray(frame.convert("RGB")))


def _of_8_bit(image: Image.Image) -> Stored:
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        samples, note = colours.from_cmyk(np.asarray(image), profile)
        return Stored(samples, notes=[note] if note else [])
    has_alpha = image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if has_alpha:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"))
    if image.mode in ("LAB", "YCbCr"):
        profile = None  # it describes the colours of a space that is left
    samples = np.asarray(image.convert("L" if grey else "RGB"))
    return Stored(samples, alpha, profile=profile)


def _deep(image: Image.Image, data: bytes, kind: str, bits: int) -> Stored:
    decoders = {"PNG": "png_decode", "AVIF": "avif_decode", "JPEG2000": "jpeg2k_decode"}
    decoded = getattr(codecs(), decoders[kind])(data)
    if decoded.ndim == 3 and decoded.shape[:2] != (image.height, image.width):
        raise ValueError("its planes differ in size")
    if not np.issubdtype(decoded.dtype, np.unsignedinteger):
        raise ValueError(f"its samples are {decoded.dtype}")
    samples = _of_bits(decoded, bits)
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    alpha = samples[..., -1] if channels in (2, 4) else None
    if channels > 2:
        samples = samples[..., :3]
    elif channels == 2:
        samples = samples[..., 0]
    return Stored(
        samples.squeeze(2) if samples.ndim == 3 and samples.shape[2] == 1 else samples,
        alpha,
        profile=image.info.get("icc_profile"),
    )


def _of_bits(decoded: NDArray[Any], bits: int) -> NDArray[Any]:
    return decoded if decoded.dtype == np.uint8 or bits == 16 else to_16_bit(decoded, bits)


def _add_exif(stored: Stored, block: bytes | None) -> None:
    stored.exif, note = exif.read(block)
    stored.notes += [note] if note else []


def _exif_text(image: Image.Image) -> bytes | None:
    """EXIF as some programs write it into a PNG: hexadecimal, after three lines of heading."""
    for name in ("Raw profile type exif", "Raw profile type APP1"):  # the latter may hold XMP as well
        text = image.info.get(name)
        if not isinstance(text, str):
            continue
        try:
            block = bytes.fromhex("".join(text.split("\n")[3:]))
        except ValueError:
            return b""  # damaged
        if name.endswith("exif") or block.startswith(exif.PREFIX):
            return block
    return None


def _bytes(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else None
