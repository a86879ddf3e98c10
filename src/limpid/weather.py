"""What is wrong with a photograph (haze, sand, rain, blur), guessed from simple statistics.

`conf/weather` has a file for each: the limits of its statistics, the words people use for it, the priors that suit, and
the sets on which methods are compared (`limpid.offers`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from limpid.errors import UserError
from limpid.paths import config_folders

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]

#: Nothing is wrong.
CLEAR = "clear"
#: Longest side, in pixels, at which a photograph is judged; and at which its fine detail is.
_SIDE, _DETAIL_SIDE = 512, 1024


class _MayBeSaid(TypedDict, total=False):
    sets: Sequence[str]


class _Described(_MayBeSaid):
    """What a file of conf/weather holds; see `Weather`."""

    words: Sequence[str]
    priors: Sequence[str]
    prefer: Sequence[str]
    order: int | None
    limits: Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class Weather:
    """One thing that can be wrong with a photograph.

    Attributes:
        name: such as ``haze``; the task of cards in the zoo.
        words: what people call it, besides.
        priors: the names of the priors that suit it.
        sets: the test sets whose scores say what restores best, the most telling first.
        prefer: of what has no scores there, what comes first.
        order: among the guesses; None is never guessed.
        limits: the least and the most of each statistic.
    """

    name: str
    words: tuple[str, ...]
    priors: tuple[str, ...]
    sets: tuple[str, ...]
    prefer: tuple[str, ...]
    order: int | None
    limits: Mapping[str, tuple[float | None, float | None]]

    def holds(self, statistics: Mapping[str, float]) -> bool:
        """Whether all limits hold."""
        return all(_within(statistics[name], *limits) for name, limits in self.limits.items())

    def why(self, statistics: Mapping[str, float]) -> str:
        """The statistics with their limits in words, such as ``contrast 0.08 below 0.13``."""
        return ", ".join(_said(name, statistics[name], *limits) for name, limits in self.limits.items())


@dataclass(frozen=True)
class Guess:
    """What is wrong with a photograph.

    Attributes:
        weather: its name, or ``clear``.
        why: the statistics that decided, in words.
    """

    weather: str
    why: str


@functools.lru_cache(maxsize=1)
def _read(files: tuple[tuple[Path, int], ...]) -> dict[str, Weather]:
    """The weathers in `files`, each with the time of its last change, so that a changed file is read again."""
    from limpid.config.yaml_files import values_of

    found: dict[str, Weather] = {}
    for file, _ in files:
        if file.stem not in found:
            found[file.stem] = _parsed(file.stem, values_of(file), file)
    return found


def _files() -> tuple[tuple[Path, int], ...]:
    folders = [folder.resolve() / "weather" for folder in config_folders("conf")]
    files = [file for folder in folders for file in sorted(folder.glob("*.yaml"))]
    return tuple((file, file.lstat().st_mtime_ns) for file in files)


def _parsed(name: str, content: Mapping[str, Any], file: Path) -> Weather:
    from limpid.config.kinds import refuse_settings

    try:
        refuse_settings(content, _Described)
    except UserError as error:
        raise UserError(f"{file} is no description of a weather: {error}") from error
    limits = {key: (low, high) for key, (low, high) in content["limits"].items()}
    for key in limits:
        if key not in STATISTICS:
            raise UserError(f"{file} limits {key!r}, but there are only the statistics {', '.join(STATISTICS)}.")
    lists = {key: tuple(content.get(key, ())) for key in ("words", "priors", "sets", "prefer")}
    return Weather(name, **lists, order=content["order"], limits=limits)


def weathers() -> dict[str, Weather]:
    """Every weather by its name, in the order in which they are guessed.

    Raises:
        UserError: a file of conf/weather is broken.
    """
    found = _read(_files())
    return dict(sorted(found.items(), key=lambda item: (item[1].order is None, item[1].order or 0, item[0])))


def guess(pixels: Pixels) -> Guess:
    """What is wrong with a photograph `(H, W, 3)` of RGB in [0, 1]."""
    found = statistics(pixels)
    for weather in weathers().values():
        if weather.order is not None and weather.holds(found):
            return Guess(weather.name, weather.why(found))
    shown = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in found.items())
    return Guess(CLEAR, shown)


#: The statistics of a photograph, and what each says.
STATISTICS = {
    "dark_channel": "median over the picture of the least value of any colour near a pixel; a veil raises it",
    "contrast": "mean of the deviation near a pixel over the mean there; a veil lowers it",
    "cast": "mean of red minus that of blue, over the mean of all; yellow to red light raises it",
    "cast_everywhere": "the share of pixels in which red, green and blue come in this order",
    "streaks": "thin bright upright lines against thin bright lying ones",
    "fine_detail": "deviation of the finest detail over that of the next coarser",
}


def statistics(pixels: Pixels) -> dict[str, float]:
    """The `STATISTICS` of a photograph `(H, W, 3)` of RGB in [0, 1], measured at 512 pixels (fine detail: 1024)."""
    import cv2
    import numpy as np

    small = _shrunk(pixels, _SIDE)
    grey = small.mean(2)
    side = max(3, round(max(small.shape[:2]) * 15 / _SIDE)) | 1  # He et al. take 15 pixels
    dark = cv2.erode(small.min(2), np.ones((side, side)))
    mean = cv2.blur(grey, (side, side))
    deviation = np.sqrt(np.maximum(cv2.blur(grey * grey, (side, side)) - mean * mean, 0))
    red, green, blue = np.moveaxis(small, 2, 0)
    ordered = (red >= green) & (green >= blue) & (red - blue > 0.06)
    upright, lying = (_thin_and_bright(grey, shape) for shape in ((1, 5), (5, 1)))
    fine = _shrunk(pixels, _DETAIL_SIDE).mean(2)
    coarse, coarser = cv2.GaussianBlur(fine, (0, 0), 1.0), cv2.GaussianBlur(fine, (0, 0), 2.0)
    return {
        "dark_channel": float(np.median(dark)),
        "contrast": float((deviation / (mean + 1e-3)).mean()),
        "cast": float((red.mean() - blue.mean()) / (small.mean() + 1e-6)),
        "cast_everywhere": float(ordered.mean()),
        "streaks": float(upright / (lying + 1e-5)),
        "fine_detail": float((fine - coarse).std() / ((coarse - coarser).std() + 1e-6)),
    }


def _shrunk(pixels: Pixels, side: int) -> Pixels:
    import cv2
    import numpy as np

    height, width = pixels.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return np.ascontiguousarray(pixels)
    stride = max(1, math.floor(1 / share / 4))  # of large ones a part is enough
    size = max(1, round(width * share)), max(1, round(height * share))
    thinned = np.ascontiguousarray(pixels[::stride, ::stride])
    return np.asarray(cv2.resize(thinned, size, interpolation=cv2.INTER_AREA), np.float32)


def _thin_and_bright(grey: Pixels, shape: tuple[int, int]) -> float:
    """The mean of what is brighter than an opening of this shape, which takes away what is thinner."""
    import cv2
    import numpy as np

    return float((grey - cv2.morphologyEx(grey, cv2.MORPH_OPEN, np.ones(shape))).mean())


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _said(name: str, value: float, low: float | None, high: float | None) -> str:
    bounds = [f"above {low:g}" if low is not None else "", f"below {high:g}" if high is not None else ""]
    return f"{name.replace('_', ' ')} {value:.2f} {' and '.join(filter(None, bounds))}"
