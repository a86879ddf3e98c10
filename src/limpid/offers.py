"""What restores without further training, for which weather, and which of it is best by the scores on the cards.

The priors that suit a weather stand in `conf/weather`; trained networks are found by the task on their cards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from limpid import zoo
from limpid.config.instantiate import locate
from limpid.config.registry import network_config
from limpid.weather import weathers
from limpid.zoo import Card
from limpid.zoo.comparison import Compared, compared, is_worse_than_nothing
from limpid.zoo.priors import PriorCard, priors


@dataclass(frozen=True)
class Offer:
    """A method that can restore here.

    Attributes:
        name: as `limpid predict model=` takes it.
        weathers: the names of what it suits.
        about: a sentence or two on what it is good for.
        limits: a sentence or two on what it cannot.
        default: whether it is what comes first: a card that is its network's default.
        card: of its weights; or of what was measured of a prior.
    """

    name: str
    weathers: tuple[str, ...]
    about: str
    limits: str
    default: bool
    card: Card | PriorCard

    @property
    def at_hand(self) -> bool:
        """Whether it restores without being fetched first."""
        return not isinstance(self.card, Card) or self.card.at_hand


class Choice(NamedTuple):
    """The method that is taken for a weather.

    Attributes:
        offer: the method.
        why: its score, and the next best, in words; or that there are no scores.
    """

    offer: Offer
    why: str


def offers() -> list[Offer]:
    """Every method that restores without further training: the priors that suit a weather, and the cards of the zoo.

    Of the cards those whose weights are at hand.

    Raises:
        UserError: a card or a file of conf/weather is broken.
    """
    return [offer for offer in all_offers() if offer.at_hand]


def all_offers() -> list[Offer]:
    """The `offers`, and those whose weights have to be fetched or got first.

    Raises:
        UserError: a card or a file of conf/weather is broken.
    """
    known = weathers()
    measured = priors()
    offered = []
    for prior in dict.fromkeys(name for weather in known.values() for name in weather.priors):
        suits = tuple(name for name, weather in known.items() if prior in weather.priors)
        method = locate(str(network_config(prior)["_target_"]), "network")
        about = str(method.__doc__ or "").strip().splitlines()[0]
        card = measured.get(prior) or PriorCard(name=prior)
        offered.append(Offer(prior, suits, about, str(getattr(method, "LIMITS", "")), False, card))
    cards = list(zoo.cards().values())
    return offered + [offer_of(card, cards) for card in cards]


def offer_of(card: Card, among: Sequence[Card] | None = None) -> Offer:
    """The method that restores with the weights of a card, whether they are at hand or have to be fetched.

    Args:
        card: of the weights.
        among: all cards; by default they are read.
    """
    is_default = zoo.is_default(card, list(zoo.cards().values()) if among is None else among)
    name = card.network if is_default else f"{zoo.PREFIX}{card.name}"
    tasks = tuple(task.strip() for task in card.task.split(","))
    return Offer(name, tasks, card.good_for or card.summary(), card.limits, is_default, card)


def suiting(weather: str, offered: Sequence[Offer] | None = None) -> list[str]:
    """The names of the methods that suit a weather, the best first; see `ranked`."""
    return [offer.name for offer in ranked(weather, offers() if offered is None else offered)]


def ranked(weather: str, offered: Sequence[Offer]) -> list[Offer]:
    """The methods that suit a weather: by their scores where they can be compared, then those without.

    Last come those that nothing takes by itself: they missed their bar, or were measured to be no better than the
    untouched input.
    """
    known = weathers().get(weather)
    prefer = known.prefer if known else ()
    fits = [offer for offer in offered if weather in offer.weathers]
    scores = _compared(weather, fits)

    def rank(offer: Offer) -> tuple[bool, float, int, bool]:
        value = scores[offer.name].score["value"] if offer.name in scores else -math.inf
        preferred = prefer.index(offer.name) if offer.name in prefer else len(prefer)
        return not _may_be_taken(offer, weather), -value, preferred, not offer.default

    return sorted(fits, key=rank)


def choice(weather: str, offered: Sequence[Offer]) -> Choice | None:
    """The method that is taken for a weather where none is named, and why; None where nothing is good enough."""
    fits = [offer for offer in ranked(weather, offered) if _may_be_taken(offer, weather)]
    if not fits:
        return None
    best, *others = fits
    scores = _compared(weather, fits)
    if best.name not in scores:
        return Choice(best, f"{best.card.name}, of which there is no score to compare")
    found = scores[best.name]
    why = f"{best.card.name}, {found.score['value']:.1f} dB on {found.set}"
    second = next((offer for offer in others if offer.name in scores), None)
    if second is not None:
        why += f"; {second.card.name} {scores[second.name].score['value']:.1f}"
    return Choice(best, why)


def _compared(weather: str, fits: Sequence[Offer]) -> dict[str, Compared]:
    """The scores by which the methods that suit a weather are compared, by their names."""
    known = weathers().get(weather)
    return compared({offer.name: offer.card.scores for offer in fits}, known.sets if known else ())


def _may_be_taken(offer: Offer, weather: str) -> bool:
    """Whether a method is taken where none is named."""
    known = weathers().get(weather)
    missed = isinstance(offer.card, Card) and offer.card.bar_held is False
    return not missed and not is_worse_than_nothing(offer.card.scores, known.sets if known else ())
