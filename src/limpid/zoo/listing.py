"""What a card says, in lines for people to read."""

from __future__ import annotations

from collections.abc import Iterator

from limpid.zoo.card import Card
from limpid.zoo.measured import CardScore, gain
from limpid.zoo.priors import PriorCard

#: Fields of a card that `measurements` puts into words.
COSTS = ("seconds_per_megapixel", "memory_per_megapixel", "measured_on")
#: The unit of a metric, where it has one.
_UNITS = {"psnr": " dB"}


def measurements(card: Card | PriorCard) -> Iterator[str]:
    """Each score of a card with the input's and the gain, and then what a megapixel costs, a line each."""
    for dataset, metrics in card.scores.items():
        for metric, score in metrics.items():
            yield f"{dataset}: {_in_words(metric, score)}"
    if card.seconds_per_megapixel is not None:
        memory = card.memory_per_megapixel
        growth = "" if memory is None else f" and {memory:,.0f} MB"
        yield f"a megapixel takes {card.seconds_per_megapixel:g} s{growth} ({card.measured_on})"


def _in_words(metric: str, score: CardScore) -> str:
    unit = _UNITS.get(metric, "")
    words = f"{metric} {score['value']:.6g}{unit}, mean of {score['n']} ({score['protocol']})"
    above = gain(score)
    if above is None:
        return words
    words += f"; the input {score['input']:.6g}{unit}, so {above:+.4g}{unit}"
    if "interval" in score:
        low, high = score["interval"]
        words += f" ({low:+.4g} to {high:+.4g} with 95 % confidence)"
    return words
