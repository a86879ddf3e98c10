"""The clean images that a figure degrades: a card's, by name."""

from __future__ import annotations

import os

from limpid.config import instantiate, recipes
from limpid.data.datasets.base import CleanSet
from limpid.data.scenes import Scenes
from limpid.errors import CannotRun, UserError, nearest


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
    known = recipes.names("dataset")
    if name not in known:
        raise UserError(f"There is no set {name!r}{nearest(name, known) or '; `limpid data list` names all.'}")
    card = recipes.card(name, root or os.environ.get("LIMPID_DATA") or "data")
    images: CleanSet = instantiate.construct(card, f"set {name}")
    if getattr(images, "kind", None) != "clean":
        raise UserError(f"The set {name} is not one of clean images; use scenes, or one such as nyu_depth.")
    if why := getattr(images, "why_missing", lambda: None)():
        raise CannotRun(why)
    return images
