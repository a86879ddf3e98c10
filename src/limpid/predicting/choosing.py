"""`model=auto`: each photograph is looked at, and gets the method that suits what is wrong with it."""

from __future__ import annotations

from torch import Tensor

from limpid.errors import UserError
from limpid.predicting.layout import Task
from limpid.predicting.names import shown
from limpid.weather import guess, offers, suiting, weathers


class Chooser:
    """Chooses among the methods that the weathers of conf/weather take, and says what it took and why.

    Attributes:
        names: of these methods.

    Raises:
        UserError: nothing suits any of them.
    """

    def __init__(self) -> None:
        offered = offers()
        self._by_weather = {
            name: next(iter(suiting(name, offered)), None)
            for name, weather in weathers().items()
            if weather.order is not None
        }
        self.names = list(dict.fromkeys(name for name in self._by_weather.values() if name is not None))
        if not self.names:
            raise UserError("model=auto has nothing to choose from: no prior and no weights suit any weather.")

    def __call__(self, task: Task, x: Tensor) -> int | None:
        """The number of the method for a photograph `(1, 3, H, W)` in [0, 1]; None where it is left as it is."""
        found = guess(x[0].permute(1, 2, 0).numpy(), self._by_weather)
        if found.method is not None:
            taken = found.method
        elif found.weather in self._by_weather:
            taken = "nothing here takes it away well enough, so it is left as it is"
        else:
            taken = "left as it is"
        print(f"{shown(task.relative)}: {found.weather} ({found.why}): {taken}", flush=True)
        return None if found.method is None else self.names.index(found.method)
