"""Files that `torch.save` wrote, read without executing anything in them: plain values and tensors.

PyTorch reads an archive without looking at its checksums, and values of any depth; so what a file claims is compared
with what it holds first. No memory is taken that the file itself does not fill.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.paths import why_no_file
from limpid.zoo.content import damaged

# What is wrong with a file is said in a sentence, or nothing is.
warnings.filterwarnings("ignore", message="Detected pickle protocol")

#: How deep values may lie in each other, and how many there may be, each counted wherever it stands.
_DEEPEST = 100
_MOST_VALUES = 5_000_000
_ARCHIVE = b"PK\x03\x04"
_BLOCK = 1 << 20


def content(path: Path, device: str = "cpu", checked: bool = False) -> object:
    """What `torch.save` wrote to `path`: plain values and tensors only.

    Args:
        path: the file.
        device: where its tensors go.
        checked: whether the file's bytes are known to be right, so that its checksums need not be compared.

    Raises:
        Damaged: the file is cut short or changed, or claims more than it holds.
        UserError: it is not there, or holds other objects.
    """
    why = why_no_file(path)
    if why is not None:
        raise UserError(f"The checkpoint {path} {why}; give the path of one that can be read.")
    try:
        if not checked:
            _compare_checksums(path)
        loaded: object = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"The checkpoint {path} holds Python objects or is not a checkpoint at all, so it is not opened: such a "
            "file can run any code. Save plain tensors (a state dict) and try again."
        ) from error
    except _OtherBytes as error:
        raise damaged(path, str(error)) from error
    except PermissionError as error:
        raise UserError(f"The checkpoint {path} may not be read ({error.strerror}).") from error
    except Exception as error:  # bytes that are no pickle at all are read as one, and any step of it may fail
        raise damaged(path, "it is no file that torch.save wrote, or ends too early") from error
    _refuse_boundless(loaded, path)
    return loaded


class _OtherBytes(Exception):  # noqa: N818 - why is said by its text
    """The bytes of an archive are not those that were written."""


def _compare_checksums(path: Path) -> None:
    """Refuse an archive of which an entry is packed, or has not its checksum."""
    with path.open("rb") as file:
        if file.read(len(_ARCHIVE)) != _ARCHIVE:
            return
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
            if len({member.filename for member in members}) < len(members):
                raise _OtherBytes("two parts of it have one name")
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise _OtherBytes("its parts are packed, as torch.save never does")
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise _OtherBytes("it claims to hold more than its size")
            for member in members:
                with packed.open(member) as part:
                    while part.read(_BLOCK):
                        pass
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise _OtherBytes(f"its checksums do not fit: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _refuse_boundless(value: object, path: Path) -> None:
    """Refuse values that lie too deep, that are too many, and tensors that are larger than what the file holds.

    Raises:
        Damaged: naming the first.
    """
    sizes: dict[int, int] = {}  # of what was counted already: pickles may name one value many times

    def count(inner: object, where: tuple[object, ...]) -> int:
        if isinstance(inner, Tensor):
            _refuse_unusual(inner, path, where)
        if not isinstance(inner, dict | list | tuple | set):
            return 1
        if len(where) > _DEEPEST or sizes.get(id(inner)) == 0:
            raise damaged(path, f"its values lie more than {_DEEPEST} deep in each other")
        if id(inner) not in sizes:
            sizes[id(inner)] = 0  # begun: who meets this is inside of itself
            sizes[id(inner)] = 1 + sum(count(member, (*where, key)) for key, member in _members(inner))
        if sizes[id(inner)] > _MOST_VALUES:
            raise damaged(path, f"it holds more than {_MOST_VALUES:,} values")
        return sizes[id(inner)]

    count(value, ())


def _members(value: Mapping[object, object] | Iterable[object]) -> Iterator[tuple[object, object]]:
    """The members of a value with their keys."""
    return iter(value.items()) if isinstance(value, Mapping) else iter(enumerate(value))


def _refuse_unusual(tensor: Tensor, path: Path, where: tuple[object, ...]) -> None:
    """Refuse a tensor that is no array of numbers in memory, or that repeats what the file holds once."""
    name = ".".join(str(key)[:80] for key in where) or "its content"
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        raise damaged(path, f"{name} is a sparse, quantized or nested tensor, which no checkpoint of Limpid holds")
    if tensor.is_meta:
        raise damaged(path, f"{name} is a tensor without values")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise damaged(path, f"{name} claims {tensor.numel():,} values, more than the file holds")
