"""Data sets: pairs of files as publishers lay them out, plain folders, and clean images degraded on the fly.

A set is described by a card in `conf/dataset/`; the classes here read it. Making a set touches no disk, so that a
missing one costs nothing until it is needed.
"""

from __future__ import annotations

from limpid.data.datasets.base import CleanSet, ImageSet, Sample
from limpid.data.datasets.degraded import Degraded
from limpid.data.datasets.images import Clean, Images
from limpid.data.datasets.paired_by_name import PairedByName
from limpid.data.datasets.paired_from_list import PairedFromList
from limpid.data.datasets.side_by_side import SideBySidePairs

__all__ = [
    "Clean",
    "CleanSet",
    "Degraded",
    "ImageSet",
    "Images",
    "PairedByName",
    "PairedFromList",
    "Sample",
    "SideBySidePairs",
]
