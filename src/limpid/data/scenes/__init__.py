"""The embedded data set `scenes`: clean images with depth that need no download.

Most are drawn from random numbers, with the exact depth of every pixel; the rest are parts of the photographs
inside scikit-image and scikit-learn, whose depth is invented (but for one). Haze is put on them by
`limpid.data.degradations.Haze`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from limpid.data.scenes.draw import Scene, check_size, draw_scene
from limpid.data.scenes.photographs import PHOTOGRAPHS, crop_photograph, installed
from limpid.errors import UserError, nearest
from limpid.ranges import Pixels, PositiveInt, Seed, Share

if TYPE_CHECKING:
    from limpid.data.datasets.base import Sample

__all__ = ["Scene", "Scenes", "draw_scene"]

#: Height and width of scenes that are no windows.
WHOLE = (240, 320)

_SPLITS = tuple(PHOTOGRAPHS)  # a split's place here is part of the seed: do not reorder


class Scenes:
    """Clean images with depth, each a pure function of (split, seed, index) and the size.

    The splits share no image: each has its own stream of random numbers and its own photographs.

    Args:
        split: ``train``, ``val`` or ``test``.
        count: how many images there are.
        height: rows of each, at least 16; None, where training cuts no windows, is `WHOLE`'s.
        width: columns of each, at least 16; likewise.
        photograph_share: probability that an image is part of a photograph, whose depth is INVENTED (but for
            one, see `photographs`), rather than drawn, with exact depth. Where the installed packages lack
            the split's photographs, all are drawn.
        seed: another seed gives other images.
        indoor_share: probability that a drawn image is a room rather than a view outdoors.

    Raises:
        UserError: the split is unknown, the count or seed negative, a share not in [0, 1], a side under 16.
    """

    name = "scenes"

    def __init__(
        self,
        split: str,
        count: PositiveInt,
        height: Pixels | None,
        width: Pixels | None,
        photograph_share: Share = 0.3,
        seed: Seed = 0,
        indoor_share: Share = 0.7,
    ) -> None:
        if split not in _SPLITS:
            raise UserError(
                f"The data set scenes has no split {split!r}{nearest(split, _SPLITS)}; "
                f"choose one of {', '.join(_SPLITS)}."
            )
        if count < 0 or seed < 0:
            raise UserError(f"The count ({count}) and the seed ({seed}) of the data set scenes must not be negative.")
        for share, value in (("photograph_share", photograph_share), ("indoor_share", indoor_share)):
            if not 0 <= value <= 1:
                raise UserError(f"The {share} of the data set scenes is {value}, but it must be between 0 and 1.")
        height, width = WHOLE[0] if height is None else height, WHOLE[1] if width is None else width
        check_size(height, width)
        self.split = split
        self.count = count
        self.height = height
        self.width = width
        self.photograph_share = photograph_share
        self.seed = seed
        self.indoor_share = indoor_share

    def __len__(self) -> int:
        return self.count

    def load(self, index: int) -> Sample:
        """Image number `index`.

        Returns:
            `target` (H, W, 3) float32 RGB in [0, 1]; `depth` (H, W) float32 in [0, 1], where 0 is at the
            camera and 1 is the furthest point of the whole scene; `name`, such as ``train_000012``.

        Raises:
            IndexError: there is no such image.
        """
        if not 0 <= index < self.count:
            raise IndexError(
                f"The data set scenes ({self.split}) has {self.count} images, so there is none at {index}."
            )
        key = np.random.SeedSequence(self.seed, spawn_key=(_SPLITS.index(self.split), index))
        rng = np.random.default_rng(key)
        photographs = installed(self.split)
        if rng.random() < self.photograph_share and photographs:
            photograph = photographs[int(rng.integers(len(photographs)))]
            target, depth = crop_photograph(rng, photograph, self.height, self.width)
        else:
            target, depth = draw_scene(rng, self.height, self.width, self.indoor_share)
        return {"target": target, "depth": depth, "name": f"{self.split}_{index:06d}"}
