"""How an image goes through a network: whole, padded to a multiple, or in overlapping tiles.

Each way is a callable `(network, x) -> restored`. The image stays on the device it is on; what the network works on is
moved to the network's device and back, so that a large image needs no more of an accelerator than one tile does.
"""

from limpid.inference.adaptive import Adaptive
from limpid.inference.receptive_field import receptive_radius
from limpid.inference.statistics import Adjust, ImageStatistics, adjusted, given, measured
from limpid.inference.tiles import Tiled
from limpid.inference.whole import (
    SMALLEST,
    Full,
    HasRestored,
    Inference,
    NetworkOutput,
    Padded,
    asks_for_whole_image,
    restore,
    restored_image,
)

__all__ = [
    "SMALLEST",
    "Adaptive",
    "Adjust",
    "Full",
    "HasRestored",
    "ImageStatistics",
    "Inference",
    "NetworkOutput",
    "Padded",
    "Tiled",
    "adjusted",
    "asks_for_whole_image",
    "given",
    "measured",
    "receptive_radius",
    "restore",
    "restored_image",
]
