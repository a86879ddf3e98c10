"""What a card says, in lines for people to read."""

from __future__ import annotations

import re
from collections.abc import Iterator

from limpid.zoo.card import PREFIX, Card
from limpid.zoo.measured import CardScore, gain
from limpid.zoo.priors import PriorCard

#: Fields of a card that `measurements` and `in_words` put into words.
IN_WORDS = (
    *("scores", "seconds_per_megapixel", "memory_per_megapixel", "measured_on"),
    *("network_config", "files", "aliases", "bar", "bar_held", "default"),
)
#: Letters of a licence in a table.
_LICENCE = 12
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


def in_words(card: Card) -> dict[str, str]:
    """What commands take these weights, and whether they reached what was demanded of them."""
    facts = {}
    if card.aliases:
        facts["aliases"] = ", ".join(f"{alias} (model={alias}, ckpt={PREFIX}{alias})" for alias in card.aliases)
    if card.default:
        facts["default"] = f"model={card.network} takes these weights"
    if card.bar:
        facts["bar"] = card.bar
    if card.bar_held is False:
        facts["bar"] = f"{card.bar or 'what was demanded'} (missed, so that nothing takes these weights by itself)"
    return facts


def scores_in_short(dataset: str, metric: str, score: CardScore) -> tuple[str, str, str, str]:
    """The set, the score of the input, the score, and the gain, as a table has them."""
    digits = 1 if metric == "psnr" else 3
    above = gain(score)
    where = dataset if metric == "psnr" else f"{dataset}, {metric}"
    untouched = f"{score['input']:.{digits}f}" if "input" in score else ""
    return where, untouched, f"{score['value']:.{digits}f}", "" if above is None else f"{above:+.{digits}f}"


def whereabouts(card: Card) -> str:
    """Whether the weights are on this machine, what is to be fetched, or that they are got by hand."""
    if card.at_hand:
        return "yes"
    if card.get:
        return "by hand"
    return f"{card.bytes / 1e6:.1f} MB" if card.bytes >= 1e5 else f"{card.bytes / 1e3:.0f} kB"


def licence_in_short(card: Card) -> str:
    """The licence in a word or two."""
    if len(card.licence) <= _LICENCE:
        return card.licence
    words = re.split(r"[,;(]| as | but ", card.licence)[0].split()
    short = words[0] if words else ""
    for word in words[1:]:
        if len(f"{short} {word}") > _LICENCE:
            break
        short += f" {word}"
    return short
