"""Data sets: pairs of files as publishers lay them out, plain folders, and clean images degraded on the fly.

A set is described by a card in `conf/set/`; the classes here read it. Making a set touches no disk, so that a missing
one costs nothing until it is needed.
"""

from __future__ import annotations

from limpid.data.sets.base import CleanSet, ImageSet, Sample
from limpid.data.sets.degraded import Degraded
from limpid.data.sets.halves import Halves
from limpid.data.sets.images import Clean, Images
from limpid.data.sets.listed import Listed
from limpid.data.sets.named import Pairs

__all__ = ["Clean", "CleanSet", "Degraded", "Halves", "ImageSet", "Images", "Listed", "Pairs", "Sample"]
