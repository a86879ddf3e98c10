"""The images that are degraded: clean ones, pairs, or successive frames."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from limpid.config import instantiate
from limpid.data.datasets import Clean
from limpid.data.datasets import file_index as files_below
from limpid.data.datasets.base import Sample
from limpid.data.datasets.paired import PairedFiles
from limpid.data.image_io import read_image


class Sources:
    """The images that are degraded, by number.

    Args:
        source: their card.
        frames: how many successive frames make one image, or 0.
    """

    def __init__(self, source: Mapping[str, Any], frames: int = 0) -> None:
        self.images, self.frames = instantiate.construct(source, "input"), frames
        self.groups: list[tuple[str, list[str]]] = []
        if frames:
            videos: dict[str, list[str]] = {}
            for key, file in files_below.images(self.images.require_root(), [".", "*", "*/*"]):
                videos.setdefault(str(PurePath(key).parent), []).append(file)
            for video, shots in sorted(videos.items()):
                whole = range(0, len(shots) - frames + 1, frames)
                self.groups += [(PurePath(video).name or "video", shots[i : i + frames]) for i in whole]

    def __len__(self) -> int:
        return len(self.groups) if self.frames else len(self.images)

    def load(self, number: int, rng: np.random.Generator) -> Sample:
        """Image `number`: `target` (and `input`), or `frames`; `name`."""
        if self.frames:
            name, shots = self.groups[number]
            return {"frames": np.stack([read_image(Path(shot)) for shot in shots]), "name": name}
        paired = isinstance(self.images, PairedFiles)
        sample: Sample = self.images.load(number, rng) if paired else self.images.load(number)
        return sample

    def fingerprint(self) -> str:
        """Of the files' names in their order, wherever they lie: it decides which image has which number."""
        if self.frames:
            listed = [name + PurePath(shot).name for name, shots in self.groups for shot in shots]
        elif isinstance(self.images, PairedFiles | Clean):
            listed = [(file[0] if isinstance(file, tuple) else file).name for file in self.images.files]
        else:
            listed = [str(sorted(vars(self.images).items()))]
        return hashlib.sha256("\n".join(listed).encode()).hexdigest()

    def provenance(self, number: int) -> dict[str, Any]:
        """Which files image `number` comes from, and the SHA-256 of their content."""
        if self.frames:
            files = [Path(shot) for shot in self.groups[number][1]]
        elif isinstance(self.images, PairedFiles):
            files = list(dict.fromkeys(self.images.files[number]))
        elif isinstance(self.images, Clean):
            files = [self.images.files[number]]
            files += [] if self.images.depth is None else [self.images.depth_file(files[0])]
        else:
            return {"source": "scenes"}
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        return {"source": [file.name for file in files], "source_sha256": digest}
