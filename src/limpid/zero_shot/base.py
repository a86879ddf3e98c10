"""What methods share that learn on each image: the loop of optimisation, its seed, its size and its progress."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable
from typing import ClassVar, Generic, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from limpid.inference.tiles import reduced
from limpid.networks.padding import pad_to_multiple
from limpid.priors.base import Estimate, stacked
from limpid.ranges import PositiveFloat, PositiveInt, Seed

Nets = TypeVar("Nets", bound=nn.Module)
#: What networks found in the image that they learnt on.
Found = TypeVar("Found")
#: One number of the networks; the generator draws what is random in it.
Objective: TypeAlias = Callable[[Nets, torch.Generator], Tensor]
#: What is told after each step: its number, of how many.
Progress = Callable[[int, int], None]


class LearnsOnEachImage(nn.Module, Generic[Nets, Found]):
    """Makes new networks for each image, and optimises them on it; subclasses write how in four methods.

    These are `make` (the networks for a size), `objective` (what is minimised), `found_by` (what they found) and
    `estimate_with` (the result). The image that is learnt on is reduced where it is large, and cut to sides that fit
    the networks. The same seed gives the same bits on a CPU with the same number of threads, and torch's own generator
    stays as it was. What was found in the last image is remembered: its maps are often asked for after its result.

    Args:
        steps: of the optimiser on each image.
        lr: learning rate of Adam.
        megapixels: an image with more is reduced to so many while networks learn on it.
        seed: of the networks' first weights, and of what is drawn in each step.
    """

    #: The sides that the networks take are multiples of this, and at least `LEAST`.
    MULTIPLE: ClassVar[int] = 1
    LEAST: ClassVar[int] = 1
    #: What it cannot, in a sentence or two, for those who choose among methods.
    LIMITS: ClassVar[str] = ""
    #: Is moved to where the method is, which has no weights that say where that is.
    place: Tensor

    def __init__(self, steps: PositiveInt, lr: PositiveFloat, megapixels: PositiveFloat, seed: Seed) -> None:
        super().__init__()
        self.steps, self.lr, self.megapixels, self.seed = steps, lr, megapixels, seed
        self.register_buffer("place", torch.zeros(0), persistent=False)
        #: Whether what was found in the last image is taken for the same image again.
        self.remembers = True
        self._last: tuple[Tensor, Found] | None = None
        #: What is told after each step; a line on stderr from time to time, unless it is changed.
        self.progress: Callable[[], Progress] = _Lines

    def make(self, height: int, width: int) -> Nets:
        """The networks for an image of this size, with their first weights drawn by torch's generator."""
        raise NotImplementedError

    def objective(self, image: Tensor) -> Objective[Nets]:
        """What is minimised on `image` `(1, 3, H, W)` in [0, 1]."""
        raise NotImplementedError

    def found_by(self, nets: Nets, image: Tensor) -> Found:
        """What networks find in the `image` `(1, 3, h, w)` that they have learnt on."""
        raise NotImplementedError

    def estimate_with(self, found: Found, small: Tensor, image: Tensor) -> Estimate:
        """The estimate of one image, without the batch axis.

        Args:
            found: by networks in the middle of `small`, or in a continuation of it; see `spread`.
            small: the image reduced, `(1, 3, H, W)`.
            image: the image at full size, `(1, 3, H, W)`.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], in the same shape and range."""
        return self.estimate(x).restored

    def estimate(self, x: Tensor) -> Estimate:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], and the depth, transmission and airlight found."""
        estimate = stacked([self._estimate_alone(image[None]) for image in x])
        return Estimate(*(part.to(x.device) for part in estimate))

    def learnt_parameters(self, height: int, width: int) -> int:
        """How many parameters it has for an image of this size."""
        sides = self._sides(*reduced(torch.empty(1, 1, height, width), self.megapixels).shape[-2:])
        with torch.device("meta"):
            return sum(p.numel() for p in self.make(*sides).parameters())

    def with_steps(self, steps: int) -> LearnsOnEachImage[Nets, Found]:
        """The same method with so many steps, which remembers no image."""
        changed = copy.copy(self)
        changed.steps, changed.remembers = steps, False
        changed._last = None
        return changed

    def learn(self, image: Tensor) -> Nets:
        """Networks that have learnt on `image` `(1, 3, H, W)` in [0, 1], whose sides fit them, after the last step.

        They stay in training mode, in which they have learnt.
        """
        image = image.contiguous(memory_format=torch.channels_last)
        nets = self._first(*image.shape[-2:])
        generator = torch.Generator(image.device).manual_seed(self.seed)
        optimizer = torch.optim.Adam((p for p in nets.parameters() if p.requires_grad), self.lr, fused=True)
        objective = self.objective(image)
        told = self.progress()
        for step in range(1, self.steps + 1):
            optimizer.zero_grad()
            torch.autograd.backward(objective(nets, generator))
            optimizer.step()
            told(step, self.steps)
        return nets

    def _first(self, height: int, width: int) -> Nets:
        """The networks with the first weights of the seed; torch's generator stays as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            nets = self.make(height, width).to(self.place.device)
        # A step takes three quarters of the time so (docs/performance.md).
        nets.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return nets.train()

    def _estimate_alone(self, x: Tensor) -> Estimate:
        # Whoever restores wants no gradients, and Lightning tests in a mode in which none can be had.
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(self.place.device.type, enabled=False):
            image = x.detach().float().to(self.place.device)
            small = reduced(image, self.megapixels)
            learnt = self._fitting(small).clone()  # which gradients may be taken of
            found = self._found(learnt)
            with torch.no_grad():
                return self.estimate_with(found, small, image)

    def _found(self, image: Tensor) -> Found:
        """What networks find in `image` after they have learnt on it, or what they found where it was the last."""
        last = self._last
        if last is not None and last[0].device == image.device and torch.equal(last[0], image):
            return last[1]
        nets = self.learn(image)
        with torch.no_grad():
            found = self.found_by(nets, image)
        if self.remembers:
            self._last = (image, found)
        return found

    def _sides(self, height: int, width: int) -> tuple[int, int]:
        """The sides that networks take of an image of this size."""
        return max(height - height % self.MULTIPLE, self.LEAST), max(width - width % self.MULTIPLE, self.LEAST)

    def _fitting(self, x: Tensor) -> Tensor:
        """The middle of `x` whose sides networks take; an image that is too small goes on at its right and below."""
        sides = self._sides(*x.shape[-2:])
        top, left = self._margins(x.shape[-2:])
        x = x[..., top : top + sides[0], left : left + sides[1]]
        return pad_to_multiple(x, self.MULTIPLE, self.LEAST)

    def _margins(self, size: tuple[int, ...]) -> tuple[int, int]:
        """How many rows above and columns at the left the networks do not see of an image of this size."""
        height, width = self._sides(*size)
        return max(0, (size[0] - height) // 2), max(0, (size[1] - width) // 2)

    def spread(self, x: Tensor, size: tuple[int, ...]) -> Tensor:
        """What was found where networks learnt, `(N, C, h, w)`, at each pixel of the reduced image of this `size`.

        Beyond the middle that networks saw, the nearest value is repeated.
        """
        top, left = self._margins(size)
        for dim, before, side in ((-2, top, size[0]), (-1, left, size[1])):
            index = (torch.arange(side, device=x.device) - before).clamp(0, x.shape[dim] - 1)
            x = x.index_select(dim, index)
        return x


class _Lines:
    """A line on stderr at times, while an optimisation takes long."""

    #: Seconds between two lines.
    _EVERY = 15.0

    def __init__(self) -> None:
        self._started = self._told = time.monotonic()

    def __call__(self, step: int, steps: int) -> None:
        now = time.monotonic()
        if now - self._told < self._EVERY or step == steps:
            return
        self._told = now
        left = (now - self._started) / step * (steps - step)
        print(f"learning on the image: step {step} of {steps}, about {left:.0f} s left", file=sys.stderr, flush=True)
