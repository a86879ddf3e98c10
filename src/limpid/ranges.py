"""Numbers with their ranges, as signatures name them: `channels: Channels`, `dropout: Share`.

What a configuration gives is checked against them before anything is made of it (`limpid.config.kinds`). NaN is outside
every range, and so is infinity, unless a range names it as its end.
"""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Ge, Gt, Interval, Predicate

#: Counts of which a machine could hold or draw so many.
PositiveInt = Annotated[int, Interval(ge=1, le=2**31 - 1)]
NonNegativeInt = Annotated[int, Interval(ge=0, le=2**31 - 1)]
#: How many of something are held at once: images of a batch, patches, processes; of some there may be none.
Count = Annotated[int, Interval(ge=1, le=2**16)]
CountOrNone = Annotated[int, Interval(ge=0, le=2**16)]
#: Channels, features or hidden units of one layer of a network.
Channels = Annotated[int, Interval(ge=1, le=16384)]
#: Layers, blocks, stages or levels that are made one by one; some may be left out altogether.
Layers = Annotated[int, Interval(ge=1, le=1000)]
LayersOrNone = Annotated[int, Interval(ge=0, le=1000)]
#: The side of an image, a window or a tile, in pixels; of some it may be 0.
Pixels = Annotated[int, Interval(ge=1, le=2**16)]
PixelsOrNone = Annotated[int, Interval(ge=0, le=2**16)]
#: What numpy's and PyTorch's generators both take.
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]

PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
#: Any number that is one.
FiniteFloat = Annotated[float, Predicate(math.isfinite)]
#: A part of a whole.
Share = Annotated[float, Interval(ge=0, le=1)]
PositiveShare = Annotated[float, Interval(gt=0, le=1)]
#: A percentile of an image's values.
Percentile = Annotated[float, Interval(ge=0, le=100)]
#: A time limit of up to a year.
Minutes = Annotated[float, Interval(gt=0, le=366 * 24 * 60)]
