"""One image: a function of the job and its number, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import zlib
from functools import cache
from pathlib import Path

import numpy as np

from limpid.config import instantiate
from limpid.data.cropping import random_crop
from limpid.data.degradations import stand_in_depth
from limpid.data.degradations.operators import Operator
from limpid.data.image_io import write_image
from limpid.data.make.jobs import Job
from limpid.data.make.sources import Sources
from limpid.errors import UserError
from limpid.paths import leads_out
from limpid.store.atomic_io import atomic_write

#: Files that are not whole yet begin with this; sets leave out names that begin with a dot.
BEGUN = ".making-"


@cache
def _kept(source: str, frames: int, degradation: str, first: str) -> tuple[Sources, Operator, Operator | None]:
    operators = [instantiate.construct(plain, "degradation") for plain in map(json.loads, (degradation, first))]
    return Sources(json.loads(source), frames), operators[0], operators[1]


def worker_state(job: Job) -> tuple[Sources, Operator, Operator | None]:
    """The sources, the operator, and the one before it; made once in every process."""
    return _kept(json.dumps(job.source), job.frames, json.dumps(job.degradation), json.dumps(job.first))


def clear_cache() -> None:
    """Look for the sources anew."""
    _kept.cache_clear()


def make_image(job: Job, number: int) -> dict[str, object]:
    """The line of the manifest on image `number`, which is made and written.

    Raises:
        UserError: a source cannot be read or is too small, or the files cannot be written.
    """
    sources, operator, first = worker_state(job)
    turn, source = divmod(number, len(sources))
    rng = np.random.default_rng([job.seed, zlib.crc32(job.split.encode()), number])
    sample = sources.load(source, rng)
    before = set(sample)
    if job.crop is not None and "frames" not in sample:
        sample = random_crop(sample, job.crop, rng)
    if job.guess:
        sample = sample | {"depth": stand_in_depth(sample["target"])}
    if first is not None and "input" not in sample:
        sample = first(sample, rng)
    sample = operator(sample, rng)
    known = before | {"input", "target", "depth"}
    drawn = {key: _plain(value) for key, value in sample.items() if key not in known and _is_small(value)}
    scene = str(sample["name"]).replace("/", "_")
    if job.crop is not None:
        scene = f"{scene}-{turn + 1}"  # every turn cuts another window, which is a reference of its own
    filled = {"scene": scene, "turn": turn + 1, "frame": number + 1, "number": number + 1, "place": job.place}
    filled |= {"split": job.split, "airlight": float(np.mean(sample.get("airlight", 0)))}
    if "halves" in job.files:
        pair = [sample[role] for role in job.files["order"]]
        pictures = {job.files["halves"]: np.concatenate(pair, axis=1)}
    else:
        pictures = {job.files[role]: sample[role] for role in ("input", "target")}
    written = []
    for pattern, picture in pictures.items():
        written.append(pattern.format(**filled))
        if leads_out(written[-1]):
            raise UserError(
                f"The pattern {pattern} of `limpid data make {job.name}` leads out of the output; correct it."
            )
        _write(Path(job.folder) / written[-1], picture)
    return {"number": number, "files": written, **sources.provenance(source), **drawn}


def _is_small(value: object) -> bool:
    return not isinstance(value, np.ndarray) or value.ndim < 2


def _plain(value: object) -> object:
    """For JSON, with the digits that a float32 has."""
    if isinstance(value, np.ndarray):
        return [_plain(member) for member in value]
    return float(f"{value:.9g}") if isinstance(value, float | np.floating) else value


def _write(path: Path, picture: np.ndarray) -> None:
    """Write a PNG, see `atomic_write`; what a killed process left is cleared away by its name."""
    try:
        with atomic_write(path, path.with_name(f"{BEGUN}{os.getpid()}-{path.name}")) as begun:
            write_image(begun, picture)
    except OSError as error:
        raise UserError(unwritable(path, error)) from error


def unwritable(path: Path, error: OSError) -> str:
    """A sentence on why a file could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full, so {path} could not be written; free some space and give the same command again."
    return f"{path} cannot be written ({error.strerror}); check the folder and its permissions."
