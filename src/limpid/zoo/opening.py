"""Files of weights as others publish them, opened without executing anything in them."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.paths import IS_A_FOLDER, IS_NOT_THERE, why_no_file
from limpid.zoo import caffe, files, renames, tensorflow, torch_files
from limpid.zoo.renames import RenameTable

#: Of a MATLAB file: the bytes before its parts, the kind of a packed one, and how many bytes all may hold at most.
_MATLAB_HEADER, _MATLAB_PACKED = 128, 15
_LARGEST_MATLAB = 512 * 2**20
_BLOCK = 1 << 20
#: How deep structures of a MATLAB file may lie in each other.
_DEEPEST = 16


def files_in(source: Path) -> list[Path]:
    """The files of published weights at `source`: itself, or the TensorFlow checkpoints in the folder that it is.

    Raises:
        UserError: it is a folder without any.
    """
    if why_no_file(source) != IS_A_FOLDER:
        return [source]
    found = sorted(source.glob(f"*{tensorflow.SUFFIX}"))
    if not found:
        raise UserError(
            f"The folder {source} holds no {tensorflow.SUFFIX} of a TensorFlow checkpoint; give the file of published "
            "weights itself."
        )
    return found


def opened_files(paths: Sequence[Path]) -> list[Path]:
    """Those of `paths` that are opened themselves: all but the data that lie beside a TensorFlow index."""
    return [path for path in paths if not tensorflow.is_data(path)]


def state_of(paths: Sequence[Path], rules: RenameTable) -> dict[str, Tensor]:
    """The published weights in `paths` by name.

    Where there are several files, a name is ``STEM/name``, with the stem of its file.

    Raises:
        UserError: a file is not there or cannot be read, holds other things than weights, or two have one stem.
    """
    for path in paths:
        why = why_no_file(path)
        if why is not None:
            problem = f"There is no file {path}" if why == IS_NOT_THERE else f"The file {path} {why}"
            raise UserError(f"{problem}; give the path of published weights.")
    if len(paths) == 1:
        return renames.unwrapped(_opened(paths[0]), rules, paths[0])
    if len({path.stem for path in paths}) < len(paths):
        raise UserError("Two of the files of published weights have one name; give each file once, under its own name.")
    together: dict[str, Tensor] = {}
    for path in paths:
        state = renames.unwrapped(_opened(path), rules, path)
        together.update({f"{path.stem}/{name}": value for name, value in state.items()})
    return together


def _opened(file: Path) -> object:
    """The content of `file`, tensors and plain values only."""
    if file.suffix == files.SUFFIX:
        return files.tensors(file)[0]
    if file.suffix == ".caffemodel":
        return caffe.weights(file)
    if file.suffix == tensorflow.SUFFIX:
        return tensorflow.weights(file)
    if file.suffix == ".mat":
        return _matlab(file)
    # Single NumPy numbers: releases keep their scores beside the weights, and making one runs nothing.
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    kinds = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64)]
    with torch.serialization.safe_globals([scalar, (scalar, "numpy.core.multiarray.scalar"), np.dtype, *kinds]):
        return torch_files.content(file)


def _matlab(file: Path) -> dict[str, Tensor]:
    """The arrays of numbers in a MATLAB file, by name; of files up to version 7.

    Those in structures and cells are named by the way to them, counted from 1 as MATLAB does, such as
    ``net.layers.15.filters``; what else lies in structures, such as the names of kinds of layers, is passed over.
    """
    from scipy.io import loadmat

    try:
        _refuse_larger_inside(file)
        content = loadmat(file)
    except UserError:
        raise
    except Exception as error:  # of many types, on a damaged file or another one
        raise UserError(
            f"The file {file} is not a MATLAB file up to version 7, or is damaged ({error}); copy it again."
        ) from error
    arrays: dict[str, np.ndarray] = {}
    for name, value in content.items():
        if name.startswith("__"):
            continue
        if value.dtype != object and value.dtype.names is None and not _is_numbers(value):
            raise UserError(
                f"The entry {name} of {file} is not an array of numbers, so these are no weights to import."
            )
        arrays.update(_inside(name, value, file))
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}


def _refuse_larger_inside(file: Path) -> None:
    """Refuse a MATLAB file whose packed parts hold more than any published weights.

    Raises:
        UserError: they do.
    """
    with file.open("rb") as opened:
        header = opened.read(_MATLAB_HEADER)
        order: Literal["little", "big"] = "big" if header[-2:] == b"MI" else "little"
        left = _LARGEST_MATLAB
        while len(tag := opened.read(8)) == 8:
            kind, size = int.from_bytes(tag[:4], order), int.from_bytes(tag[4:], order)
            if kind != _MATLAB_PACKED:
                opened.seek(size, os.SEEK_CUR)
                continue
            unpacking = zlib.decompressobj()
            packed = opened.read(size)
            while packed and left >= 0:
                left -= len(unpacking.decompress(packed, _BLOCK))
                packed = unpacking.unconsumed_tail
            if left < 0:
                raise UserError(
                    f"The file {file} holds more than {_LARGEST_MATLAB:,} bytes, packed; give the weights alone."
                )


def _inside(name: str, value: object, file: Path, depth: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of numbers in `value`, an array of MATLAB's: numbers, a structure, or a cell of others."""
    if depth > _DEEPEST:
        raise UserError(f"The entry {name} of {file} lies too deep in other entries; these are no weights to import.")
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names is not None:
        members = [(str(field), value[field]) for field in value.dtype.names]
    elif value.dtype == object:
        members = [(str(number), member) for number, member in enumerate(value.flat, 1)]
        if len(members) == 1:  # a structure's fields are such arrays of one
            yield from _inside(name, members[0][1], file, depth + 1)
            return
    else:
        if _is_numbers(value):
            yield name, value
        return
    for part, member in members:
        yield from _inside(f"{name}.{part}", member, file, depth + 1)


def _is_numbers(value: np.ndarray) -> bool:
    return bool(np.issubdtype(value.dtype, np.number)) and not np.iscomplexobj(value)
