"""Losses: a weighted sum of named terms, each logged under its name.

A term is a `LossTerm`: it maps a `Step`, what a training step knows, to one number, and says what it requires of it
beyond input, target and output. Conf: `loss.terms.<name>: {weight: ..., term: {_target_: ...}}`. `ImageLoss` makes a
term of any function of a restored image and its target.
"""

from limpid.losses.charbonnier import Charbonnier
from limpid.losses.haze_maps import HazeMap
from limpid.losses.image_loss import ImageLoss
from limpid.losses.perceptual import Perceptual
from limpid.losses.pixel import L1, MSE, SmoothL1
from limpid.losses.spanet import SSIMLoss
from limpid.losses.step import LossTerm, Step
from limpid.losses.weighted import WeightedLoss

__all__ = [
    "L1",
    "MSE",
    "Charbonnier",
    "HazeMap",
    "ImageLoss",
    "LossTerm",
    "Perceptual",
    "SSIMLoss",
    "SmoothL1",
    "Step",
    "WeightedLoss",
]
