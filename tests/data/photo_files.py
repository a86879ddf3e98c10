"""Files of photographs that tests read: of every format, and with EXIF as cameras write it."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

NAME = "Zoë Müller 写真"
DATE = "2024:05:01 10:00:00"
PLACE = struct.pack("<6I", 48, 1, 12, 1, 30, 1)
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:creator="Zoë"/></x:xmpmeta>'.encode()
)


def picture(height: int = 24, width: int = 33, levels: int = 255) -> NDArray[Any]:
    """A smooth coloured picture `(H, W, 3)` with no symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([0.1 + 0.8 * x / width, 0.1 + 0.7 * y / height, 0.1 + 0.4 * (x / width + y / height)], -1)
    noise = np.random.default_rng(0).uniform(0, 0.02, smooth.shape)
    return np.floor((smooth + noise) * levels).astype(np.uint8 if levels == 255 else np.uint16)


def encoded(pixels: NDArray[Any], form: str, **settings: Any) -> bytes:
    """The bytes that Pillow writes."""
    return saved(Image.fromarray(pixels), form, **settings)


def tiff(pixels: NDArray[Any], **settings: Any) -> bytes:
    """The bytes that tifffile writes."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **{"photometric": "rgb", **settings})
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(values: NDArray[Any], bits: int, colour_type: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG of any depth and colour type, with chunks before and after its pixels."""
    height, width = values.shape[:2]
    rows = b""
    for row in values.reshape(height, -1):
        if bits >= 8:
            rows += b"\0" + row.astype(f">u{bits // 8}").tobytes()
        else:
            digits = "".join(format(int(value), f"0{bits}b") for value in row)
            rows += b"\0" + int(digits.ljust(-(-len(digits) // 8) * 8, "0"), 2).to_bytes(-(-len(digits) // 8), "big")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + before + pixels + after + chunk(b"IEND", b"")


def directory(at: int, *entries: tuple[int, int, int, bytes], order: str = "<", following: int = 0) -> bytes:
    """A TIFF directory for offset `at`: entries are tag, type, count, value."""
    out, data = struct.pack(order + "H", len(entries)), b""
    free = at + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in sorted(entries):
        out += struct.pack(order + "HHI", tag, kind, count)
        out += value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", free + len(data))
        data += b"" if len(value) <= 4 else value + b"\0" * (len(value) % 2)
    return out + struct.pack(order + "I", following) + data


def block(*entries: tuple[int, int, int, bytes]) -> bytes:
    """An EXIF block of one directory, without its prefix."""
    return b"II*\0\x08\0\0\0" + directory(8, *entries)


def camera_block(orientation: int = 1, note: bytes = b"addresses" + bytes(91)) -> bytes:
    """An EXIF block with date, place, a maker's note, a name beyond ASCII and a thumbnail, without its prefix."""
    name = NAME.encode() + b"\0"
    main = [
        (271, 2, 4, b"Cam\0"),
        (274, 3, 1, struct.pack("<H", orientation)),
        (282, 5, 1, struct.pack("<II", 300, 1)),
        (315, 2, len(name), name),
    ]
    below = [
        (36867, 2, 20, DATE.encode() + b"\0"),
        (37500, 7, len(note), note),
        (40962, 4, 1, struct.pack("<I", 9999)),
        (42036, 2, len(name), name),
    ]
    place = [(1, 2, 2, b"N\0"), (2, 5, 3, PLACE)]
    exif_at = gps_at = thumbnail_at = 0
    for _ in range(2):  # sizes do not depend on the offsets, so the second time they are right
        pointers = [(34665, 4, 1, struct.pack("<I", exif_at)), (34853, 4, 1, struct.pack("<I", gps_at))]
        first = directory(8, *main, *pointers, following=thumbnail_at)
        exif_at = 8 + len(first)
        second = directory(exif_at, *below)
        gps_at = exif_at + len(second)
        third = directory(gps_at, *place)
        thumbnail_at = gps_at + len(third)
    thumbnail = directory(thumbnail_at, (513, 4, 1, struct.pack("<I", thumbnail_at + 30)), (514, 4, 1, b"\x14\0\0\0"))
    return b"II*\0\x08\0\0\0" + first + second + third + thumbnail + b"\xff\xd8THUMBNAIL" + bytes(20)


def with_exif(form: str, pixels: NDArray[Any], exif: bytes) -> bytes:
    """A JPEG, PNG or WebP with an EXIF block, whatever that says."""
    if form == "JPEG":
        data, segment = encoded(pixels, form, quality=95), b"Exif\0\0" + exif
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    if form == "PNG":
        data = encoded(pixels, form)
        return data[:33] + chunk(b"eXIf", exif) + data[33:]
    return encoded(pixels, form, lossless=True, exif=exif)


def every_format() -> dict[str, bytes]:
    """A small file of every format, by a suffix of its own."""
    small, deep = picture(12, 16), picture(12, 16, 65535)
    image = Image.fromarray(small)
    exif = b"Exif\0\0" + camera_block(6)
    frames: dict[str, Any] = {"save_all": True, "append_images": [image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)]}
    return {
        "jpg": encoded(small, "JPEG", exif=exif, xmp=XMP),
        "cmyk.jpg": saved(image.convert("CMYK"), "JPEG"),
        "mpo.jpg": saved(image, "MPO", save_all=True, append_images=[image.resize((8, 6))]),
        "deep.jpg": imagecodecs.jpeg8_encode(deep >> 4, level=90, bitspersample=12),
        "png": encoded(small, "PNG", exif=exif),
        "palette.png": saved(image.quantize(20), "PNG", transparency=3),
        "frames.png": saved(image, "PNG", **frames),
        "deep.png": png(deep, 16, 2),
        "webp": encoded(small, "WEBP", exif=exif),
        "lossless.webp": encoded(small, "WEBP", lossless=True),
        "bmp": encoded(small, "BMP"),
        "gif": saved(image, "GIF", **frames),
        "avif": encoded(small, "AVIF", exif=exif),
        "deep.avif": imagecodecs.avif_encode(deep >> 6, bitspersample=10, level=90),
        "jp2": encoded(small, "JPEG2000"),
        "deep.jp2": imagecodecs.jpeg2k_encode(deep, level=0, reversible=True, codecformat="jp2"),
        "tif": encoded(small, "TIFF", exif=exif),
        "deep.tif": tiff(deep, compression="zlib", predictor=True),
        "tiles.tif": tiff(small, tile=(16, 16), compression="lzw"),
        "jpeg.tif": tiff(small, compression="jpeg"),
        "big.tif": tiff(deep, bigtiff=True, byteorder=">"),
        "planes.tif": tiff(small.transpose(2, 0, 1), planarconfig="separate"),
        "float.tif": tiff(small.astype(np.float32) / 255, compression="zlib"),
        "inks.tif": tiff(np.dstack([small, small[..., 0]]), photometric="separated"),
        "palette.tif": saved(image.quantize(20), "TIFF"),
        "lab.tif": tiff(small, photometric="cielab"),
    }


def saved(image: Image.Image, form: str, **settings: Any) -> bytes:
    """The bytes that Pillow writes."""
    file = io.BytesIO()
    image.save(file, form, **settings)
    return file.getvalue()
