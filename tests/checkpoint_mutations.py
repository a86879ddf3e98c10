"""Checkpoint files that went wrong, by a seed: bytes, archives, pickles, values and headers of safetensors."""

from __future__ import annotations

import copy
import io
import json
import pickle
import pickletools
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_safetensors

_NUMBERS = (0, -1, 1, 255, 2**31 - 1, 2**31, 2**40, 2**63 - 1, 10**30)
#: What `torch.save` may be asked to write in the place of anything.
_VALUES: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: 0,
    lambda: -1,
    lambda: 2**40,
    lambda: 5.5,
    lambda: float("nan"),
    lambda: "",
    lambda: "1",
    lambda: "x" * 100_000,
    lambda: b"bytes",
    list,
    lambda: [1, "a", None],
    dict,
    lambda: {1: 2, None: 3, (1, 2): 4},
    lambda: {"_target_": "os.system"},
    lambda: (),
    lambda: {1, 2},
    lambda: torch.zeros(0),
    lambda: torch.zeros(2, 0, 3),
    lambda: torch.ones(1).expand(2**40),
    lambda: torch.ones(1).expand(2**20, 2**20),
    lambda: torch.full((3, 3), float("nan")),
    lambda: torch.full((3,), float("inf")),
    lambda: torch.ones(3, dtype=torch.complex64),
    lambda: torch.ones(3, dtype=torch.int64),
    lambda: torch.ones(3, dtype=torch.bool),
    lambda: torch.ones(3, dtype=torch.bfloat16),
    lambda: torch.ones(3, dtype=torch.float64),
    lambda: torch.ones(3, 3).to_sparse(),
    lambda: torch.ones(3, 3).to_sparse_csr(),
    lambda: torch.empty(3, 3, device="meta"),
    lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    lambda: torch.nn.Parameter(torch.ones(3)),
    lambda: torch.ones(3).to(torch.float8_e4m3fn),
    lambda: torch.Size([2**40]),
    lambda: torch.device("cpu"),
    lambda: torch.float32,
)
_WRONG_FIELDS: dict[str, tuple[Any, ...]] = {
    "dtype": ("F64", "C64", "F8_E4M3", "X"),
    "shape": ([2**40], [0], [-1], None),
    "data_offsets": ([0, 2**50], [0, 4]),
}
_FOREIGN: dict[str, bytes] = {
    "empty": b"",
    "text": b"These are the weights of my network.\n",
    "csv": b"step,name,value\n1,loss,0.5\n" * 40,
    "quota": b"<!DOCTYPE html><html><head><title>Quota exceeded</title></head><body>Sorry</body></html>",
    "json": b'{"limpid": 1, "network": "aod_net"}',
    "yaml": b"limpid: 1\nnetwork: aod_net\n",
    "zeros": bytes(70_000),
    "gzip": b"\x1f\x8b\x08\x00" + bytes(90),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 123456\n",
    "end of a zip": b"PK\x05\x06" + bytes(18),
    "begin of a zip": b"PK\x03\x04" + bytes(60),
    "marks": b"(" * 50_000 + b".",
    "huge text": b"\x80\x02\x8d" + (2**40).to_bytes(8, "little") + b"x.",
    "huge bytes": b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"x.",
    "huge memo": b"\x80\x02K\x01r\xff\xff\xff\xff.",
    "huge bytearray": b"\x80\x05\x96" + (2**33).to_bytes(8, "little") + b".",
    "long number": b"\x80\x02\x8b" + (2**30).to_bytes(4, "little") + b"\x01.",
}


def mutated(file: Path, seed: int, folder: Path) -> Iterator[tuple[str, Path]]:
    """Files made of the checkpoint `file`, without an end: what was done to each, and its path in `folder`.

    A file is removed when the next one is asked for. Equal seeds give equal files.

    Args:
        file: a checkpoint that `torch.save` wrote.
        seed: of what is done.
        folder: where they lie.
    """
    rng = random.Random(seed)
    content = file.read_bytes()
    value = torch.load(file, weights_only=True)
    ways = (_bytes, _entries, _operations, _values, _of_old, _safetensors, _others)
    for number in count():
        name, data, suffix = ways[number % len(ways)](rng, content, value)
        path = folder / f"mutated-{seed}-{number:05d}{suffix}"
        path.write_bytes(data)
        try:
            yield name, path
        finally:
            path.unlink(missing_ok=True)


def _bytes(rng: random.Random, content: bytes, _: Any) -> tuple[str, bytes, str]:
    return *_damaged(rng, content), ".ckpt"


def _damaged(rng: random.Random, content: bytes) -> tuple[str, bytes]:
    """Bytes that were flipped, cut, inserted, doubled, wiped or moved."""
    data = bytearray(content)
    place = rng.randrange(len(data))
    length = rng.choice((1, 2, 16, 300))
    way = rng.choice(("bit", "byte", "cut", "insert", "double", "wipe", "move", "head"))
    if way == "bit":
        data[place] ^= 1 << rng.randrange(8)
    elif way == "byte":
        data[place] = rng.randrange(256)
    elif way == "cut":
        del data[place:]
    elif way == "insert":
        data[place:place] = rng.randbytes(length)
    elif way == "double":
        data[place:place] = data[place : place + length]
    elif way == "wipe":
        data[place : place + length] = bytes(len(data[place : place + length]))
    elif way == "move":
        part = data[place : place + length]
        del data[place : place + length]
        other = rng.randrange(len(data) + 1)
        data[other:other] = part
    else:
        del data[: min(place, length)]
    return f"{way} at {place}", bytes(data)


def _entries(rng: random.Random, content: bytes, _: Any) -> tuple[str, bytes, str]:
    """An archive whose entries were changed, each with a right checksum, or whose sizes are claimed otherwise."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        entries = {name: packed.read(name) for name in packed.namelist()}
    name = rng.choice([*entries, *[key for key in entries if key.endswith("data.pkl")] * 3])
    way = rng.choice(("flip", "drop", "rename", "pack", "small", "large", "twice", "claim", "words"))
    _change_entry(rng, entries, name, way)
    kind = zipfile.ZIP_DEFLATED if way in ("pack", "large") else zipfile.ZIP_STORED
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", kind) as packed:
        for key, data in entries.items():
            packed.writestr(key, data)
        if way == "twice":
            packed.writestr(name + " ", b"again")
    made = bytearray(target.getvalue())
    if way == "claim":  # in the central directory: what one entry would have in bytes
        place = made.rfind(b"PK\x01\x02", 0, rng.randrange(made.find(b"PK\x01\x02") + 1, len(made)))
        field = rng.choice((20, 24, 42))
        made[place + field : place + field + 4] = rng.choice((2**31, 2**32 - 2, 7)).to_bytes(4, "little")
    return f"{way} of the entry {name}", bytes(made), ".ckpt"


def _change_entry(rng: random.Random, entries: dict[str, bytes], name: str, way: str) -> None:
    """Change the entry `name` of an archive."""
    if way == "flip":
        entries[name] = _damaged(rng, entries[name] or b"0")[1]
    elif way == "drop":
        del entries[name]
    elif way == "rename":
        entries[name + "x"] = entries.pop(name)
    elif way == "small":
        entries[name] = entries[name][: len(entries[name]) // 2]
    elif way == "large":
        entries[name] += bytes(50_000_000)
    elif way == "words":
        short = rng.choice((".format_version", ".storage_alignment", "byteorder", "version"))
        whole = next((key for key in entries if key.endswith(short)), f"archive/{short}")
        entries[whole] = rng.choice((b"", b"big", b"9", b"99999999999999999999", b"-1", b"x", b"\xff\xfe"))


def _operations(rng: random.Random, content: bytes, _: Any) -> tuple[str, bytes, str]:
    """A pickle in which one number or one name is another."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        entries = {name: packed.read(name) for name in packed.namelist()}
    name = next(key for key in entries if key.endswith("data.pkl"))
    data = entries[name]
    found = list(pickletools.genops(data))
    wanted = ("BININT", "BININT1", "BININT2", "LONG1", "GLOBAL", "BINUNICODE", "BINFLOAT")
    places = [i for i, (op, _, _) in enumerate(found) if op.name in wanted]
    index = rng.choice(places)
    op, argument, start = found[index]
    end = found[index + 1][2]
    other = _other_operation(rng, op.name)
    entries[name] = data[: start or 0] + other + data[end or 0 :]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as packed:
        for key, value in entries.items():
            packed.writestr(key, value)
    return f"{op.name} {str(argument)[:40]} is {other[:40]!r}", target.getvalue(), ".ckpt"


def _other_operation(rng: random.Random, name: str) -> bytes:
    if name == "GLOBAL":
        names = (
            *("torch DoubleStorage", "torch ByteStorage", "torch.storage UntypedStorage", "torch Tensor"),
            *("collections OrderedDict", "torch._utils _rebuild_parameter", "torch Size", "builtins eval"),
            *("torch.serialization _get_layout", "torch._utils _rebuild_sparse_tensor", "os system"),
            *("torch._utils _rebuild_meta_tensor_no_storage", "torch._utils _rebuild_qtensor"),
        )
        return ("c" + rng.choice(names).replace(" ", "\n") + "\n").encode()
    if name == "BINUNICODE" and rng.random() < 0.7:
        text = rng.choice(("", "storage", "network.conv1.weight", "cuda:7", "meta", "state_dict", "9" * 40, "\u0000"))
        return b"X" + len(text.encode()).to_bytes(4, "little") + text.encode()
    if rng.random() < 0.2:
        depth = rng.choice((150, 900, 10_000, 100_000))
        return rng.choice((b"]" * depth + b"N" + b"a" * depth, b"}X\x01\x00\x00\x00a" * depth + b"N" + b"s" * depth))
    if rng.random() < 0.2:
        return rng.choice((b"N", b"]", b"}", b")", b"\x88", b"G\x7f\xf8\x00\x00\x00\x00\x00\x00"))
    number = rng.choice(_NUMBERS)
    return pickle.dumps(number, protocol=2)[2:-1]


def _values(rng: random.Random, _: bytes, value: Any) -> tuple[str, bytes, str]:
    """A checkpoint in which something at any depth is another value, is gone, or has another name."""
    changed = copy.deepcopy(value)
    node, key, where = changed, rng.choice(list(changed)), ""
    while isinstance(node[key], dict | list) and node[key] and rng.random() < 0.75:
        where += f"{key}."
        node = node[key]
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
    way = rng.choice(("value", "value", "value", "value", "gone", "name", "number"))
    if way == "gone":
        del node[key]
    elif way == "name" and isinstance(node, dict):
        node[rng.choice((5, None, "", "x" * 300, "a\nb", 2.5, True))] = node.pop(key)
    elif way == "number" and isinstance(node[key], torch.Tensor) and node[key].is_floating_point():
        node[key] = node[key].clone().flatten()
        node[key][:1] = rng.choice((float("nan"), float("inf"), 1e38))
        node[key] = node[key].reshape(value_at(value, f"{where}{key}").shape)
    else:
        node[key] = rng.choice(_VALUES)()
    target = io.BytesIO()
    torch.save(changed, target, pickle_protocol=rng.choice((2, 2, 4)))
    return f"{way} at {where}{key}", target.getvalue(), ".ckpt"


def value_at(value: Any, where: str) -> Any:
    """The value in nested dicts and lists to which names with dots lead; names with dots themselves are found too."""
    if not where:
        return value
    for key in value if isinstance(value, dict) else range(len(value)):
        if where == str(key) or where.startswith(f"{key}."):
            found = value_at(value[key], where[len(str(key)) + 1 :])
            if found is not None:
                return found
    return None


def _of_old(rng: random.Random, _: bytes, value: Any) -> tuple[str, bytes, str]:
    """A file as torch wrote them before it took archives, or a plain pickle, damaged or whole."""
    target = io.BytesIO()
    if rng.random() < 0.7:
        torch.save(value, target, _use_new_zipfile_serialization=False)
        data = target.getvalue()
    else:
        data = pickle.dumps({"limpid": 1, "state_dict": {"a": 1}}, protocol=rng.randrange(6))
    name, data = _damaged(rng, data) if rng.random() < 0.8 else ("whole", data)
    return f"of old, {name}", data, rng.choice((".ckpt", ".pth"))


def _safetensors(rng: random.Random, _: bytes, value: Any) -> tuple[str, bytes, str]:
    """A safetensors file whose header or bytes are others."""
    config = json.dumps(value["network_config"])
    header = {"limpid": "1", "network": value["network"], "network_config": config, "provenance": "{}"}
    state = {key.removeprefix("network."): tensor.contiguous() for key, tensor in value["state_dict"].items()}
    data = save_safetensors(state, header)
    way = rng.choice(("bytes", "metadata", "tensor", "length"))
    if way == "bytes":
        name, data = _damaged(rng, data)
        return f"safetensors, {name}", data, ".safetensors"
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    words = ("", "{}", "[]", "5", "null", "NaN", "2", "[" * 20_000, '{"channels": 1e9}', '{"_target_": "os.system"}')
    if way == "metadata":
        key = rng.choice(list(header))
        entries["__metadata__"][key] = rng.choice(words)
        name = f"safetensors, {key}"
    elif way == "tensor":
        key = rng.choice(list(state))
        field = rng.choice(list(_WRONG_FIELDS))
        wrong = rng.choice(_WRONG_FIELDS[field])
        entries[key][field] = wrong
        name = f"safetensors, {field} of {key} is {wrong}"
    else:
        name = "safetensors, length of the header"
        return name, rng.choice(_NUMBERS[:8]).to_bytes(8, "little", signed=True) + data[8:], ".safetensors"
    text = json.dumps(entries).encode()
    return name, len(text).to_bytes(8, "little") + text + data[8 + length :], ".safetensors"


def _others(rng: random.Random, _: bytes, value: Any) -> tuple[str, bytes, str]:
    """A file of another kind under a checkpoint's name."""
    name = rng.choice([*_FOREIGN, "tar", "archive", "alone"])
    suffix = rng.choice((".ckpt", ".pth", ".safetensors", ".mat", ".caffemodel", ".index"))
    if name in _FOREIGN:
        return f"{name} as {suffix}", _FOREIGN[name], suffix
    target = io.BytesIO()
    if name == "tar":
        with tarfile.open(fileobj=target, mode="w") as packed:
            packed.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    elif name == "archive":
        with zipfile.ZipFile(target, "w") as packed:
            packed.writestr("notes.txt", "no weights")
    else:
        torch.save(rng.choice(_VALUES)(), target)
    return f"{name} as {suffix}", target.getvalue(), suffix
