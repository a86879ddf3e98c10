"""Which of several entries restores best, by the scores on their cards: on the same images, by the same protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from limpid.zoo.measured import CardScore, CardScores, gain

#: What entries are compared by.
METRIC = "psnr"


class Compared(NamedTuple):
    """The score by which an entry is compared with others.

    Attributes:
        set: on which it was measured.
        score: of the metric `METRIC`.
    """

    set: str
    score: CardScore


def compared(scores: Mapping[str, CardScores], sets: Sequence[str]) -> dict[str, Compared]:
    """The score of each entry that can be compared, by name; empty where nothing was measured on any of the sets.

    All are on one set: the first of `sets` on which any was measured. Where protocols or numbers of images differ,
    those that most entries share are taken, and what was measured otherwise is left out.

    Args:
        scores: of the entries, by their names.
        sets: that count, the most telling first.
    """
    for dataset in sets:
        alike: dict[tuple[str, int], dict[str, Compared]] = {}
        for name, measured in scores.items():
            score = measured.get(dataset, {}).get(METRIC)
            if score is not None and math.isfinite(score["value"]):
                key = (score["protocol"], score["n"])
                alike.setdefault(key, {})[name] = Compared(dataset, score)
        if alike:
            return max(alike.values(), key=len)
    return {}


def is_worse_than_nothing(scores: CardScores, sets: Sequence[str]) -> bool:
    """Whether an entry was measured not to be above the untouched input on one of the `sets`."""
    measured = [scores[name][METRIC] for name in sets if METRIC in scores.get(name, {})]
    gains = [gain(score) for score in measured]
    return any(found is not None and found <= 0 for found in gains)
