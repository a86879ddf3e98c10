"""Weights in the .caffemodel files of Caffe: the few messages of its protobuf format that hold them.

A file is a `NetParameter`. Of it are read the layers (field 100), of a layer its name (1), kind (2) and blobs (7), of a
blob its shape (7, or in older files the four numbers 1 to 4) and its values (5 in float32, 8 in float64). All else is
passed over. Nothing in a file is executed, and no memory is taken that the file itself does not fill.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.zoo.protobuf import DamagedError, fields, read_number

_LAYER, _LAYER_OF_OLD = 100, 2
_NAME, _KIND, _BLOB = 1, 2, 7
_SIZES, _VALUES, _SHAPE, _VALUES64 = range(1, 5), 5, 7, 8
_DIMENSION = 1
#: How many sides a blob has at most; Caffe allows as many.
_MOST_SIDES = 32


class Layer(NamedTuple):
    """A layer with weights: its name, Caffe's word for its kind, and its weights in Caffe's order."""

    name: str
    kind: str
    blobs: list[Tensor]


def weights(file: Path) -> dict[str, Tensor]:
    """The weights in `file`, float32, by names such as ``conv1.weight``.

    The first two blobs of a layer are `weight` and `bias`. Those of a batch normalisation are `running_mean`,
    `running_var` and the number that Caffe's program divides both by; here they are divided already, and a
    `num_batches_tracked` stands beside them, as PyTorch has it. Its slope and offset are a layer of their own in Caffe.

    Raises:
        UserError: the file cannot be read, is damaged or no such file, or holds layers with other weights.
    """
    found: dict[str, Tensor] = {}
    try:
        for layer in layers(file.read_bytes()):
            for part, value in _named(layer):
                name = f"{layer.name}.{part}"
                if name in found:
                    raise DamagedError(f"two layers are called {layer.name}")
                found[name] = value
        if not found:
            raise DamagedError("it holds no layer with weights")
    except (DamagedError, OSError) as error:
        raise UserError(
            f"The file {file} is not a .caffemodel that can be imported ({error}); copy it again, or give another file."
        ) from error
    return found


def layers(content: bytes) -> Iterator[Layer]:
    """The layers with weights of a whole file."""
    for field, value in fields(memoryview(content)):
        if field == _LAYER_OF_OLD and isinstance(value, memoryview):
            raise DamagedError("it is of a Caffe of before 2015; upgrade_net_proto_binary of Caffe renews it")
        if field == _LAYER and isinstance(value, memoryview):
            layer = _layer(value)
            if layer.blobs:
                yield layer


def _layer(message: memoryview) -> Layer:
    """A layer, whose blobs are none where it learns nothing."""
    name, kind = "", ""
    blobs: list[Tensor] = []
    for number, value in fields(message):
        if not isinstance(value, memoryview):
            continue
        if number == _NAME:
            name = _text(value)
        elif number == _KIND:
            kind = _text(value)
        elif number == _BLOB:
            blobs.append(_blob(value))
    return Layer(name, kind, blobs)


def _named(layer: Layer) -> Iterator[tuple[str, Tensor]]:
    """The weights of a layer by PyTorch's names."""
    blobs = layer.blobs
    if layer.kind == "BatchNorm":
        if len(blobs) != 3 or blobs[2].numel() != 1:
            raise DamagedError(f"the batch normalisation {layer.name} has not its three blobs")
        divisor = blobs[2].flatten()
        share = torch.where(divisor == 0, 0, 1 / divisor)  # as Caffe has it
        yield "running_mean", blobs[0] * share
        yield "running_var", blobs[1] * share
        yield "num_batches_tracked", torch.tensor(0)
    elif len(blobs) > 2:
        raise DamagedError(f"the layer {layer.name} of the kind {layer.kind} has {len(blobs)} blobs")
    else:
        yield from zip(("weight", "bias"), blobs, strict=False)


def _blob(message: memoryview) -> Tensor:
    """The values of a blob in its shape, float32."""
    sizes: dict[int, int] = {}
    shape: list[int] | None = None
    parts: list[np.ndarray] = []
    for number, value in fields(message):
        if number in _SIZES and isinstance(value, int):
            sizes[number] = value
        elif number == _SHAPE and isinstance(value, memoryview):
            shape = list(_dimensions(value))
        elif number in (_VALUES, _VALUES64) and isinstance(value, memoryview):
            kind = np.dtype("<f4" if number == _VALUES else "<f8")
            if len(value) % kind.itemsize:
                raise DamagedError("the values of a blob end in the middle of a number")
            parts.append(np.frombuffer(value, kind).astype(np.float32))
    shape = shape if shape is not None else [sizes[key] for key in sorted(sizes)]
    values = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if len(shape) > _MOST_SIDES or not len(values) or math.prod(shape) != len(values):
        raise DamagedError(f"a blob of the shape {'x'.join(map(str, shape))} has {len(values)} values")
    return torch.from_numpy(values.reshape(shape))


def _dimensions(message: memoryview) -> Iterator[int]:
    """The sides in a shape, which are packed together or stand alone."""
    for number, value in fields(message):
        if number != _DIMENSION:
            continue
        if isinstance(value, int):
            yield value
            continue
        place = 0
        while place < len(value):
            side, place = read_number(value, place)
            yield side


def _text(value: memoryview) -> str:
    """Bytes as text."""
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise DamagedError("a name is no text") from error
