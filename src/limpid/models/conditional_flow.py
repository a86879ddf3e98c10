"""Training of a conditional flow: the references become as likely as can be, given the degraded images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.inference import restored_image
from limpid.losses import Step
from limpid.models.batches import Batch, known_of
from limpid.models.restorer import Restorer
from limpid.networks.dehaze_flow import DehazeFlow
from limpid.ranges import PositiveFloat


@dataclass(frozen=True)
class RestoredOnDemand:
    """An output whose image is made when a term asks for it: a likelihood needs none, and a flow's way back takes long.

    Attributes:
        network: that restores.
        degraded: the images that it is given, `(N, 3, H, W)`.
    """

    network: DehazeFlow
    degraded: Tensor

    @property
    def restored(self) -> Tensor:
        """The restored images, `(N, 3, H, W)`, made anew each time."""
        return restored_image(self.network(self.degraded))


class ConditionalFlow(Restorer):
    """Maximum likelihood (SRFlow, Lugmayr et al., ECCV 2020; DehazeFlow, Li et al., ACM MM 2021).

    The references get uniform noise, as their 256 levels are no continuous numbers. The likelihood is that of what they
    are then. The flow's normalisations begin with the statistics of the first batch, of all processes together; that
    they did is part of the network's state, so that a run goes on, and weights that were trained are not begun anew.

    Args:
        arguments: see `Restorer`; the network is a `DehazeFlow`.
        noise_width: of the noise, in parts of [0, 1].
        settings: see `Restorer`.

    Raises:
        UserError: the network is none whose likelihood is known, or the noise has no width.
    """

    PROVIDES = (Restorer.PROVIDES | {"log_likelihood"}) - {"features"}

    network: DehazeFlow

    def __init__(self, *arguments: Any, noise_width: PositiveFloat, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        if not isinstance(self.network, DehazeFlow):
            raise UserError(
                f"This training maximises a likelihood, and {type(self.network).__name__} gives none; choose "
                "network=dehaze_flow, or another model."
            )
        if noise_width <= 0:
            raise UserError(f"model.noise_width is {noise_width}, but it must be above 0, such as 0.05.")
        self.noise_width = noise_width
        self._begun = False

    def make_step(self, batch: Batch) -> Step:
        """The step that the terms of the loss see of a batch; see `Restorer`."""
        assert self.loss is not None
        degraded = batch["input"].contiguous(memory_format=self.memory_format)
        step = Step(**known_of(batch), output=RestoredOnDemand(self.network, degraded))
        if "log_likelihood" not in self.loss.requires:
            return step
        logarithm = self.log_likelihood(degraded, step.reference)
        return Step(**known_of(batch), output=step.output, log_likelihood=logarithm)

    def log_likelihood(self, degraded: Tensor, clear: Tensor) -> Tensor:
        """The log-likelihood of `clear` images with noise given `degraded` ones, `(N,)` in nats."""
        noise = torch.rand_like(clear) - 0.5
        noisy = clear + self.noise_width * noise
        if not self._begun:
            self._begin(degraded, noisy)
        found: Tensor = self.network(degraded, noisy)
        return found + math.log(self.noise_width) * (clear.shape[-2] * clear.shape[-1])

    def _begin(self, degraded: Tensor, clear: Tensor) -> None:
        """Let the normalisations see the first batch of a training that begins from drawn weights."""
        if not self.network.initialised:
            if self._sharded:
                raise UserError(
                    "The normalisations of a flow begin with the first batch, and parameters that are shared out among "
                    "processes cannot be set by it; train with trainer=ddp, or go on from a checkpoint (ckpt=PATH)."
                )
            eager = torch.compiler.set_stance("force_eager")  # it is done once
            with self.network.initialising(), torch.no_grad(), eager:
                self.network(degraded, clear)
        self._begun = True
