"""Images without references: real photographs to restore, or clean ones to degrade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from limpid.data.datasets import file_index
from limpid.data.datasets.base import Files, ImageSet, Matched, Sample, Wrap
from limpid.data.datasets.side_by_side import halves
from limpid.data.image_io import read_image
from limpid.errors import UserError
from limpid.ranges import Pixels


@dataclass(kw_only=True, eq=False)
class _Single(Files):
    """Single images.

    Args:
        images: folders of the images inside the set's folder: one pattern, or several. Whole parts may hold ``*``.
        suffix: what the stems of the images end with, where the folder holds others too.
        depth: folder of the depth maps, `<stem>.npy` `(H, W)`, inside the set's folder; None where there is none.
    """

    images: str | Sequence[str] = "."
    suffix: str = ""
    depth: str | None = None

    def has_layout(self, folder: Path) -> bool:
        """Whether there is an image."""
        return bool(self._in(folder))

    def _in(self, folder: Path) -> list[tuple[str, str]]:
        files = file_index.images(folder, self.images)
        return [(key, file) for key, file in files if key.endswith(self.suffix)]

    @cached_property
    def _named(self) -> list[tuple[str, str]]:
        return self._in(self.require_root())

    @property
    def whole_count(self) -> int:
        """How many images there are in all parts of the split; raises CannotRun where the set is missing."""
        return len(_Single._in(self, self.require_root()))  # not the choice of a `CleanSubset`

    def matched(self) -> Matched:
        """The image files, as `singles`; raises CannotRun where the set is missing."""
        return Matched([], [], [], [file for _, file in self._named])

    @property
    def roles(self) -> tuple[str, ...]:
        """The keys of the images and maps in a sample."""
        raise NotImplementedError

    def load(self, index: int, *rng: np.random.Generator) -> Sample:
        """Image `index`."""
        raise NotImplementedError

    def name_of(self, index: int) -> str:
        """The key of image `index`."""
        return self._named[index][0]

    def facts_of(self, index: int) -> Sample:
        """The `name` of image `index`."""
        return {"name": self.name_of(index)}

    def files_of(self, index: int) -> tuple[str, ...]:
        """The file of image `index`, and that of its depth where the set has it."""
        file = self._named[index][1]
        depth = self.depth_file(Path(file))
        return (file,) if depth is None else (file, str(depth))

    def depth_file(self, image: Path) -> Path | None:
        """Where the depth of an image lies; None where the set has none."""
        if self.depth is None:
            return None
        return self.require_root() / str(self.depth) / f"{image.stem}.npy"

    def wrap_files(self, wrap: Wrap) -> ImageSet:
        """The set as `wrap` gives it."""
        return wrap(self)

    @property
    def files(self) -> list[Path]:
        """The image files, sorted by key; raises CannotRun where the set is missing."""
        return [Path(file) for _, file in self._named]

    def __len__(self) -> int:
        return len(self._named)


@dataclass(kw_only=True, eq=False)
class Images(_Single):
    """Degraded images without references."""

    kind: ClassVar[str] = "without references"

    @property
    def roles(self) -> tuple[str, ...]:
        """The keys of the images and maps in a sample."""
        return ("input",) if self.depth is None else ("input", "depth")

    def load(self, index: int, *rng: np.random.Generator) -> Sample:
        """Image `index`: `input`, `name`, and `depth` `(H, W)` in (0, 1] where the set has it, 1 the furthest point."""
        key, file = self._named[index]
        sample: Sample = {"input": read_image(Path(file)), "name": key}
        depth = self.depth_file(Path(file))
        if depth is not None:
            metres = read_depth(depth, sample["input"].shape)
            sample["depth"] = metres / metres.max()
        return sample


@dataclass(kw_only=True, eq=False)
class Clean(_Single):
    """Clean images to be degraded, with their depth where the set has it.

    Args:
        relative: divide the depth by the greatest of the image, so that 1 is the furthest point, as the
            degradations expect it (RESIDE, Li et al., TIP 2019, does so too); else it stays in metres.
        middle: height and width of the picture proper; of a larger file (a white frame) the middle is taken.
        half: ``left`` or ``right`` where only that half of the file is the clean image.
    """

    kind: ClassVar[str] = "clean"

    relative: bool = True
    middle: Sequence[Pixels] | None = None
    half: str | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """The keys of the image and its map in a sample."""
        return ("target",) if self.depth is None else ("target", "depth")

    def load(self, index: int, *rng: np.random.Generator) -> Sample:
        """Image `index`: `target` `(H, W, 3)`, `name`, and `depth` `(H, W)` float32 where the set has it.

        Raises:
            UserError: a file cannot be read, or the depth is not of the image's size, or not positive and finite.
        """
        key, name = self._named[index]
        file = Path(name)
        image = read_image(file)
        if self.half is not None:
            image = halves(image, file)[0 if self.half == "left" else 1]
        sample: Sample = {"target": self._inner(image), "name": key}
        depth = self.depth_file(file)
        if depth is not None:
            sample["depth"] = self._inner(read_depth(depth, image.shape))
            if self.relative:
                sample["depth"] = sample["depth"] / sample["depth"].max()
        return sample

    def _inner(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.middle is None:
            return pixels
        top, left = (max(0, (side - wanted) // 2) for side, wanted in zip(pixels.shape, self.middle, strict=False))
        return pixels[top : top + self.middle[0], left : left + self.middle[1]]


def read_depth(path: Path, shape: Sequence[int]) -> NDArray[np.float32]:
    """The depth `(H, W)` in the .npy file at `path`, float32.

    Args:
        path: the file.
        shape: of the image it belongs to.

    Raises:
        UserError: the file cannot be read, has another size than the image, or holds values that are not positive
            and finite.
    """
    try:
        depth = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"The depth {path} cannot be read ({error}); complete the set.") from error
    if depth.shape != tuple(shape[:2]):
        sizes = f"{'x'.join(map(str, depth.shape[::-1]))}, but its image {shape[1]}x{shape[0]}"
        raise UserError(f"The depth {path} is {sizes}; the two must have one size.")
    if not (np.isfinite(depth).all() and (depth > 0).all()):
        raise UserError(f"The depth {path} holds values that are not positive and finite; fill its holes.")
    return np.asarray(depth, dtype=np.float32)
