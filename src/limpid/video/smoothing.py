"""What a method finds about whole frames, smoothed over time, so that restored videos do not flicker.

A prior finds the airlight anew in every frame, from a few pixels; noise, compression and whatever crosses the picture
move it, and with it the brightness of the whole frame. An exponential mean over time holds it; a cut to another scene
starts anew.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TypedDict

import torch
from torch import Tensor, nn

from limpid.inference import Adaptive, Inference, Tiled, adjusted
from limpid.inference.statistics import pooling_layers
from limpid.methods import Method
from limpid.priors.base import Prior

#: The brightness of a frame is compared in this many rows and columns of blocks, by histograms of so many bins.
_BLOCKS, _BINS = 4, 32
#: A frame is looked at through every n-th pixel, so that about this many are left on each side.
_SIDE = 128


class SmootherState(TypedDict):
    """What a `Smoother` remembers, in plain values.

    Attributes:
        values: the smoothed values by name.
        time: of the last frame in seconds, None before the first.
        histograms: the cumulative histograms of the last frame's blocks.
    """

    values: dict[str, list[float]]
    time: float | None
    histograms: list[float]


class Smoother:
    """Values smoothed over time: ``s + (1 - exp(-dt / seconds)) (v - s)`` at each frame.

    `begin` is called for each frame, and then `update` for whatever was found in it.

    Args:
        seconds: the time constant; 0 smooths nothing.
        cut: the difference of consecutive frames, see `difference`, above which smoothing starts anew.
    """

    def __init__(self, seconds: float, cut: float) -> None:
        self.seconds, self.cut = seconds, cut
        self.cuts = 0
        self._values: dict[str, Tensor] = {}
        self._time: float | None = None
        self._histograms = torch.zeros(0, dtype=torch.float64)
        self._weight = 1.0

    def begin(self, image: Tensor, time: float) -> None:
        """Go on to the frame `image` `(3, H, W)` in [0, 1] that is shown at `time` in seconds."""
        found = histograms(image)
        same_scene = len(self._histograms) > 0 and difference(found, self._histograms) <= self.cut
        if not same_scene:
            self.cuts += len(self._histograms) > 0
            self._values = {}
        step = 0.0 if self._time is None else max(time - self._time, 0.0)
        self._weight = 1.0 if self.seconds == 0 else 1.0 - math.exp(-step / self.seconds)
        self._histograms, self._time = found, time

    def update(self, name: str, values: Tensor) -> Tensor:
        """`values` smoothed with those that earlier frames had under `name`: the same shape, type and device."""
        found = values.detach().cpu().double()
        before = self._values.get(name)
        if before is not None and before.numel() == found.numel():
            found = before.view_as(found) + self._weight * (found - before.view_as(found))
        self._values[name] = found
        return found.to(values)

    def state(self) -> SmootherState:
        """What `restore_state` takes to go on from here to the same bits."""
        values = {name: value.flatten().tolist() for name, value in self._values.items()}
        return {"values": values, "time": self._time, "histograms": self._histograms.tolist()}

    def restore_state(self, state: SmootherState) -> None:
        """Go on from where `state` was taken."""
        self._values = {name: torch.tensor(value, dtype=torch.float64) for name, value in state["values"].items()}
        self._time = state["time"]
        self._histograms = torch.tensor(state["histograms"], dtype=torch.float64)


def difference(one: Tensor, other: Tensor) -> float:
    """How far the brightness of two frames lies apart, 0 to 1, from their `histograms`.

    The mean over blocks and colours of the distance by which brightness has to be moved to make one histogram of the
    other (the area between the cumulative histograms). A moving camera changes it little from frame to frame, other
    than a cut.
    """
    return float((one - other).abs().mean())


def histograms(image: Tensor) -> Tensor:
    """The cumulative histograms of each block and colour of `image` `(3, H, W)` in [0, 1], float64, in a row."""
    height, width = image.shape[-2:]
    small = image[:, :: max(1, height // _SIDE), :: max(1, width // _SIDE)].cpu()
    bins = (small * _BINS).long().clamp(0, _BINS - 1)
    row = torch.arange(bins.shape[1]) * _BLOCKS // bins.shape[1]
    column = torch.arange(bins.shape[2]) * _BLOCKS // bins.shape[2]
    block = row[:, None] * _BLOCKS + column
    place = (torch.arange(3)[:, None, None] * _BLOCKS**2 + block) * _BINS + bins
    counts = torch.bincount(place.flatten(), minlength=3 * _BLOCKS**2 * _BINS).double().view(-1, _BINS)
    return (counts / counts.sum(1, keepdim=True).clamp(min=1)).cumsum(1).flatten()


class SteadyPrior(nn.Module):
    """A prior whose findings about whole images go through a smoother.

    Args:
        prior: finds them.
        smoother: keeps them steady; its `begin` is called for every frame.
    """

    def __init__(self, prior: Prior, smoother: Smoother) -> None:
        super().__init__()
        self.prior, self.smoother = prior, smoother

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of one frame `(1, 3, H, W)` in [0, 1]."""
        image = x[0].float()
        found = {name: self.smoother.update(name, value) for name, value in self.prior.statistics(image).items()}
        return self.prior.estimate_image(image, found).restored[None]


class SteadyInference:
    """A way through a network whose statistics of whole frames go through a smoother.

    Args:
        inference: the way.
        smoother: keeps them steady; its `begin` is called for every frame.
    """

    def __init__(self, inference: Inference, smoother: Smoother) -> None:
        self.inference, self.smoother = inference, smoother

    def __call__(self, network: nn.Module, x: Tensor) -> Tensor:
        """See `Inference`."""
        if isinstance(self.inference, Adaptive | Tiled):
            return self.inference(network, x, self._smoothed)
        with adjusted(network, self._smoothed):
            return self.inference(network, x)

    def _smoothed(self, number: int, value: Tensor) -> Tensor:
        return self.smoother.update(f"statistics {number}", value)


def steady(method: Method, smoother: Smoother) -> Method:
    """`method` with what it finds about whole frames smoothed by `smoother`; itself, where it finds nothing.

    Args:
        method: restores single frames.
        smoother: see `Smoother`.
    """
    if isinstance(method.network, Prior):
        return dataclasses.replace(method, network=SteadyPrior(method.network, smoother))
    if smoother.seconds == 0 or not pooling_layers(method.network):
        return method
    return dataclasses.replace(method, inference=SteadyInference(method.inference, smoother))
