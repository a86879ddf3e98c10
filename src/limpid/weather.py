"""What is wrong with a photograph (haze, sand, rain, blur), guessed from simple statistics, and which methods suit it.

`conf/weather` has a file for each: the limits of its statistics, the words people use for it, and the priors that suit.
Trained networks are found by the task on their cards in the zoo.
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

    from limpid.zoo import Card

    Pixels = NDArray[np.float32]

#: Nothing is wrong.
CLEAR = "clear"
#: Longest side, in pixels, at which a photograph is judged; and at which its fine detail is.
_SIDE, _DETAIL_SIDE = 512, 1024


class _Described(TypedDict):
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
        prefer: of all that suits, what is taken first.
        order: among the guesses; None is never guessed.
        limits: the least and the most of each statistic.
    """

    name: str
    words: tuple[str, ...]
    priors: tuple[str, ...]
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
class Offer:
    """A method that can restore here.

    Attributes:
        name: as `limpid predict model=` takes it.
        weathers: the names of what it suits.
        about: a sentence or two on what it is good for.
        limits: a sentence or two on what it cannot.
        default: whether it is what comes first: a card that is its network's default.
    """

    name: str
    weathers: tuple[str, ...]
    about: str
    limits: str
    default: bool


@dataclass(frozen=True)
class Guess:
    """What is wrong with a photograph.

    Attributes:
        weather: its name, or ``clear``.
        why: the statistics that decided, in words.
        method: the name of the method that suits; None where none does.
    """

    weather: str
    why: str
    method: str | None


@functools.cache
def _read(folders: tuple[Path, ...]) -> dict[str, Weather]:
    from limpid.config.yaml_files import values_of

    found: dict[str, Weather] = {}
    for folder in folders:
        for file in sorted((folder / "weather").glob("*.yaml")):
            if file.stem not in found:
                found[file.stem] = _parsed(file.stem, values_of(file), file)
    return found


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
    lists = {key: tuple(content[key]) for key in ("words", "priors", "prefer")}
    return Weather(name, lists["words"], lists["priors"], lists["prefer"], content["order"], limits)


def weathers() -> dict[str, Weather]:
    """Every weather by its name, in the order in which they are guessed.

    Raises:
        UserError: a file of conf/weather is broken.
    """
    found = _read(tuple(folder.resolve() for folder in config_folders("conf")))
    return dict(sorted(found.items(), key=lambda item: (item[1].order is None, item[1].order or 0, item[0])))


def offers() -> list[Offer]:
    """Every method that restores without further training: the priors that suit a weather, and the cards of the zoo.

    Of the cards those whose weights are at hand.

    Raises:
        UserError: a card or a file of conf/weather is broken.
    """
    from limpid import zoo
    from limpid.config.instantiate import locate
    from limpid.config.registry import network_config

    known = weathers()
    offered = []
    for prior in dict.fromkeys(name for weather in known.values() for name in weather.priors):
        suits = tuple(name for name, weather in known.items() if prior in weather.priors)
        method = locate(str(network_config(prior)["_target_"]), "network")
        about = str(method.__doc__ or "").strip().splitlines()[0]
        offered.append(Offer(prior, suits, about, str(getattr(method, "LIMITS", "")), False))
    return offered + [offer_of(card) for card in zoo.cards().values() if card.at_hand]


def offer_of(card: Card) -> Offer:
    """The method that restores with the weights of a card, whether they are at hand or have to be fetched."""
    from limpid import zoo

    is_default = zoo.default_for(card.network) == card if _has_default(card.network) else False
    name = card.network if is_default else f"{zoo.PREFIX}{card.name}"
    tasks = tuple(task.strip() for task in card.task.split(","))
    return Offer(name, tasks, card.good_for or card.summary(), card.limits, is_default)


def _has_default(network: str) -> bool:
    from limpid import zoo

    try:
        return zoo.default_for(network) is not None
    except UserError:  # several, and none of them is it
        return False


def suiting(weather: str, offered: Sequence[Offer] | None = None) -> list[str]:
    """The names of the methods that suit a weather, the one that `model=auto` takes first."""
    offered = offers() if offered is None else offered
    fits = [offer for offer in offered if weather in offer.weathers]
    prefer = weathers()[weather].prefer if weather in weathers() else ()
    ranked = sorted(fits, key=lambda offer: (_rank(offer.name, prefer), not offer.default))
    return [offer.name for offer in ranked]


def _rank(name: str, prefer: Sequence[str]) -> int:
    return prefer.index(name) if name in prefer else len(prefer)


def guess(pixels: Pixels, methods: Mapping[str, str | None] | None = None) -> Guess:
    """What is wrong with a photograph `(H, W, 3)` of RGB in [0, 1].

    Args:
        pixels: of the photograph.
        methods: the method for each weather; by default the first that suits it.
    """
    found = statistics(pixels)
    for weather in weathers().values():
        if weather.order is not None and weather.holds(found):
            suits = next(iter(suiting(weather.name)), None) if methods is None else methods.get(weather.name)
            return Guess(weather.name, weather.why(found), suits)
    shown = ", ".join(f"{name.replace('_', ' ')} {value:.2f}" for name, value in found.items())
    return Guess(CLEAR, shown, None)


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
