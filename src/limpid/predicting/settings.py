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
    """The settings in a composed configuration.

    Raises:
        UserError: one of them is out of its range.
    """
    _refuse_numbers(config)
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


def _refuse_numbers(config: Mapping[str, Any]) -> None:
    quality, strength = config["quality"], config["strength"]
    megapixels = config["megapixels"]
    if quality is None or not 1 <= quality <= 100 or quality != int(quality):
        raise UserError(f"quality={_plain(quality)} is not a whole number from 1 to 100.")
    if strength is None or not 0 <= strength <= 1:
        raise UserError(f"strength={_plain(strength)} is not a number from 0 (as it is) to 1 (the whole change).")
    if megapixels is None or not megapixels > 0:
        raise UserError(f"megapixels={_plain(megapixels)} is not a number above 0.")
    if config["overlap"] is None or not config["overlap"] >= 0:
        raise UserError(f"overlap={_plain(config['overlap'])} is not a number of megapixels from 0 on.")
    for key, least in (("width", 16), ("photographs", 1)):
        value = config["sheet"][key]
        if value is None or value < least or value != int(value):
            raise UserError(f"sheet.{key}={_plain(value)} is not a whole number from {least} on.")


def _plain(value: object) -> object:
    return "null" if value is None else value


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
