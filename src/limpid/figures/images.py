"""The clean images that a figure degrades: a card's, by name."""

from __future__ import annotations

import os
from typing import Any

from omegaconf import OmegaConf

from limpid.config import instantiate
from limpid.data.datasets.base import CleanSet
from limpid.data.scenes import Scenes
from limpid.errors import CannotRun, UserError, nearest
from limpid.paths import config_folders


def clean_images(name: str, root: str | None) -> CleanSet:
    """The clean images of the set `name`.

    Args:
        name: ``scenes``, or a card of `conf/dataset`.
        root: the data root; None is `LIMPID_DATA`, or `data`.

    Raises:
        UserError: there is no card of that name, or it is not of clean images.
        CannotRun: its files are not there.
    """
    if name == "scenes":
        return Scenes("test", 1000, 240, 320)
    files = {file.stem: file for folder in config_folders("conf") for file in (folder / "dataset").glob("*.yaml")}
    if name not in files:
        raise UserError(f"There is no set {name!r}{nearest(name, files) or '; `limpid data list` names all.'}")
    whole = OmegaConf.create({"data": {"root": root or os.environ.get("LIMPID_DATA") or "data"}, "card": {}})
    whole.card = OmegaConf.load(files[name])
    card: Any = OmegaConf.to_container(whole.card, resolve=True)
    images: CleanSet = instantiate.construct(card, f"set {name}")
    if getattr(images, "kind", None) != "clean":
        raise UserError(f"The set {name} is not one of clean images; use scenes, or one such as nyu_depth.")
    if why := getattr(images, "why_missing", lambda: None)():
        raise CannotRun(why)
    return images
