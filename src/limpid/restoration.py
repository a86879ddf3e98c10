"""`limpid.restore`: an image of any kind restored by the name of a method, and given back as the kind that it was."""

from __future__ import annotations

import functools
import io
import numbers
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from limpid import zoo
from limpid.errors import UserError
from limpid.methods import Method, method

if TYPE_CHECKING:
    Array = NDArray[Any]

#: How many methods are kept ready.
_KEPT = 4
#: Values of floating-point images may be this far outside [0, 1], as rounding leaves them.
_TOLERANCE = 1e-3
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class ImageTypeError(UserError, TypeError):
    """What was given is no kind of image that `limpid.restore` takes."""


class ImageValueError(UserError, ValueError):
    """The image, or a number beside it, has a shape or values that it cannot have."""


@overload
def restore(
    image: str | os.PathLike[str], method: str, *, strength: float = 1.0, device: str = "auto"
) -> NDArray[Any]: ...
@overload
def restore(image: Image.Image, method: str, *, strength: float = 1.0, device: str = "auto") -> Image.Image: ...
@overload
def restore(image: NDArray[Any], method: str, *, strength: float = 1.0, device: str = "auto") -> NDArray[Any]: ...
@overload
def restore(image: Tensor, method: str, *, strength: float = 1.0, device: str = "auto") -> Tensor: ...
@overload
def restore(
    image: list[Any] | tuple[Any, ...] | Iterator[Any], method: str, *, strength: float = 1.0, device: str = "auto"
) -> Iterator[Any]: ...


def restore(image: Any, method: str, *, strength: float = 1.0, device: str = "auto") -> Any:
    """The restored image, as the kind of image that was given: of its type, shape, range, and on its device.

    Large images go through networks in tiles, no gradients are kept, and values are held to their range. A method is
    made once and kept for the next call.

    Args:
        image: one of

            - a PIL image of any mode, which keeps mode, alpha, profile and EXIF;
            - a NumPy array `(H, W)`, `(H, W, 1)`, `(H, W, 3)` of RGB or `(H, W, 4)` of RGB and alpha: uint8, uint16, or
              floating-point in [0, 1];
            - a tensor `(3, H, W)` or `(N, 3, H, W)` of RGB: uint8, or floating-point in [0, 1];
            - the path of a photograph, which gives a NumPy array, upright: uint8 or uint16 as the file has it;
            - a list or an iterator of any of these, which gives an iterator: each is read and restored when its turn
              comes. Where one raises, the iterator goes on with the next.
        method: a prior's name; a network's, for its default weights in the zoo; ``zoo:NAME``; an alias of one, such as
            ``haze``; or a checkpoint's path.
        strength: how much of the change is made, 0 to 1.
        device: where the network works; ``auto`` is the first accelerator there is, else the CPU.

    Raises:
        UserError: there is no such method or device, or a file cannot be read.
        ImageTypeError: `image` is nothing of these; it is a `UserError` and a `TypeError`.
        ImageValueError: a shape or a value is wrong; it is a `UserError` and a `ValueError`.
    """
    if isinstance(strength, bool) or not isinstance(strength, numbers.Real) or not 0 <= strength <= 1:
        raise ImageValueError(f"strength={strength!r} is not a number from 0 (as it is) to 1 (the whole change).")
    if not isinstance(method, str | os.PathLike):
        raise ImageTypeError(f"The method is of the type {type(method).__name__}; give its name, such as 'wmcp'.")
    ready = _kept(os.fspath(method), str(device), _stamp(os.fspath(method)))
    return _restore(image, ready, float(strength))


def _stamp(name: str) -> tuple[object, ...]:
    """What tells whether a name is still the same method's: the current directory, the file's last change, the zoo."""
    path = Path(name)
    changed = path.stat().st_mtime_ns if path.is_file() else None
    return os.getcwd(), changed, zoo.stamps()  # noqa: PTH109


@functools.lru_cache(maxsize=_KEPT)
def _kept(name: str, device: str, stamp: tuple[object, ...]) -> Method:
    return method(name, device)


def _restore(image: Any, ready: Method, strength: float) -> Any:
    if isinstance(image, str | os.PathLike):
        return _of_file(Path(image), ready, strength)
    if isinstance(image, Image.Image):
        return _of_picture(image, ready, strength)
    if isinstance(image, Tensor):
        return _of_tensor(image, ready, strength)
    if isinstance(image, np.ndarray):
        return _of_array(image, ready, strength)
    if isinstance(image, list | tuple | Iterator) and not isinstance(image, io.IOBase):
        return map(
            functools.partial(_restore, ready=ready, strength=strength), image
        )  # lazy, and goes on after an error
    raise ImageTypeError(
        f"What was given is of the type {type(image).__name__}, which is no image; give a path, a PIL image, a NumPy "
        "array (H, W, 3), a tensor (3, H, W), or a list of these."
    )


def _of_file(path: Path, ready: Method, strength: float) -> Array:
    from limpid.data.photo_io import read_photograph

    if path.is_dir():
        raise ImageValueError(f"{path} is a folder; give a list of the photographs in it.")
    photograph = read_photograph(path)
    samples = _whole(_change(photograph.pixels, ready, strength), photograph.levels)
    if photograph.alpha is not None:
        return np.dstack([samples, photograph.alpha])
    return _grey_of(samples) if photograph.grey else samples


def _of_array(array: Array, ready: Method, strength: float) -> Array:
    _refuse_shape(array)
    levels = _levels(array.dtype)
    colour = array if array.ndim == 3 else array[..., None]
    alpha = colour[..., 3:]
    rgb = colour[..., :3] if colour.shape[2] > 1 else np.repeat(colour, 3, axis=2)
    values = np.array(rgb, np.float32, order="C")  # a copy: what was given stays as it is
    if levels is None:
        _refuse_range(float(values.min()), float(values.max()))
    else:
        values /= np.float32(levels)
    restored = _change(values.clip(0, 1), ready, strength)
    if colour.shape[2] == 1:
        restored = (restored @ _LUMA)[..., None]
    samples = (restored if levels is None else _whole(restored, levels)).astype(array.dtype)
    return np.concatenate([samples, alpha], axis=2).reshape(array.shape).astype(array.dtype, copy=False)


def _of_tensor(tensor: Tensor, ready: Method, strength: float) -> Tensor:
    if tensor.ndim not in (3, 4) or tensor.shape[-3] != 3 or 0 in tensor.shape:
        hint = (
            "; it has its colours last: tensor.permute(2, 0, 1)" if tensor.ndim == 3 and tensor.shape[-1] == 3 else ""
        )
        raise ImageValueError(
            f"A tensor of the shape {tuple(tensor.shape)} is no image (3, H, W) and no batch (N, 3, H, W){hint}."
        )
    if tensor.layout != torch.strided or tensor.is_meta:
        raise ImageTypeError("A sparse tensor, or one without values, is no image; give tensor.to_dense().")
    if not tensor.is_floating_point() and tensor.dtype != torch.uint8:
        raise ImageTypeError(
            f"A tensor of {tensor.dtype} has no agreed range; give uint8, or floating-point values in [0, 1]."
        )
    x = tensor.detach().float() if tensor.is_floating_point() else tensor.float() / 255
    _refuse_range(float(x.amin()), float(x.amax()))
    images = x.clamp(0, 1).reshape(-1, *x.shape[-3:])
    # One at a time, so that an image is restored alike alone and in a batch.
    restored = torch.cat([ready.restore(one[None], strength) for one in images]).reshape(x.shape)
    if tensor.dtype == torch.uint8:
        return restored.mul_(255).add_(0.5).floor_().to(torch.uint8)
    return restored.to(tensor.dtype)


def _of_picture(picture: Image.Image, ready: Method, strength: float) -> Image.Image:
    if picture.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        result = _of_deep_picture(picture, ready, strength)
    else:
        try:
            colours = np.asarray(_colours(picture))
        except ValueError as error:
            raise ImageValueError(f"A PIL image of mode {picture.mode} cannot be made RGB ({error}).") from error
        result = _in_mode(Image.fromarray(_of_array(colours, ready, strength)), picture.mode)
    result.info = dict(picture.info)
    return result


def _of_deep_picture(picture: Image.Image, ready: Method, strength: float) -> Image.Image:
    """Grey pictures of 16 bits, which mode I stands for too, or of floating-point values in [0, 1]."""
    values = np.asarray(picture)
    if picture.mode == "F":
        return Image.fromarray(_of_array(values.astype(np.float32), ready, strength))
    if values.min() < 0 or values.max() > 65535:
        raise ImageValueError(
            f"A PIL image of mode {picture.mode} with values from {values.min()} to {values.max()} has no agreed "
            "range; give it as a NumPy array of floating-point values in [0, 1]."
        )
    restored = Image.fromarray(_of_array(values.astype(np.uint16), ready, strength))
    return restored if restored.mode == picture.mode else _in_mode(restored, picture.mode)


def _colours(picture: Image.Image) -> Image.Image:
    """The picture in RGB, or in RGBA where it has any transparency."""
    if picture.mode == "La":
        picture = picture.convert("LA")  # the only mode that it can be made
    return picture.convert("RGBA" if picture.has_transparency_data or picture.mode == "PA" else "RGB")


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if picture.mode == mode:
        return picture
    if mode == "PA":
        with_alpha = picture.convert("RGB").quantize(256).convert("PA")
        with_alpha.putalpha(picture.getchannel("A"))
        return with_alpha
    if mode == "P":
        return picture.quantize(256, Image.Quantize.FASTOCTREE) if picture.mode == "RGBA" else picture.quantize(256)
    if mode in ("La", "LA") and picture.mode == "RGBA":
        picture = picture.convert("LA")
    return picture if picture.mode == mode else picture.convert(mode)


def _change(pixels: NDArray[np.float32], ready: Method, strength: float) -> NDArray[np.float32]:
    """The restored pixels `(H, W, 3)` in [0, 1]."""
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    return np.ascontiguousarray(ready.restore(x, strength)[0].permute(1, 2, 0).numpy())


def _whole(pixels: NDArray[np.float32], levels: int) -> Array:
    kind = np.uint16 if levels == 65535 else np.uint8
    return np.floor(pixels * np.float32(levels) + np.float32(0.5)).astype(kind)


def _grey_of(samples: Array) -> Array:
    return np.floor(samples.astype(np.float32) @ _LUMA + np.float32(0.5)).astype(samples.dtype)


def _levels(kind: np.dtype[Any]) -> int | None:
    """The highest value of whole samples; None for floating-point ones."""
    if kind.kind == "f":
        return None
    if kind.kind == "u" and kind.itemsize in (1, 2):
        return 255 if kind.itemsize == 1 else 65535
    raise ImageTypeError(
        f"An array of {kind} has no agreed range; give uint8, uint16, or floating-point values in [0, 1]."
    )


def _refuse_shape(array: Array) -> None:
    if array.size and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))):
        return
    hint = ""
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        hint = "; it has its colours first: np.moveaxis(image, 0, 2)"
    elif array.ndim == 4:
        hint = "; give a list of images"
    raise ImageValueError(f"An array of the shape {array.shape} is no image (H, W), (H, W, 3) or (H, W, 4){hint}.")


def _refuse_range(lowest: float, highest: float) -> None:
    if not (lowest >= -_TOLERANCE and highest <= 1 + _TOLERANCE):  # not a number is neither
        hint = "; divide by 255" if 1 < highest <= 255 and lowest >= 0 else ""
        raise ImageValueError(
            f"The values of the image are from {lowest:g} to {highest:g}, but they must be in [0, 1]{hint}."
        )
