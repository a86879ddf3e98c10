"""`model=auto`: each photograph is looked at, and gets the method that suits what is wrong with it."""

from __future__ import annotations

import sys

from torch import Tensor

from limpid.errors import UserError
from limpid.offers import choice, offers
from limpid.predicting.layout import Task
from limpid.predicting.names import shown
from limpid.weather import guess, weathers


class Chooser:
    """Chooses the best of what is at hand for each weather of conf/weather, and says what it took and why.

    Attributes:
        names: of the methods among which it chooses.

    Raises:
        UserError: nothing suits any of them.
    """

    def __init__(self) -> None:
        offered = offers()
        guessed = [name for name, weather in weathers().items() if weather.order is not None]
        self._choices = {name: choice(name, offered) for name in guessed}
        self._told: set[str] = set()
        self.names = list(dict.fromkeys(one.offer.name for one in self._choices.values() if one is not None))
        if not self.names:
            raise UserError("model=auto has nothing to choose from: no prior and no weights suit any weather.")

    def __call__(self, task: Task, x: Tensor) -> int | None:
        """The number of the method for a photograph `(1, 3, H, W)` in [0, 1]; None where it is left as it is."""
        found = guess(x[0].permute(1, 2, 0).numpy())
        taken = self._choices.get(found.weather)
        if taken is not None:
            self._tell(found.weather, taken.why)
            words = taken.offer.name
        elif found.weather in self._choices:
            words = "nothing here takes it away well enough, so it is left as it is"
        else:
            words = "left as it is"
        print(f"{shown(task.relative)}: {found.weather} ({found.why}): {words}", flush=True)
        return None if taken is None else self.names.index(taken.offer.name)

    def _tell(self, weather: str, why: str) -> None:
        """Say once on stderr why a method is taken for a weather."""
        if weather not in self._told:
            self._told.add(weather)
            print(f"{weather}: {why}", file=sys.stderr, flush=True)
