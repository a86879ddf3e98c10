"""Methods that learn on each image anew, from nothing but that image: there are no weights to train or to keep.

They keep the contract of `limpid.priors`, on any H, W >= 16, and treat every image of a batch alone.
"""

from limpid.zero_shot.base import LearnsOnEachImage

__all__ = ["LearnsOnEachImage"]
