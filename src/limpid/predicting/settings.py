"""What a command was asked for besides its photographs and methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limpid.errors import UserError, nearest

#: What `save` names, and the field of a prior's estimate that holds it.
MAPS = {"depth": "scene_depth", "transmission": "transmission", "airlight": "airlight"}


@dataclass(frozen=True)
class Settings:
    """The settings of conf/predict.yaml, where each is described.

    Attributes:
        overwrite: whether results that exist are written anew.
        compare: whether comparisons and sheets of them are written.
        save: which maps are written.
        suffix: of the results, such as ``.png``; None keeps each photograph's own.
        quality: of JPEG and lossy WebP, 1 to 100.
        megapixels: larger photographs are refused.
        strength: how much of the change is made, 0 to 1.
        overlap: megapixels up to which a photograph is in memory beside another.
        sheet_width: of a picture on a sheet, in pixels.
        sheet_photographs: how many a sheet holds.
    """

    overwrite: bool
    compare: bool
    save: tuple[str, ...]
    suffix: str | None
    quality: int
    megapixels: float
    strength: float
    overlap: float
    sheet_width: int
    sheet_photographs: int


def settings(config: Mapping[str, Any]) -> Settings:
    """The settings in a composed configuration, whose numbers are in their ranges (`limpid.config.settings`).

    Raises:
        UserError: a map or a suffix is unknown.
    """
    suffix = None if config["suffix"] is None else _suffix(str(config["suffix"]))
    save = config["save"] if isinstance(config["save"], Sequence) else [config["save"]]
    save = [save] if isinstance(save, str) else [what for what in save if what is not None]
    for what in save:
        if what not in MAPS:
            hint = nearest(str(what), MAPS) or f"; it takes {', '.join(MAPS)}."
            raise UserError(f"save={what} is unknown{hint}")
    return Settings(
        bool(config["overwrite"]),
        bool(config["compare"]),
        tuple(save),
        suffix,
        int(config["quality"]),
        float(config["megapixels"]),
        float(config["strength"]),
        float(config["overlap"]),
        int(config["sheet"]["width"]),
        int(config["sheet"]["photographs"]),
    )


def _suffix(given: str) -> str:
    """The suffix that `given` means, with its dot, in small letters.

    Raises:
        UserError: nothing of that suffix can be written.
    """
    from limpid.data.photo_io import FORMATS

    suffix = f".{given.lower().lstrip('.')}"
    if suffix not in FORMATS:
        known = sorted(one[1:] for one in FORMATS)
        hint = nearest(suffix[1:], known) or f"; it is one of {', '.join(known)}."
        raise UserError(f"suffix={given} cannot be written{hint}")
    return suffix
