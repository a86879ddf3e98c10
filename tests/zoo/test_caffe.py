"""Files of Caffe: written here byte by byte in its format, and what is damaged or hostile."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from limpid.errors import UserError
from limpid.zoo import caffe


def number(value: int) -> bytes:
    """A number in seven bits a byte."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def field(key: int, value: int | bytes) -> bytes:
    """A field of a message: a number, or bytes with their length."""
    if isinstance(value, int):
        return number(key << 3) + number(value)
    return number(key << 3 | 2) + number(len(value)) + value


def blob(values: np.ndarray, old: bool = False, wide: bool = False) -> bytes:
    """A blob; in the older form its four sides stand in fields of their own."""
    if old:
        sides = [1] * (4 - values.ndim) + list(values.shape)
        shape = b"".join(field(key, side) for key, side in enumerate(sides, 1))
    else:
        shape = field(7, field(1, b"".join(map(number, values.shape))))
    return shape + field(8 if wide else 5, values.astype("<f8" if wide else "<f4").tobytes())


def layer(name: str, kind: str, *blobs: bytes) -> bytes:
    bottom = field(3, b"data") + field(10, 1)  # what is passed over
    return field(100, field(1, name.encode()) + field(2, kind.encode()) + bottom + b"".join(field(7, b) for b in blobs))


def write(path: Path, *layers: bytes) -> Path:
    path.write_bytes(field(1, b"a net") + b"".join(layers))
    return path


def test_weights_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    filters, bias = rng.random((4, 3, 3, 3), np.float32), rng.random(4, np.float32)
    mean, variance = rng.random(4, np.float32), rng.random(4, np.float32)
    unpacked = field(7, b"".join(field(1, side) for side in (2, 2)))
    unpacked += b"".join(number(5 << 3 | 5) + struct.pack("<f", value) for value in (1, 2, 3, 4))
    file = write(
        tmp_path / "net.caffemodel",
        layer("data", "Input"),
        layer("conv", "Convolution", blob(filters), blob(bias, wide=True)),
        layer("bn", "BatchNorm", blob(mean), blob(variance), blob(np.array([4.0]))),
        layer("scale", "Scale", blob(mean, old=True)),
        layer("fc", "InnerProduct", unpacked),
    )
    found = caffe.weights(file)
    assert list(found) == [
        "conv.weight", "conv.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked", "scale.weight", "fc.weight",
    ]  # fmt: skip
    torch.testing.assert_close(found["conv.weight"], torch.from_numpy(filters), rtol=0, atol=0)
    torch.testing.assert_close(found["conv.bias"], torch.from_numpy(bias), rtol=0, atol=0)
    torch.testing.assert_close(found["bn.running_mean"], torch.from_numpy(mean / 4))
    torch.testing.assert_close(found["bn.running_var"], torch.from_numpy(variance / 4))
    assert found["scale.weight"].shape == (1, 1, 1, 4)
    torch.testing.assert_close(found["fc.weight"], torch.tensor([[1.0, 2.0], [3.0, 4.0]]))


def test_a_normalisation_that_never_learnt_is_zero_as_in_caffe(tmp_path: Path) -> None:
    ones = blob(np.ones(2))
    found = caffe.weights(write(tmp_path / "a.caffemodel", layer("bn", "BatchNorm", ones, ones, blob(np.zeros(1)))))
    assert found["bn.running_var"].tolist() == [0, 0]


WHOLE = layer("conv", "Convolution", blob(np.ones((2, 3, 1, 1))), blob(np.ones(2)))
LARGE = field(7, field(1, number(2**40) + number(2**20))) + field(5, b"\0\0\0\0")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (WHOLE[:-3], "it ends in the middle of a field"),
        (b"\x80" * 3, "it ends in the middle of a number"),
        (b"\xff" * 20, "a number is longer than ten bytes"),
        (b"\x03", "a field is of no kind that is read here"),
        (b"", "it holds no layer with weights"),
        (field(2, b"V1"), "it is of a Caffe of before 2015"),
        (layer("a", "Convolution", LARGE), "a blob of the shape 1099511627776x1048576 has 1 values"),
        (
            layer("a", "Convolution", field(7, field(1, number(2**62) + number(0)))),
            "a blob of the shape .* has 0 values",
        ),
        (layer("a", "Convolution", blob(np.ones((1,) * 40))), "a blob of the shape 1x1"),
        (layer("a", "Convolution", field(5, b"\0\0\0")), "the values of a blob end in the middle of a number"),
        (layer("a", "BatchNorm", blob(np.ones(2))), "the batch normalisation a has not its three blobs"),
        (layer("a", "Odd", *[blob(np.ones(2))] * 3), "the layer a of the kind Odd has 3 blobs"),
        (WHOLE + WHOLE, "two layers are called conv"),
        (field(100, field(1, b"\xff\xfe")), "a name is no text"),
        (field(100, number(7 << 3 | 2) + number(2**62)), "it ends in the middle of a field"),
    ],
)
def test_what_is_damaged_or_hostile_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "a.caffemodel").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.caffemodel is not a \.caffemodel that can be imported \({why}"):
        caffe.weights(tmp_path / "a.caffemodel")


def test_any_cut_and_any_flipped_byte_is_read_or_refused(tmp_path: Path) -> None:
    whole = WHOLE + layer("bn", "BatchNorm", *[blob(np.ones(2))] * 2, blob(np.ones(1)))
    file = tmp_path / "a.caffemodel"
    for place in range(len(whole)):
        for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]):
            file.write_bytes(content)
            try:
                caffe.weights(file)
            except UserError:
                continue
