"""The recipes of conf/data as LightningDataModules, for notebooks and for trainers of one's own.

    from limpid.data import RESIDE
    data = RESIDE(root="~/data", batch_size=4, crop=240)

They are the same recipes that `limpid train data=...` takes; the keyword arguments are the recipes' settings. Each
split is there under `train`, `val` and `test`, and as loaders. Batches are described in `limpid.data`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from limpid.config import instantiate
from limpid.config.recipes import recipe
from limpid.data.datamodule import RestorationData


class Recipe(RestorationData):
    """A recipe of conf/data by its name.

    A trainer's epoch is one pass over the training images (or `epoch_steps`); of several processes each takes its share
    of every batch, whatever the trainer's `use_distributed_sampler`.

    Args:
        name: of the recipe.
        root: the data root; None is the environment's `LIMPID_DATA`, else ``data``.
        settings: the recipe's settings that differ, such as ``batch_size=4``; dicts are merged key by key, as in
            ``train={"held_out": 10}``.

    Raises:
        UserError: there is no such recipe, or a setting is unknown.
    """

    def __init__(self, name: str, root: str | Path | None = None, **settings: Any) -> None:
        plain = recipe(name, None if root is None else Path(root).expanduser(), **settings)
        instantiate.check(plain, name)
        arguments = {
            key: instantiate.construct(value, f"{name}.{key}") for key, value in plain.items() if key != "_target_"
        }
        super().__init__(**arguments)
        self.recipe = name

    def setup(self, stage: str) -> None:
        """Leave out test sets that are not there.

        Raises:
            CannotRun: the training set is missing, or every test set.
        """
        self.require(training=stage == "fit")


class _Named(Recipe):
    """A recipe whose class knows its name.

    Args:
        root: the data root; None is the environment's `LIMPID_DATA`, else ``data``.
        settings: as for `Recipe`.
    """

    NAME: ClassVar[str]

    def __init__(self, root: str | Path | None = None, **settings: Any) -> None:
        super().__init__(self.NAME, root, **settings)


class RESIDE(Recipe):
    """RESIDE (Li et al., TIP 2019): haze, trained on ITS and tested on SOTS indoor, or on OTS and SOTS outdoor.

    Args:
        root: the data root; None is the environment's `LIMPID_DATA`, else ``data``.
        outdoor: OTS and SOTS outdoor.
        settings: as for `Recipe`.
    """

    def __init__(self, root: str | Path | None = None, outdoor: bool = False, **settings: Any) -> None:
        super().__init__("reside_ots" if outdoor else "reside_its", root, **settings)


class SPA(_Named):
    """SPA-Data (Wang et al., CVPR 2019): real rain."""

    NAME = "spa"


class GoPro(_Named):
    """GoPro (Nah et al., CVPR 2017): motion blur by averaged frames."""

    NAME = "gopro"


class DIV2KHybrid(_Named):
    """Hybrid-distorted patches of DIV2K, made on the fly; tested on RL-Restore's (Yu et al., CVPR 2018)."""

    NAME = "div2k_hybrid"


class SandSynthesis(_Named):
    """Sandstorms made on the fly by AOSR-Net's algorithm 1 (Si et al., 2023)."""

    NAME = "sand"


class DIDMDN(_Named):
    """DID-MDN (Zhang and Patel, CVPR 2018): rain of three densities."""

    NAME = "did_mdn"


class DIDHY(_Named):
    """DID-HY (Li et al., ECCV 2020): DID-MDN's rain with blur, noise and JPEG, made on the fly."""

    NAME = "did_hy"


class Rain1400(_Named):
    """Rain1400 (Fu et al., CVPR 2017): made rain of 14 kinds."""

    NAME = "rain1400"


class RealBlur(_Named):
    """RealBlur-J (Rim et al., ECCV 2020): real blur with aligned references."""

    NAME = "realblur_j"
