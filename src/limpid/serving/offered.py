"""What a page offers: methods that restore without further training, by what they take away."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from limpid.errors import UserError, nearest

if TYPE_CHECKING:
    from limpid.methods import Method

#: What people call the weathers of conf/weather, as headings.
_TITLES = {
    "haze": "Haze and fog",
    "sand": "Sand and dust",
    "rain": "Rain",
    "blur": "Blur",
    "hybrid": "Noise, blur and JPEG together",
}


class Offered(NamedTuple):
    """One method that is offered.

    Attributes:
        name: as `limpid predict model=` takes it.
        tasks: what it takes away, such as ``haze``.
        about: what it is good for.
        limits: what it cannot.
        make: gives the method, with its weights.
    """

    name: str
    tasks: tuple[str, ...]
    about: str
    limits: str
    make: Callable[[], Method]


def methods(names: Sequence[str] = (), device: str = "cpu") -> list[Offered]:
    """The methods of these names, or all that can restore: the priors, and networks whose weights are at hand.

    Args:
        names: as `limpid predict model=` takes them, or aliases; names of cards may lack their ``zoo:``.
        device: where networks run.

    Raises:
        UserError: a name is none of them, or its weights could not be fetched.
    """
    from limpid import zoo
    from limpid.checkpoint import own_name
    from limpid.methods import method
    from limpid.offers import Offer, offer_of, offers
    from limpid.zoo.published import obtain

    def offered(offer: Offer) -> Offered:
        make = functools.partial(method, offer.name, device)
        return Offered(offer.name, offer.weathers, offer.about, offer.limits, make)

    known = {offer.name: offered(offer) for offer in offers()}
    cards = {name: offered(offer_of(card)) for name, card in zoo.cards().items()}
    chosen = []
    for name in names:
        found = known.get(name) or cards.get(own_name(name).removeprefix(zoo.PREFIX))
        if found is None:
            hint = nearest(name, [*known, *cards, *zoo.aliases()]) or f"; there are {', '.join(known)}."
            raise UserError(f"There is no method {name!r} that restores without training{hint}")
        if name not in known:
            obtain(zoo.find(own_name(name).removeprefix(zoo.PREFIX)))  # now, not when somebody's request comes
        chosen.append(found)
    return chosen or list(known.values())


def by_task(offered: Sequence[Offered]) -> dict[str, list[Offered]]:
    """The methods under a heading for each task, each method once, under the first of these that it takes away."""
    groups: dict[str, list[Offered]] = {title: [] for title in _TITLES.values()}
    for one in offered:
        task = next((task for task in _TITLES if task in one.tasks), one.tasks[0])
        groups.setdefault(_TITLES.get(task, task.capitalize()), []).append(one)
    return {title: found for title, found in groups.items() if found}
