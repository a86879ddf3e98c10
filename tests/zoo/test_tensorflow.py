"""TensorFlow's checkpoints: written here byte by byte in their format, damaged and hostile, and as published."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.zoo.test_caffe import field, number
from torch import Tensor

from limpid import checkpoint
from limpid.commands import zoo
from limpid.config.registry import build
from limpid.errors import UserError
from limpid.inference import restore
from limpid.metrics import psnr
from limpid.networks.rl_restore import RLRestore
from limpid.zoo import tensorflow
from limpid.zoo.create import published

_KINDS = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "float16": 19}


def handle(place: int, length: int) -> bytes:
    return number(place) + number(length)


def block(entries: list[tuple[bytes, bytes]], compression: int = 0) -> bytes:
    """A block whose keys share what they begin with, in which only the first entry stands for itself."""
    content, before = b"", b""
    for key, value in entries:
        alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(before, key, strict=False))
        shared = len(list(alike))
        content += number(shared) + number(len(key) - shared) + number(len(value)) + key[shared:] + value
        before = key
    content += struct.pack("<II", 0, 1) + bytes([compression])
    return content + struct.pack("<I", tensorflow.checksum(content))


def write(file: Path, tensors: Mapping[str, np.ndarray], per_block: int = 3, compression: int = 0) -> Path:
    """A checkpoint in one data file, its index in blocks of so many entries."""
    data = b""
    entries = [(b"", field(1, 1) + field(3, field(1, 1)))]
    for name in sorted(tensors):
        value = tensors[name]
        content = value.tobytes()
        sides = b"".join(field(2, field(1, side)) for side in value.shape)
        message = field(1, _KINDS[value.dtype.name]) + field(2, sides)
        message += field(4, len(data)) + field(5, len(content))
        message += number(6 << 3 | 5) + struct.pack("<I", tensorflow.checksum(content))
        entries.append((name.encode(), message))
        data += content
    index, places = b"", []
    for first in range(0, len(entries), per_block):
        some = entries[first : first + per_block]
        written = block(some, compression)
        places.append((some[-1][0], handle(len(index), len(written) - 5)))
        index += written
    empty, top = block([]), block(places)
    footer = handle(len(index), len(empty) - 5) + handle(len(index) + len(empty), len(top) - 5)
    footer = footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    file.write_bytes(index + empty + top + footer)
    file.with_name(f"{file.stem}.data-00000-of-00001").write_bytes(data)
    return file


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"conv1/weights": (5, 5, 3, 4), "conv1/biases": (4,), "conv10/weights": (1, 1, 4, 2), "q/Matrix": (6, 3)}
    found = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    found |= {"step/step": np.array(7, np.int32), "b/double": rng.standard_normal(3), "b/half": np.ones(2, np.float16)}
    return found


def test_checksums_are_those_of_castagnoli() -> None:
    """The check value of CRC-32C, 0xE3069283 for the digits 1 to 9, turned and shifted."""
    crc = 0xE3069283
    assert tensorflow.checksum(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("per_block", [1, 2, 100])
def test_tensors_by_name(tmp_path: Path, per_block: int) -> None:
    found = tensorflow.weights(write(tmp_path / "net.index", arrays(), per_block))
    assert found.keys() == arrays().keys()
    for name, value in arrays().items():
        assert found[name].shape == value.shape
        np.testing.assert_array_equal(found[name].numpy(), value)


def test_hundreds_of_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    """Bytes turned, ends cut off, pieces moved: refused, or without any change to what is read."""
    file = write(tmp_path / "net.index", arrays())
    data = tmp_path / "net.data-00000-of-00001"
    whole = {path: path.read_bytes() for path in (file, data)}
    rng = np.random.default_rng(0)
    refused = 0
    for turn in range(240):
        path = file if turn % 4 else data
        content = bytearray(whole[path])
        kind = turn % 3
        if kind == 0:
            content[rng.integers(len(content))] ^= 1 << rng.integers(8)
        elif kind == 1:
            del content[rng.integers(len(content)) :]
        else:
            first, last = sorted(rng.integers(len(content), size=2))
            content[first:last] = rng.bytes(last - first)
        path.write_bytes(content)
        try:
            found = tensorflow.weights(file)
        except UserError as error:
            refused += "is not the index of a TensorFlow checkpoint that can be imported" in str(error)
        else:
            assert found.keys() <= arrays().keys()
            assert all(np.array_equal(value.numpy(), arrays()[name]) for name, value in found.items())
        path.write_bytes(whole[path])
    assert refused > 210


def message_of(file: Path) -> str:
    with pytest.raises(UserError) as caught:
        tensorflow.weights(file)
    return str(caught.value)


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    file = write(tmp_path / "net.index", arrays())
    data = tmp_path / "net.data-00000-of-00001"
    content = data.read_bytes()
    data.write_bytes(content[:-1])
    assert "its tensors are larger than the data" in message_of(file)
    data.write_bytes(content[:10] + b"\xff" + content[11:])
    assert "is damaged" in message_of(file)
    data.unlink()
    assert "net.data-00000-of-00001 is not beside it" in message_of(file)
    assert "compressed by Snappy" in message_of(write(tmp_path / "net.index", arrays(), compression=1))
    assert "it holds no tensors" in message_of(write(tmp_path / "net.index", {}))
    (tmp_path / "net.index").write_bytes(b"")
    assert "does not end as such an index does" in message_of(file)
    (tmp_path / "net.index").unlink()
    assert "No such file" in message_of(file)


def entry(place: int, length: int, shape: tuple[int, ...], check: int, kind: int = 1, shard: int = 0) -> bytes:
    sides = b"".join(field(2, field(1, side)) for side in shape)
    message = field(1, kind) + field(2, sides) + field(3, shard) + field(4, place) + field(5, length)
    return message + number(6 << 3 | 5) + struct.pack("<I", check)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (entry(0, 16, (2**40, 2**40), 0), "of the shape 1099511627776x1099511627776 has 16 bytes"),
        (entry(2**60, 16, (4,), 0), "the data ends before a does"),
        (entry(0, 16, (4,), 0, shard=5), "a tensor lies in file 5 of 1"),
        (entry(0, 16, (4,), 0, kind=8), "TensorFlow's type 8, which is not read"),
        (entry(0, 0, (0, 2**62), 0), "has 0 bytes"),
        (field(7, b"") + entry(0, 16, (4,), 0), "stored in slices"),
        (entry(0, 16, (1,) * 40 + (4,), 0), "has 16 bytes"),
    ],
)
def test_hostile_entries_take_no_memory(tmp_path: Path, message: bytes, reason: str) -> None:
    (tmp_path / "a.data-00000-of-00001").write_bytes(bytes(16))
    written = block([(b"", field(1, 1)), (b"a", message)])
    top = block([(b"a", handle(0, len(written) - 5))])
    footer = handle(0, 0) + handle(len(written), len(top) - 5)
    footer = footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    (tmp_path / "a.index").write_bytes(written + top + footer)
    assert reason in message_of(tmp_path / "a.index")


def test_blocks_that_are_led_to_again_and_again_are_refused(tmp_path: Path) -> None:
    written = block([(b"", field(1, 1))])
    top = block([(bytes([65 + turn]), handle(0, len(written) - 5)) for turn in range(20)])
    footer = (handle(0, 0) + handle(len(written), len(top) - 5)).ljust(40, b"\0")
    (tmp_path / "a.index").write_bytes(written + top + footer + struct.pack("<Q", 0xDB4775248B80FB57))
    assert "leads to a place where no block is" in message_of(tmp_path / "a.index")


# RL-Restore's release ------------------------------------------------------------------------------------------------

_HEAVY = ["conv1", "conv1_2", "conv2", "conv2a", "conv2c", "conv2d", "conv2_2", "conv3"]
_SMALL = {"tool_channels": 4, "patch": 16, "channels": [4, 4, 4, 4], "features": 6, "memory": 5}


def release(folder: Path, net: RLRestore) -> None:
    """The network's weights as RL-Restore's release has them: the agent, and a file for each tool."""

    def filters(layer: torch.nn.Module) -> dict[str, np.ndarray]:
        state = layer.state_dict()
        return {"w": state["weight"].permute(2, 3, 1, 0).numpy(), "b": state["bias"].numpy()}

    for count, tool in enumerate(net.tools, 1):
        layers = [layer for layer in tool.modules() if isinstance(layer, torch.nn.Conv2d)]
        names = _HEAVY if len(layers) == 8 else ["conv1", "conv2", "conv3"]
        parts = {name: filters(layer) for name, layer in zip(names, layers, strict=True)}
        tensors = {f"{name}/weights": part["w"] for name, part in parts.items()}
        write(
            folder / f"tool{count:02d}.index", tensors | {f"{name}/biases": part["b"] for name, part in parts.items()}
        )
    agent = {"step/step": np.array(1_050_000, np.int32)}
    for count, conv in enumerate(net.agent.convs, 1):
        agent |= {f"prediction/l{count}/w": filters(conv)["w"], f"prediction/l{count}/biases": filters(conv)["b"]}
    matrices = {"l7": ("Matrix", net.agent.summary), "q": ("Matrix", net.agent.values)}
    matrices["prediction_rnn/basic_lstm_cell"] = ("kernel", net.agent.gates)
    for name, (kind, linear) in matrices.items():
        agent[f"prediction/{name}/{kind}"] = linear.weight.detach().T.contiguous().numpy()
        agent[f"prediction/{name}/bias"] = linear.bias.detach().numpy()
    write(folder / "model.index", agent)


def random_net() -> RLRestore:
    torch.manual_seed(0)
    net: RLRestore = build("rl_restore", **_SMALL)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    return net.eval()


def test_a_release_in_thirteen_files_restores_what_ours_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = random_net()
    release(tmp_path, net)
    words = ["import", "rl_restore", str(tmp_path), "--to", str(tmp_path / "zoo"), "--name", "release"]
    settings = ["tool_channels=4", "patch=16", "channels=[4,4,4,4]", "features=6", "memory=5"]
    assert zoo.run([*words, *settings]) == 0
    assert "parameters of rl_restore" in capsys.readouterr().out
    content = checkpoint.read(tmp_path / "zoo" / "release.safetensors")
    assert content["network_config"] == {"transposed": True, **_SMALL}
    imported = checkpoint.network(content, tmp_path)
    for name, value in net.state_dict().items():
        assert torch.equal(imported.state_dict()[name], value), name
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(restore(imported, x.mT), restore(net, x).mT)


def test_a_release_that_lacks_a_tool_or_is_no_release_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no \.index of a TensorFlow checkpoint"):
        published("rl_restore", tmp_path, "release", tmp_path / "zoo", _SMALL)
    release(tmp_path, random_net())
    (tmp_path / "tool05.index").unlink()
    with pytest.raises(UserError, match=r"do not fit the network rl_restore: it lacks tools\.4"):
        published("rl_restore", tmp_path, "release", tmp_path / "zoo", _SMALL)


@pytest.fixture(scope="module")
def authors(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> RLRestore:
    """The network with the weights that its authors published; they lie beside the repository, or nowhere."""
    folder = real_data.parent / "weights" / "rl_restore"
    if not folder.is_dir():
        pytest.skip("needs the publisher's rl_restore")
    card = published("rl_restore", folder, "release", tmp_path_factory.mktemp("zoo"))
    net = checkpoint.network(checkpoint.read(card.weights), card.weights)
    assert isinstance(net, RLRestore)
    assert sum(p.numel() for p in net.parameters()) == 523_931
    return net


def pattern(side: int) -> Tensor:
    """``.5 + .4 sin(.2 h + .35 w + .7 c)``, `(1, 3, side, side)`."""
    places = torch.arange(side)
    phase = 0.2 * places.view(1, -1, 1) + 0.35 * places.view(1, 1, -1) + 0.7 * torch.arange(3).view(-1, 1, 1)
    return 0.5 + 0.4 * torch.sin(phase)[None]


@torch.no_grad()
def test_the_authors_tools_give_what_they_give_in_tensorflow(authors: RLRestore) -> None:
    reference = {
        0: ([0.479893, 0.750920, 0.892493], [0.068375, 0.228789, 0.511940], 0.487046),
        2: ([0.454775, 0.791862, 1.005411], [-0.039275, 0.144967, 0.465608], 0.489271),
    }
    for tool, (corner, inside, mean) in reference.items():
        y = authors.tools[tool](pattern(24))[0]
        torch.testing.assert_close(y[:, 0, 0], torch.tensor(corner), rtol=0, atol=1e-5)
        torch.testing.assert_close(y[:, 12, 7], torch.tensor(inside), rtol=0, atol=1e-5)
        assert y.mean().item() == pytest.approx(mean, abs=1e-5)


@torch.no_grad()
def test_the_authors_agent_gives_what_it_gives_in_tensorflow(authors: RLRestore) -> None:
    agent, x = authors.agent, pattern(63)
    summary = agent.look(x)
    values, state = agent(summary, agent.before([None], x), agent.start(1, x))
    expected = [2.586, 3.5579, 1.0, -4.7972, 1.5382, -0.0083, 0.1596, -0.9747, 1.8431, 1.538, 1.602, 1.1961, 0]
    torch.testing.assert_close(values[0], torch.tensor(expected), rtol=0, atol=6e-5)  # as many digits as are known
    values, _ = agent(summary, agent.before([0], x), state)
    torch.testing.assert_close(values[0, :3], torch.tensor([2.6477, 4.3094, 1.4538]), rtol=0, atol=6e-5)


def test_the_authors_patches_come_closer_to_their_references(authors: RLRestore, real_data: Path) -> None:
    from limpid.config.instantiate import construct
    from limpid.config.recipes import card

    gains = {"mild": (20.74, 24.88), "moderate": (19.05, 24.69), "severe": (19.55, 22.37)}
    for level, (before, after) in gains.items():
        images = construct({**card("rl_restore", real_data), "split": level}, "data")
        if images.why_missing():
            pytest.skip("needs RL-Restore's own patches")
        scores = []
        for index in range(3):
            sample = images.load(index, np.random.default_rng(0))
            degraded, clear = (
                torch.from_numpy(np.ascontiguousarray(sample[key].transpose(2, 0, 1)))[None]
                for key in ("input", "target")
            )
            scores.append([psnr(image, clear, eps=1e-10).item() for image in (degraded, restore(authors, degraded))])
        assert np.mean(scores, 0) == pytest.approx([before, after], abs=0.01)
