"""FDR-Net's training: the supervised model, and curves of what its orthogonality loss does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from limpid.losses import Step
from limpid.losses.svdo import channel_correlation
from limpid.models.batches import Batch
from limpid.models.restorer import Restorer, StepOutput
from limpid.networks.fdr import FDROutput
from limpid.ranges import Count, PositiveInt

#: The terms whose gradients are compared.
_ORTHOGONALITY, _PIXELS = "svdo", "l1"


class FDR(Restorer):
    """FDR-Net (Li et al., ECCV 2020) trained on ``L1 + 1e-5 SVDO`` (equation 8).

    It trains as `Restorer` does. Beside that it writes three curves, measured on a few images of a batch:

    - ``correlation/before`` and ``correlation/after``: mean absolute correlation of two channels before and after FDM,
      averaged over the phases. The paper reads 0.272 and 0.164 (section 4.5).
    - ``gradient_ratio/svdo``: the norm of SVDO's weighted gradient over all weights, divided by L1's. As printed it
      starts far above 1, so that the gradient has to be clipped.

    Args:
        monitor_every: batches between two such measurements; 0 makes none. One costs a forward and two backward passes
            of `monitor_images` images.
        monitor_images: images of the batch that are measured.
        arguments: see `Restorer`.
        settings: see `Restorer`.
    """

    def __init__(
        self, *arguments: Any, monitor_every: PositiveInt = 100, monitor_images: Count = 4, **settings: Any
    ) -> None:
        super().__init__(*arguments, **settings)
        self.monitor_every = monitor_every
        self.monitor_images = monitor_images

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The loss of one batch, as in `Restorer`."""
        result = super().training_step(batch, batch_idx)
        if self.monitor_every and (batch_idx + 1) % self.monitor_every == 0:
            few = {key: value[: self.monitor_images] for key, value in batch.items() if isinstance(value, Tensor)}
            measured = self.monitor(few)
            self.log_values(measured)
            result["log_always"] = measured
        return result

    def monitor(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The curves' values on `batch`, with weights and their gradients left as they are.

        What a network cannot show is absent: without FDM there is nothing after it, without both terms no ratio.
        """
        # Apart from the step's own pass: a compiled network's passes cannot be gone back through twice.
        with torch.compiler.set_stance("force_eager"):
            output = self(batch["input"])
            values = fdm_correlations(output.entering, output.features)
            means = {f"correlation/{where}": value.nanmean() for where, value in values.items() if len(value)}
            ratio = self._gradient_ratio(output, batch)
        return means if ratio is None else {**means, "gradient_ratio/svdo": ratio}

    def _gradient_ratio(self, output: FDROutput, batch: Mapping[str, Tensor]) -> Tensor | None:
        assert self.loss is not None
        terms, weights = self.loss.terms, self.loss.weights
        # Sharded weights have no gradients of their own outside the training step.
        if self._sharded or not output.features or not {_ORTHOGONALITY, _PIXELS} <= set(terms):
            return None
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        step = Step(batch["input"], batch.get("target"), output)
        norms = []
        for name in (_ORTHOGONALITY, _PIXELS):
            value = weights[name] * terms[name](step).float()
            gradients = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
            norms.append(torch.stack([g.float().norm() for g in gradients if g is not None]).norm())
        return norms[0] / norms[1]


def fdm_correlations(entering: tuple[Tensor, ...], features: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """The mean absolute correlation of two channels, phase by phase.

    Args:
        entering: what enters each phase, `(N, C, H, W)`.
        features: the output of every FD layer, phase by phase; as many in each phase.

    Returns:
        `before` and `after` FDM, each `(phases,)`, averaged over the images that have a correlation; `after` is empty
        without FDM. What is after FDM is the output of its last layer.
    """
    layers = len(features) // max(1, len(entering))
    last = features[layers - 1 :: layers] if layers else ()
    return {"before": _mean_correlations(entering), "after": _mean_correlations(last)}


@torch.no_grad()
def _mean_correlations(phases: tuple[Tensor, ...]) -> Tensor:
    """The mean absolute correlation of two channels in each of `phases`, `(phases,)`."""
    if not phases:
        return torch.empty(0)
    return torch.stack([channel_correlation(of_phase).nanmean() for of_phase in phases])
