"""The content of files as one hash that stays fast where there are a hundred thousand of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from limpid.errors import UserError

#: Bytes that are read of all files together; fewer than that are read whole.
_BYTES = 256 * 2**20
#: Of larger sets every file has its share of them, in blocks of so many bytes, at least first, middle and last.
_BLOCK = 4096
_BLOCKS = 3


def content_digest(files: Iterable[tuple[str, str | Path]]) -> str:
    """A hash of files by their names, sizes and bytes, 32 hex digits; neither folder nor order nor time enter.

    Up to 256 MiB are read. Of files that are more together each has an equal share: what is no larger is read whole,
    of what is larger blocks at equal distances, first, middle and last among them. So another file under the same name
    is told from the first by its size or any of these blocks; a PNG's last block has a checksum of all of its pixels.

    Args:
        files: pairs (name that the content is known by, file).

    Raises:
        UserError: a file cannot be read.
    """
    named = [(name, str(file)) for name, file in files]
    try:
        found = [os.stat(file) for _, file in named]  # noqa: PTH116 - a Path for every file costs more
        share = max(_BLOCKS * _BLOCK, _BYTES // max(1, len(named)))
        if sum(status.st_size for status in found) <= _BYTES:
            share = _BYTES
        lines = []
        for (name, file), status in zip(named, found, strict=True):
            digest = _sampled(file, status.st_size, share, status.st_mtime_ns)
            lines.append(f"{name}\0{status.st_size}\0{digest}\n")
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be read ({error.strerror}); complete the set, or remove it."
        ) from error
    whole = "".join(sorted(lines)).encode(errors="surrogateescape")
    return hashlib.blake2b(whole, digest_size=16).hexdigest()


@lru_cache(maxsize=2**18)  # a run and the runs that it starts from are resolved one after the other
def _sampled(file: str, size: int, share: int, modified: int) -> str:
    """A hash of a file that was last `modified` then, or of blocks of it where it is larger than its share."""
    with open(file, "rb", buffering=0) as stream:  # noqa: PTH123
        if size <= share:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        digest = hashlib.blake2b(digest_size=16)
        blocks = share // _BLOCK
        for number in range(blocks):
            stream.seek((size - _BLOCK) * number // (blocks - 1))
            digest.update(stream.read(_BLOCK))
    return digest.hexdigest()
