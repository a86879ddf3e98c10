"""What a file says beside its pixels comes through to every format that can hold it, and what is damaged is left out."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from tests.data.photo_files import DATE, NAME, PLACE, XMP, block, camera_block, encoded, picture, tiff, with_exif

from limpid.data.image_io import read_image
from limpid.data.photo_io import Photograph, processed_by, read_photograph, write_photograph
from limpid.data.photographs import exif
from limpid.data.photographs.colours import from_lab
from limpid.data.photographs.exif_layout import to_bytes

PIXELS = picture()
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BLOCK = camera_block(6)
SOURCES = {
    "a.jpg": lambda: encoded(PIXELS, "JPEG", exif=b"Exif\0\0" + BLOCK, xmp=XMP, icc_profile=PROFILE),
    "a.webp": lambda: encoded(PIXELS, "WEBP", exif=BLOCK, xmp=XMP, icc_profile=PROFILE, lossless=True),
    "a.png": lambda: with_exif("PNG", PIXELS, BLOCK),
}
HOLDS_EXIF = (".jpg", ".jfif", ".png", ".webp", ".tif", ".avif", ".jp2")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("suffix", HOLDS_EXIF)
@pytest.mark.parametrize("levels", [255, 65535])
def test_exif_comes_through(tmp_path: Path, source: str, suffix: str, levels: int) -> None:
    (tmp_path / source).write_bytes(SOURCES[source]())
    photograph = replace(read_photograph(tmp_path / source), levels=levels)
    assert photograph.notes == ()
    target = tmp_path / f"b{suffix}"
    assert write_photograph(target, photograph.pixels, photograph, processed_by="Limpid 0.1.0, é") == ()
    assert processed_by(target) == "Limpid 0.1.0, é"
    again = read_photograph(target)
    assert again.pixels.shape == (33, 24, 3), "turned once"
    assert again.profile == photograph.profile
    assert again.xmp == photograph.xmp
    assert again.exif is not None
    found = exif.parse(again.exif)
    assert found.text(315) == NAME
    assert found.exif[36867].value == DATE.encode() + b"\0"
    assert found.exif[42036].value == NAME.encode() + b"\0"
    assert found.gps[2].value == PLACE
    assert exif.ORIENTATION not in found.main
    assert struct.unpack("<I", found.exif[40962].value) == (24,), "the width is that of the upright picture"
    assert b"THUMBNAIL" not in target.read_bytes()
    if suffix == ".tif":
        assert exif.MAKER_NOTE not in found.exif, "its addresses would lead elsewhere"
    else:
        assert found.note_at == exif.parse(BLOCK).note_at, "its addresses still lead where they led"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_other_programs_read_the_exif(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "a.jpg").write_bytes(SOURCES["a.jpg"]())
    photograph = read_photograph(tmp_path / "a.jpg")
    target = tmp_path / f"b{suffix}"
    write_photograph(target, photograph.pixels, photograph)
    found = Image.open(target).getexif()
    assert (found[271], found.get_ifd(0x8769)[36867], found.get_ifd(0x8825)[2]) == ("Cam", DATE, (48.0, 12.0, 30.0))
    assert Image.open(target).info["icc_profile"] == PROFILE
    if suffix == ".tif":
        with tifffile.TiffFile(target) as file:
            [page] = file.pages
            assert page.tags.valueof(34665)["DateTimeOriginal"] == DATE
            assert page.tags.valueof(282) == (300, 1)
            np.testing.assert_array_equal(page.asarray(), np.round(photograph.pixels * 255).astype(np.uint8))


@pytest.mark.parametrize("levels", [255, 65535])
def test_the_exif_of_a_tiff_goes_through_a_tiff_and_out(tmp_path: Path, levels: int) -> None:
    (tmp_path / "a.jpg").write_bytes(SOURCES["a.jpg"]())
    photograph = replace(read_photograph(tmp_path / "a.jpg"), levels=levels)
    for source, target in (("a.jpg", "b.tif"), ("b.tif", "c.tif"), ("c.tif", "d.jpg")):
        photograph = replace(read_photograph(tmp_path / source), levels=levels)
        write_photograph(tmp_path / target, photograph.pixels, photograph)
    last = read_photograph(tmp_path / "d.jpg")
    assert last.exif is not None
    assert exif.parse(last.exif).gps[2].value == PLACE
    assert last.xmp is not None
    assert b'tiff:Orientation="1"' in last.xmp
    assert (tmp_path / "c.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


CAMERA = (271, 2, 4, b"Cam\0")
DAMAGED = {
    "the orientation is a text": block(CAMERA, (274, 2, 2, b"6\0")),
    "the unit is a text": block(CAMERA, (296, 2, 2, b"2\0")),
    "a resolution is a text": block(CAMERA, (282, 2, 3, b"72\0")),
    "a type that is none": block(CAMERA, (305, 99, 4, b"abcd")),
    "a value beyond the end": block(CAMERA, (305, 2, 2**31, b"abcd")),
    "a directory beyond the end": block(CAMERA, (34665, 4, 1, b"\xff\xff\xff\0")),
    "it ends after its header": b"II*\0\x08\0\0\0",
    "it is none": b"nothing",
}


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_exif_is_left_out_with_a_note(tmp_path: Path, form: str, what: str) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(with_exif(form, PIXELS, DAMAGED[what]))
    photograph = read_photograph(path)
    assert photograph.pixels.shape == PIXELS.shape
    [note] = photograph.notes
    assert note.startswith(f"{path} has ")
    assert note.endswith("left out.")
    np.testing.assert_array_equal(read_image(path), photograph.pixels)
    if b"Cam" in DAMAGED[what]:
        assert photograph.exif is not None
        assert exif.parse(photograph.exif).text(271) == "Cam"
    for suffix in HOLDS_EXIF:
        write_photograph(tmp_path / f"b{suffix}", photograph.pixels, photograph, processed_by="Limpid")
        assert processed_by(tmp_path / f"b{suffix}") == "Limpid"


def test_damaged_exif_keeps_no_avif_from_being_read(tmp_path: Path) -> None:
    path = tmp_path / "a.avif"
    (tmp_path / "a.jpg").write_bytes(SOURCES["a.jpg"]())
    source = read_photograph(tmp_path / "a.jpg")
    write_photograph(path, source.pixels, source)
    whole = read_photograph(path)
    assert whole.exif == source.exif
    assert source.exif is not None
    path.write_bytes(path.read_bytes().replace(source.exif[6:14], b"nothing!"))
    photograph = read_photograph(path)
    np.testing.assert_array_equal(photograph.pixels, whole.pixels)
    assert photograph.notes == (f"{path} has damaged EXIF, which was left out.",)


@pytest.mark.parametrize(("kind", "value"), [(1, b"\6"), (3, b"\6\0"), (4, b"\6\0\0\0"), (9, b"\6\0\0\0")])
def test_an_orientation_is_any_whole_number(tmp_path: Path, kind: int, value: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(with_exif("JPEG", PIXELS, block((274, kind, 1, value))))
    (tmp_path / "a.tif").write_bytes(tiff(PIXELS, extratags=[(274, kind, 1, value, True)]))
    for name in ("a.jpg", "a.tif"):
        photograph = read_photograph(tmp_path / name)
        assert photograph.pixels.shape == (33, 24, 3)
        np.testing.assert_array_equal(read_image(tmp_path / name), photograph.pixels)
        assert photograph.notes == ()


def test_a_jpeg_leaves_out_what_its_segment_cannot_hold(tmp_path: Path) -> None:
    pixels = PIXELS / np.float32(255)
    small = exif.Exif("<", {271: exif.Entry(2, 4, b"Cam\0")})

    def written(found: exif.Exif) -> tuple[list[str], exif.Exif]:
        like = Photograph(pixels, 255, False, None, None, to_bytes(found))
        notes = write_photograph(tmp_path / "a.jpg", pixels, like, processed_by="Limpid")
        assert processed_by(tmp_path / "a.jpg") == "Limpid"
        block = read_photograph(tmp_path / "a.jpg").exif
        assert write_photograph(tmp_path / "a.png", pixels, like) == (), "a PNG holds all of it"
        return [note.split(" has no room for ")[1] for note in notes], exif.parse(block) if block else exif.Exif("<")

    note = exif.Entry(7, 70000, b"FUJIFILM" + bytes(69992))
    notes, found = written(replace(small, exif={37500: note, 36867: exif.Entry(2, 20, DATE.encode() + b"\0")}))
    assert notes == ["the camera maker's note, which was left out."]
    assert set(found.exif) == {36867}
    notes, found = written(replace(small, main={**small.main, 34377: exif.Entry(1, 100000, bytes(100000))}))
    assert notes == ["the long values of EXIF, which were left out."]
    assert set(found.main) == {11, 271}
    many = {tag: exif.Entry(7, 900, bytes(900)) for tag in range(40000, 40100)}
    notes, found = written(replace(small, main=many))
    assert notes == ["so much EXIF, which was left out."]
    assert set(found.main) == {11}


def test_a_description_of_how_the_old_file_was_laid_out_is_left_out(tmp_path: Path) -> None:
    """ImageJ would show an image of 16 bits in the range that its description gives for the old floats."""
    described = {"a.ome.tif": {"ome": True}, "b.tif": {"imagej": True}, "c.tif": {}, "d.tif": {"description": "Zoe"}}
    for name, settings in described.items():
        image = PIXELS[..., 0].astype(np.float32) / 255
        (tmp_path / name).write_bytes(tiff(image, photometric="minisblack", **settings))
        photograph = read_photograph(tmp_path / name)
        write_photograph(tmp_path / "out.tif", photograph.pixels, photograph)
        assert Image.open(tmp_path / "out.tif").getexif().get(270) == settings.get("description")


def test_xmp_says_that_the_picture_is_upright_and_points_to_no_gain_map(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(SOURCES["a.jpg"]())
    assert read_photograph(tmp_path / "a.jpg").xmp == XMP.replace(b'Orientation="6"', b'Orientation="1"')
    gain_map = XMP.replace(b"dc:creator", b"hdrgm:Version")
    (tmp_path / "a.jpg").write_bytes(encoded(PIXELS, "JPEG", xmp=gain_map))
    assert read_photograph(tmp_path / "a.jpg").xmp is None


def test_a_profile_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(PIXELS, iccprofile=bytes(200)))
    photograph = read_photograph(tmp_path / "a.tif")
    assert photograph.profile is None
    assert photograph.notes[0].endswith("a colour profile that is damaged or of other colours, which was left out.")
    grey = PROFILE[:16] + b"GRAY" + PROFILE[20:]
    like = Photograph(photograph.pixels, 255, True, None, grey, None)
    write_photograph(tmp_path / "b.png", photograph.pixels, like)
    assert read_photograph(tmp_path / "b.png").profile == grey
    write_photograph(tmp_path / "b.webp", photograph.pixels, like)
    assert read_photograph(tmp_path / "b.webp").profile is None, "WebP has no grey"


@pytest.mark.parametrize("suffix", ["png", "tif", "jp2"])
def test_a_profile_is_kept_and_never_applied(tmp_path: Path, suffix: str) -> None:
    pixels = picture(levels=65535) / np.float32(65535)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_photograph(tmp_path / f"a.{suffix}", pixels, Photograph(pixels, 65535, False, None, profile, None))
    again = read_photograph(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(again.pixels, pixels)
    assert again.profile == profile


def test_a_profile_of_a_jpeg_that_lacks_a_part_is_left_out_with_a_note(tmp_path: Path) -> None:
    whole = encoded(PIXELS, "JPEG", icc_profile=PROFILE)
    at = whole.index(b"ICC_PROFILE\0") + 12
    (tmp_path / "a.jpg").write_bytes(whole[:at] + b"\1\2" + whole[at + 2 :])
    photograph = read_photograph(tmp_path / "a.jpg")
    assert photograph.profile is None
    assert photograph.notes[0].endswith("a colour profile of which a part is missing, which was left out.")


def ink_profile(cyan: tuple[int, int, int]) -> bytes:
    """An ICC profile (version 2, lut8) of inks: cyan alone is a colour L*, a*, b*; everything else white or black."""
    grid = []
    for corner in range(16):  # cyan is the slowest of the four
        paper, only_cyan = corner == 0, corner == 8
        lab = (100, 0, 0) if paper else (cyan if only_cyan else (0, 0, 0))
        grid += [round(lab[0] * 2.55), lab[1] + 128, lab[2] + 128]
    ramp = bytes(range(256))
    matrix = struct.pack(">9i", *[65536 if at in (0, 4, 8) else 0 for at in range(9)])
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + bytes(grid) + ramp * 3
    texts = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"Inks\0" + bytes(78), b"cprt": b"text\0\0\0\0None\0"}
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    bodies = {**texts, b"wtpt": white, b"A2B0": table + bytes(-len(table) % 4)}
    at, tags, data = 128 + 4 + 12 * len(bodies), b"", b""
    for name, body in bodies.items():
        padded = body + bytes(-len(body) % 4)
        tags += name + struct.pack(">II", at + len(data), len(body))
        data += padded
    light = struct.pack(">3i", 63190, 65536, 54061)  # D50
    header = struct.pack(">I4sI4s4s4s12x4s", at + len(data), b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ", b"acsp")
    return (header + bytes(28) + light).ljust(128, b"\0") + struct.pack(">I", len(bodies)) + tags + data


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_are_converted_by_their_profile(tmp_path: Path, kind: str) -> None:
    """Full cyan is what the profile says it is, not the (0, 1, 1) of ideal inks."""
    lab = (55, -37, -50)
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[..., 0] = 255
    image = Image.fromarray(inks, "CMYK")
    file = io.BytesIO()
    image.save(file, kind, icc_profile=ink_profile(lab), **({"quality": 100} if kind == "JPEG" else {}))
    (tmp_path / "a.bin").write_bytes(file.getvalue())
    photograph = read_photograph(tmp_path / "a.bin")
    wanted = from_lab(np.array([[lab]], np.float32))[0, 0]
    np.testing.assert_allclose(photograph.pixels[8, 8], wanted, atol=3 / 255)
    assert (photograph.profile, photograph.notes) == (None, ())
    file = io.BytesIO()
    image.save(file, kind, icc_profile=PROFILE)
    (tmp_path / "a.bin").write_bytes(file.getvalue())
    photograph = read_photograph(tmp_path / "a.bin")
    np.testing.assert_allclose(photograph.pixels[8, 8], [0, 1, 1], atol=3 / 255)
    assert photograph.notes[0].endswith(
        "print colours with a profile that cannot be used, and was converted without one."
    )
