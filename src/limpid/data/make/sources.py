"""The images that are degraded: clean ones, pairs, or successive frames."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePath

import numpy as np

from limpid.config import instantiate
from limpid.data.datasets import file_index as files_below
from limpid.data.datasets.base import FileSet, Sample
from limpid.data.image_io import read_image
from limpid.errors import UserError


class Sources:
    """The images that are degraded, by number.

    Args:
        source: their card.
        frames: how many successive frames make one image, or 0.

    Raises:
        UserError: the card is of degraded images without references.
    """

    def __init__(self, source: Mapping[str, object], frames: int = 0) -> None:
        self.images, self.frames = instantiate.construct(source, "input"), frames
        self._are_files = isinstance(self.images, FileSet)
        if self._are_files and "target" not in self.images.roles:
            raise UserError(f"The set {self.images.name} has no clean images to degrade; give another --input.")
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
        sample: Sample = self.images.load(number, rng) if self._are_files else self.images.load(number)
        return sample

    def fingerprint(self) -> str:
        """A hash of the files' names in their order, wherever they lie: it decides which image has which number."""
        if self.frames:
            listed = []
            for name, shots in self.groups:
                listed += [name + PurePath(shot).name for shot in shots]
        elif self._are_files:
            listed = [PurePath(self.images.files_of(number)[0]).name for number in range(len(self.images))]
        else:
            listed = [str(sorted(vars(self.images).items()))]
        return hashlib.sha256("\n".join(listed).encode()).hexdigest()

    def provenance(self, number: int) -> dict[str, object]:
        """The names of the files that image `number` comes from, and the SHA-256 of their content."""
        if self.frames:
            files = [Path(shot) for shot in self.groups[number][1]]
        elif self._are_files:
            files = [Path(file) for file in dict.fromkeys(self.images.files_of(number))]
        else:
            return {"source": "scenes"}
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        return {"source": [file.name for file in files], "source_sha256": digest}
