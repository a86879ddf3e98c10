"""Data: sets as publishers lay them out, degradations, and the datamodule that makes batches of them.

A batch is a dict: `input` and `target` `(N, 3, H, W)` float32 in [0, 1] (`target` absent for unpaired sets, which have
an unrelated `clear` image instead), `name`, `domain`, `index`, and what a task adds, such as `depth` and
`transmission` `(N, 1, H, W)`, and `airlight` `(N, 3)`.

    from limpid.data import RESIDE

gives a LightningDataModule; see `limpid.data.datamodules`. Sets can be asked whether they are there without importing
torch, so nothing is imported before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limpid.data.datamodules import DIDHY as DIDHY
    from limpid.data.datamodules import DIDMDN as DIDMDN
    from limpid.data.datamodules import RESIDE as RESIDE
    from limpid.data.datamodules import SPA as SPA
    from limpid.data.datamodules import DIV2KHybrid as DIV2KHybrid
    from limpid.data.datamodules import GoPro as GoPro
    from limpid.data.datamodules import Rain1400 as Rain1400
    from limpid.data.datamodules import RealBlur as RealBlur
    from limpid.data.datamodules import Recipe as Recipe
    from limpid.data.datamodules import SandSynthesis as SandSynthesis

__all__ = [
    "DIDHY",
    "DIDMDN",
    "RESIDE",
    "SPA",
    "DIV2KHybrid",
    "GoPro",
    "Rain1400",
    "RealBlur",
    "Recipe",
    "SandSynthesis",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from limpid.data import datamodules

        return getattr(datamodules, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
