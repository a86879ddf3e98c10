"""What was measured of an entry: its scores beside those of the untouched input, and what restoring costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

from limpid.errors import UserError


class CardScore(TypedDict):
    """The mean of a metric over the images of a set.

    Attributes:
        value: the mean.
        n: of how many images.
        protocol: the id of how it was measured.
        input: the mean of the untouched input, on the same images by the same protocol.
        interval: the least and the most that the gain, `value - input`, is with a confidence of 95 %.
    """

    value: float
    n: int
    protocol: str
    input: NotRequired[float]
    interval: NotRequired[list[float]]


#: `{set: {metric: score}}`.
CardScores = dict[str, dict[str, CardScore]]


def gain(score: CardScore) -> float | None:
    """How far the score is above that of the untouched input; None where that was not measured."""
    return score["value"] - score["input"] if "input" in score else None


def refuse_scores(scores: Mapping[str, object], file: Path) -> None:
    """Refuse the scores of the card in `file` that are not each a `CardScore`.

    Raises:
        UserError: naming the set.
    """
    for dataset, metrics in scores.items():
        if not isinstance(metrics, Mapping) or not all(map(_is_score, metrics.values())):
            raise UserError(
                f"The scores on {dataset} of the zoo card {file} are not each a value, an n and a protocol, with which "
                "may stand the score of the input and the interval [least, most] of the gain."
            )


def _is_score(entry: object) -> bool:
    if not isinstance(entry, Mapping):
        return False
    interval = entry.get("interval", [0.0, 0.0])
    numbers = [entry.get("value"), entry.get("input", 0.0)]
    if not isinstance(interval, list) or len(interval) != 2:
        return False
    return (
        {"value", "n", "protocol"} <= set(entry) <= {"value", "n", "protocol", "input", "interval"}
        and all(map(_is_number, [*numbers, *interval]))
        and _is_count(entry["n"])
        and isinstance(entry["protocol"], str)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
