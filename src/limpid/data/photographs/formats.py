"""The formats of photographs: which can be read and written, what a file is by its first bytes, how large it may be."""

from __future__ import annotations

from pathlib import Path

from limpid.errors import UserError

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
    **dict.fromkeys((".dng", ".nef", ".nrw", ".cr2", ".cr3", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"), "RAW"),
    ".mpo": "JPEG",
    ".gif": "GIF",
}
#: The longest side that a format can hold: WebP's own limit, and what the libraries that most programs read others with
#: accept (libjpeg-turbo, libavif, libpng).
_LONGEST = {"JPEG": 65500, "WEBP": 16383, "AVIF": 32768, "PNG": 1_000_000}
#: Where a format that is only read goes: the suffix of one that holds as much.
_INSTEAD = {"JPEG": ".jpg", "JPEG2000": ".jp2", "HEIC": ".jpg", "RAW": ".tif", "GIF": ".png"}
#: What files begin with.
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"\0\0\0\x0cjP  ": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"IIRO": "RAW",
    b"IIRS": "RAW",
    b"MMOR": "RAW",
    b"IIU\0": "RAW",
    b"FUJIFILMCCD-RAW": "RAW",
}
#: The names that containers of AVIF, HEIC and Canon's RAW begin with.
_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"), "HEIC"),
    b"crx ": "RAW",
}
#: As many bytes of a file tell what it is.
HEAD = 64


def kind_of(path: Path) -> str | None:
    """The format of the file at `path`, a value of `READABLE`, by its first bytes; None where it is no such file."""
    try:
        with path.open("rb") as file:
            return kind_of_head(file.read(HEAD), path.suffix)
    except OSError:
        return None


def kind_of_head(head: bytes, suffix: str = "") -> str | None:
    """The format of a file that begins with `head`, the first `HEAD` bytes; None where there is none.

    Args:
        head: its first bytes.
        suffix: of its name: most cameras' RAW files begin as TIFF files do.
    """
    if head[4:8] == b"ftyp":  # the main name, a version, and further names, of four bytes each
        end = max(16, min(int.from_bytes(head[:4], "big"), HEAD))
        names = [head[8:12], *(head[at : at + 4] for at in range(16, end, 4))]
        return next((_BRANDS[name] for name in names if name in _BRANDS), None)
    if head[:4] == b"RIFF":
        return "WEBP" if head[8:12] == b"WEBP" else None
    kind = next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)
    return "RAW" if kind == "TIFF" and READABLE.get(suffix.lower()) == "RAW" else kind


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
            f"{path} cannot be written: it has {width}x{height} pixels, and a side of {form} holds {longest} at most; "
            "write TIFF."
        )


def refuse_large(path: Path, width: int, height: int, megapixels: float) -> None:
    """Refuse to decode `width` x `height` pixels.

    Raises:
        UserError: they are more than `megapixels`, or none.
    """
    if width < 1 or height < 1:
        raise UserError(f"{path} is cut short or damaged (it has {width}x{height} pixels); replace or remove it.")
    if width * height > megapixels * 1e6:
        raise UserError(
            f"{path} has {width}x{height} pixels, more than {megapixels:g} megapixels; if it is what you want, set "
            f"megapixels={-(-width * height // 10**6)}."
        )
