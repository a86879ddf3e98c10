"""Models: LightningModules that train a network. `Restorer` is the supervised one; each paper adds a short module."""

from limpid.models.restorer import Restorer

__all__ = ["Restorer"]
