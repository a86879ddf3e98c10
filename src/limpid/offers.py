"""What restores without further training, for which weather, and which of it is best by the scores on the cards.

The priors that suit a weather stand in `conf/weather`; trained networks are found by the task on their cards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from limpid import zoo
from limpid.config.instantiate import locate
from limpid.config.registry import network_config
from limpid.weather import weathers
from limpid.zoo import Card
from limpid.zoo.comparison import METRIC, Compared, compared, is_worse_than_nothing
from limpid.zoo.measured import CardScore
from limpid.zoo.priors import PriorCard, priors

#: The order in which tasks are listed; others follow.
_TASKS = ("haze", "rain", "blur", "sand", "hybrid", "noise")


@dataclass(frozen=True)
class Offer:
    """A method that can restore.

    Attributes:
        name: as `limpid predict model=` takes it.
        weathers: the names of what it suits.
        default: whether it is what comes first: a card that is its network's default.
        card: of its weights; or of what was measured of a prior.
    """

    name: str
    weathers: tuple[str, ...]
    default: bool
    card: Card | PriorCard

    @property
    def at_hand(self) -> bool:
        """Whether it restores without being fetched first."""
        return not isinstance(self.card, Card) or self.card.at_hand

    @property
    def about(self) -> str:
        """A sentence or two on what it is good for."""
        if isinstance(self.card, Card):
            return self.card.good_for or self.card.summary()
        return str(_prior(self.name).__doc__ or "").strip().splitlines()[0]

    @property
    def limits(self) -> str:
        """A sentence or two on what it cannot."""
        if isinstance(self.card, Card):
            return self.card.limits
        return str(getattr(_prior(self.name), "LIMITS", ""))


def _prior(name: str) -> object:
    """The class of a prior."""
    return locate(str(network_config(name)["_target_"]), "network")


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
    names = chain.from_iterable(weather.priors for weather in known.values())
    for prior in dict.fromkeys(names):
        suits = tuple(name for name, weather in known.items() if prior in weather.priors)
        offered.append(Offer(prior, suits, False, measured.get(prior) or PriorCard(name=prior)))
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
    return Offer(name, tasks, is_default, card)


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


def by_task(offered: Sequence[Offer]) -> dict[str, list[Offer]]:
    """The methods by what they take away, each once, under the first of its tasks; the best of each first."""
    groups: dict[str, list[Offer]] = {}
    for offer in offered:
        groups.setdefault(tasks_of(offer)[0], []).append(offer)
    return {task: ranked(task, groups[task]) for task in sorted(groups, key=_place_of_task)}


def tasks_of(offer: Offer) -> list[str]:
    """What a method takes away, in the order in which tasks are listed."""
    return sorted(offer.weathers, key=_place_of_task)


def _place_of_task(task: str) -> tuple[int, str]:
    return (_TASKS.index(task) if task in _TASKS else len(_TASKS)), task


def score_of(offer: Offer) -> tuple[str, str, CardScore] | None:
    """The set, the metric and the score that say most of a method; None where nothing was measured.

    It is on the first set on which methods for its tasks are compared, else on the first on its card.
    """
    known = weathers()
    telling = chain.from_iterable(known[task].sets for task in tasks_of(offer) if task in known)
    scores = offer.card.scores
    for dataset in [*(name for name in telling if name in scores), *scores]:
        for metric in sorted(scores[dataset], key=lambda metric: metric != METRIC):
            return dataset, metric, scores[dataset][metric]
    return None


def choice(weather: str, offered: Sequence[Offer]) -> Choice | None:
    """The method that is taken for a weather where none is named, and why; None where nothing is good enough."""
    fits = ranked(weather, [offer for offer in offered if _may_be_taken(offer, weather)])
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
