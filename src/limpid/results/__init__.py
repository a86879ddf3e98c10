"""Results: the rows that papers print, what was measured of them, and tables of both. Knows no network.

The package itself can be called: `limpid.results("rfd/table5")` is `limpid.results.frame.results`, the data frame of
all values.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class _CallableModule(ModuleType):
    """A module that can be called, because its name is that of its most used function too."""

    def __call__(self, pattern: str = "", store: Path | str | None = None, per_image: bool = False) -> pd.DataFrame:
        """The data frame of results; see `limpid.results.frame.results`."""
        from limpid.results.frame import results

        return results(pattern, store, per_image)


sys.modules[__name__].__class__ = _CallableModule
