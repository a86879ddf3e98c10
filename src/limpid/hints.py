"""What to tell who names no method, or something that is none: a weather, an entry of the zoo without its prefix."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from limpid.errors import UserError, nearest


def what_suits() -> str:
    """The methods that suit each weather, as `limpid predict` lists them where none was named."""
    from limpid.offers import offers, suiting
    from limpid.weather import weathers

    offered = offers()
    width = max(map(len, weathers()))
    lines = []
    for name in weathers():
        suits = suiting(name, offered)
        lines.append(f"  {name:<{width}}  {', '.join(suits) if suits else 'nothing here is good enough'}")
    return (
        "limpid predict needs input=PHOTOS output=FOLDER, and takes for each photograph the best of what suits it; a "
        "method is named as model=NAME, several to compare as model=[NAME,NAME] compare=true. What suits what, best "
        "first:\n" + "\n".join(lines) + "\n`limpid zoo list` says more of those with trained weights."
    )


def refuse_unknown(name: str, known: Iterable[str]) -> NoReturn:
    """Say what was probably meant by a `name` that is no method's.

    Args:
        name: as typed.
        known: the names of models and networks.

    Raises:
        UserError: always.
    """
    raise UserError(f"There is no model {name!r}{_meant(name, sorted(known))}")


def _meant(name: str, known: list[str]) -> str:
    from limpid import zoo
    from limpid.offers import suiting
    from limpid.weather import weathers

    cards = zoo.cards()
    bare = zoo.parse_zoo_name(name) or name
    if bare in cards:
        return (
            f": it is an entry of the zoo, whose weights are named model={zoo.PREFIX}{bare} or ckpt={zoo.PREFIX}{bare}."
        )
    for weather in weathers().values():
        if _letters(name) in map(_letters, (weather.name, f"de{weather.name}", *weather.words)):
            suits = suiting(weather.name)
            if not suits:
                return f", and nothing here takes away {weather.name} well enough."
            return f", but for {weather.name} there are {', '.join(suits)}: model={suits[0]}."
    alike = next((one for one in known if _letters(one) == _letters(name)), None)
    begun = [one for one in known if _letters(name).startswith(_letters(one))]
    if alike or begun:
        return f"; did you mean {alike or max(begun, key=len)!r}?"
    if Path(name).suffix:
        return f", and no file of that name is there; a checkpoint is given as ckpt={name}."
    return (
        nearest(name.lower(), [*known, *cards, *zoo.aliases()]) or "; limpid predict without model lists what there is."
    )


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
