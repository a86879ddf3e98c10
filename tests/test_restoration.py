"""`limpid.restore`: every kind of image comes back as it was, restored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import limpid
from limpid.data.photo_io import Photograph, write_photograph
from limpid.errors import UserError
from limpid.methods import method

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (20, 30, 3), np.uint8)
#: What gamma (x ** 2.5) makes of it.
DARKER = np.floor((COLOUR / 255) ** 2.5 * 255 + 0.5).astype(np.uint8)


def close(a: object, b: object, levels: float = 1) -> None:
    np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), atol=levels)


@pytest.mark.parametrize("kind", ["uint8", "uint16", ">u2", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
def test_arrays_keep_type_shape_and_alpha(kind: str, shape: tuple[int, ...]) -> None:
    levels = {"uint8": 255, "uint16": 65535, ">u2": 65535}.get(kind, 1)
    values = np.random.default_rng(1).random(shape)
    image = (np.round(values * levels) if levels > 1 else values).astype(kind)
    before = image.copy()
    restored = limpid.restore(image, "gamma")
    assert (restored.shape, restored.dtype) == (image.shape, image.dtype)
    np.testing.assert_array_equal(image, before)
    colours = slice(0, 3) if len(shape) == 3 else slice(None)
    expected = (before.astype(np.float64) / levels) ** 2.5 * levels
    close(restored[..., colours], expected[..., colours], 2e-3 * max(1, levels / 255) + (levels > 1))
    if shape[-1] == 4:
        np.testing.assert_array_equal(restored[..., 3], before[..., 3])


def test_views_of_arrays_are_taken_as_they_look() -> None:
    close(limpid.restore(COLOUR[::-1, ::2], "gamma"), DARKER[::-1, ::2])
    fixed = COLOUR.copy()
    fixed.flags.writeable = False
    close(limpid.restore(fixed, "gamma"), DARKER)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I", "F", "La", "RGBa", "RGBX"]
)
def test_pictures_keep_mode_and_size(mode: str) -> None:
    if mode in ("I;16", "I"):
        picture = Image.fromarray((COLOUR[..., 0] * np.uint16(257)).astype(np.uint16 if mode == "I;16" else np.int32))
    elif mode == "F":
        picture = Image.fromarray(COLOUR[..., 0].astype(np.float32) / 255)
    elif mode in ("La", "RGBa"):
        picture = Image.fromarray(COLOUR).convert("RGBA").convert("LA" if mode == "La" else "RGBA").convert(mode)
    else:
        picture = Image.fromarray(COLOUR).convert(mode)
    picture.info["icc_profile"] = b"profile"
    before = picture.copy()
    restored = limpid.restore(picture, "gamma")
    assert (restored.mode, restored.size) == (mode, (30, 20))
    assert restored.info["icc_profile"] == b"profile"
    assert picture.tobytes() == before.tobytes()
    if mode in ("RGB", "RGBA", "RGBX"):
        close(np.asarray(restored)[..., :3], DARKER)
    if mode == "I;16":
        close(restored, (COLOUR[..., 0] / 255) ** 2.5 * 65535)


def test_alpha_of_pictures_is_kept() -> None:
    alpha = RNG.integers(0, 256, (20, 30), np.uint8)
    restored = limpid.restore(Image.fromarray(np.dstack([COLOUR, alpha])), "gamma")
    np.testing.assert_array_equal(np.asarray(restored)[..., 3], alpha)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_tensors_keep_type_and_shape_and_need_no_gradients(kind: torch.dtype, batch: tuple[int, ...]) -> None:
    x = torch.rand(*batch, 3, 20, 24)
    image = (x * 255).round().to(torch.uint8) if kind == torch.uint8 else x.to(kind).requires_grad_()
    restored = limpid.restore(image, "rfd_student", device="cpu")
    assert (restored.shape, restored.dtype, restored.requires_grad) == (image.shape, kind, False)
    levels = 255 if kind == torch.uint8 else 1
    whole = method("rfd_student", "cpu").restore((image.detach().float() / levels).reshape(-1, 3, 20, 24))
    expected = whole.reshape(x.shape) * levels
    close(restored.float(), expected, 0.51 if levels > 1 else 0.005)


def test_strength_blends() -> None:
    whole, half = (limpid.restore(torch.full((3, 8, 8), 0.5), "gamma", strength=s) for s in (1, 0.5))
    torch.testing.assert_close(half, (0.5 + whole) / 2)
    assert np.array_equal(limpid.restore(COLOUR, "gamma", strength=0), COLOUR)


def test_files_come_as_arrays_and_lists_of_them_lazily(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    Image.fromarray(COLOUR[..., 0]).save(tmp_path / "grey.png")
    deep = Photograph(COLOUR / np.float32(255), 65535, False, None, None, None)
    write_photograph(tmp_path / "deep.tif", deep.pixels, deep)
    close(limpid.restore(tmp_path / "a.png", "gamma"), DARKER)
    assert limpid.restore(str(tmp_path / "grey.png"), "gamma").shape == (20, 30)
    assert limpid.restore(tmp_path / "deep.tif", "gamma").dtype == np.uint16
    results = limpid.restore([tmp_path / "a.png", tmp_path / "gone.png", tmp_path / "a.png"], "gamma")
    close(next(results), DARKER)
    with pytest.raises(UserError, match="gone.png"):
        next(results)
    close(next(results), DARKER)
    taken = []
    lazy = limpid.restore((taken.append(name) or tmp_path / name for name in ("a.png", "grey.png")), "gamma")
    assert taken == []
    next(lazy)
    assert taken == ["a.png"]


def test_a_method_is_made_once() -> None:
    from limpid import restoration

    restoration._kept.cache_clear()
    for _ in range(3):
        limpid.restore(COLOUR, "dcp")
    assert restoration._kept.cache_info().misses == 1


@pytest.mark.parametrize(
    ("image", "method", "more", "kind", "sentence"),
    [
        (COLOUR.astype(np.int32), "gamma", {}, TypeError, "An array of int32 has no agreed range"),
        (COLOUR.astype(np.float32), "gamma", {}, ValueError, "are from 0 to 255, .* divide by 255"),
        (np.full((9, 9), np.nan), "gamma", {}, ValueError, "must be in"),
        (COLOUR.transpose(2, 0, 1), "gamma", {}, ValueError, r"colours first: np.moveaxis\(image, 0, 2\)"),
        (COLOUR[None], "gamma", {}, ValueError, "give a list of images"),
        (COLOUR[:0], "gamma", {}, ValueError, "is no image"),
        (torch.rand(20, 30, 3), "gamma", {}, ValueError, r"colours last: tensor.permute\(2, 0, 1\)"),
        (torch.zeros(3, 9, 9, dtype=torch.int64), "gamma", {}, TypeError, "torch.int64 has no agreed range"),
        (7, "gamma", {}, TypeError, "of the type int, which is no image"),
        (COLOUR, 7, {}, TypeError, "The method is of the type int"),
        (COLOUR, "gamma", {"strength": 2}, ValueError, "strength=2 is not a number from 0"),
        (COLOUR, "wmpc", {}, UserError, "did you mean 'wmcp'"),
        (COLOUR, "hazy", {}, UserError, "for haze there are "),
        (COLOUR, "dcp", {"device": "tpu9"}, UserError, "no device 'tpu9'"),
        ("/", "gamma", {}, ValueError, "is a folder"),
    ],
)
def test_what_is_no_image_gets_a_sentence(image, method, more, kind, sentence) -> None:
    with pytest.raises(kind, match=sentence) as raised:
        limpid.restore(image, method, **more)
    assert isinstance(raised.value, UserError)


def test_what_is_no_image_is_said_to_be_none(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file, pytest.raises(TypeError, match="BufferedReader, which is no image"):
        limpid.restore(file, "gamma")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="sparse tensor"):
        limpid.restore(torch.rand(3, 4, 4).to_sparse(), "gamma")


def test_strength_is_any_real_number() -> None:
    close(limpid.restore(COLOUR, "gamma", strength=np.float32(1)), DARKER)  # type: ignore[call-overload]


def test_palettes_with_alpha_keep_it() -> None:
    picture = Image.fromarray(COLOUR).convert("P").convert("PA")
    picture.putalpha(Image.fromarray(COLOUR[..., 0]))
    restored = limpid.restore(picture, "gamma")
    assert restored.mode == "PA"
    np.testing.assert_array_equal(np.asarray(restored.getchannel("A")), COLOUR[..., 0])
