"""DID-MDN's training: its three networks learn one after the other, each from where the one before ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.losses import Step, WeightedLoss
from limpid.models.batches import Batch, known_of
from limpid.models.requirements import refuse_unmet
from limpid.models.restorer import Restorer, StepOutput
from limpid.models.start import load_start
from limpid.models.teachers import refuse_another
from limpid.networks.did_mdn import DIDMDN, LEVELS

#: The networks, in the order in which they learn.
PARTS = ("residual", "classifier", "derain")
REMEDY = (
    "DID-MDN's {part} learns beside networks that were trained before it; train them (`limpid train "
    "+fdr/baselines={row}`, or add prerequisites=run) and give model.start.ckpt=RUN/checkpoints/last.ckpt, or set "
    "model.start.weights=random to learn beside networks that learnt nothing."
)
_ROWS = {"classifier": "did_mdn_residual", "derain": "did_mdn_classifier"}


class DensityAwareDeraining(Restorer):
    """One network of a `DIDMDN` learns, the others stay as they are (Zhang and Patel, CVPR 2018).

    The residual network takes heavy rain away, whatever rain it is given. The classifier learns the density of the
    rain from what the residual network leaves of it. The third network is told the true density; at test the
    classifier tells it.

    A batch says by `rain_level` how dense the rain of each image is: ``heavy``, ``medium`` or ``light``.

    Args:
        arguments: see `Restorer`; the network is a `DIDMDN`.
        part: which network learns: ``residual``, ``classifier`` or ``derain``.
        density: what the rain of images is taken for whose density the data does not say; None refuses them.
        start: `ckpt`, a checkpoint with the networks that learnt before; without one `weights`: None refuses,
            ``random`` begins with networks that learnt nothing, which is recorded. The residual network needs none.
        settings: see `Restorer`.

    Raises:
        CannotRun: (when training begins) there is nothing to start from.
        UserError: the network is another, there is no such part, or the loss does not reach it; (when training begins)
            the checkpoint does not fit; or (in a step) nobody says how dense the rain is.
    """

    PROVIDES = Restorer.PROVIDES | {"density", "density_scores"}

    network: DIDMDN

    def __init__(
        self,
        *arguments: Any,
        part: str,
        density: str | None = None,
        start: Mapping[str, str | None] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        if not isinstance(self.network, DIDMDN):
            raise UserError(
                f"The network {self.network_name or type(self.network).__name__} has no classifier of the rain's "
                "density, which DensityAwareDeraining trains or asks; choose network=did_mdn."
            )
        if part not in PARTS:
            raise UserError(f"model.part is {part!r}, but it must be one of {', '.join(PARTS)}.")
        if density not in (None, *LEVELS):
            raise UserError(f"model.density is {density!r}, but it must be null or one of {', '.join(LEVELS)}.")
        if self.loss is not None:
            _refuse_other_loss(self.loss, part, self.PROVIDES)
        self.part, self.unknown = part, density
        self.start = dict(start or {})
        for name, module in self._parts.items():
            module.requires_grad_(name == part)

    @property
    def _parts(self) -> dict[str, nn.Module]:
        density = self.network.density
        return {"residual": density.residual, "classifier": density.classifier, "derain": self.network.derain}

    def train(self, mode: bool = True) -> Self:
        """Train; what does not learn keeps its statistics too."""
        super().train(mode)
        for name, module in self._parts.items():
            module.train(mode and name == self.part)
        return self

    def setup(self, stage: str) -> None:
        """Load the networks that learnt before."""
        if stage == "fit" and self.part in _ROWS and "start" not in self.provenance:
            network = (self.network, self.network_name, self.network_config)
            given = (self.start.get("ckpt"), self.start.get("weights"))
            remedy = REMEDY.format(part=self.part, row=_ROWS[self.part])
            self.provenance["start"] = load_start(*network, *given, remedy)

    def make_step(self, batch: Batch) -> Step:
        """The step that the terms of the loss see of a batch."""
        images = batch["input"].contiguous(memory_format=self.memory_format)
        if self.part == "residual":
            return Step(**known_of(batch), output=self.network.without_heavy_rain(images))
        density = densities(batch, images.device, self.unknown)
        if self.part == "derain":
            return Step(**known_of(batch), output=self.network.without_rain(images, density))
        scores = self.network.density(2 * images - 1)[:, :, 0, 0]
        return Step(**known_of(batch), output=images, density=density, density_scores=scores)

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The loss of one batch; of the classifier also the share of images whose density it found."""
        assert self.loss is not None
        step = self.make_step(batch)
        total, terms = self.loss(step)
        if step.density_scores is None or step.density is None:
            return self.log_losses(total, terms)
        right = step.density_scores.argmax(1).eq(step.density).float().mean()
        return self.log_losses(total, terms, {"train/accuracy": right})

    def restore_batch(self, batch: Batch) -> Tensor:
        """The restored images: float32, in [0, 1]; before the third network learns, those of the residual network."""
        if self.part == "derain":
            return super().restore_batch(batch)
        with torch.no_grad():
            return self.network.without_heavy_rain(batch["input"].float()).clamp(0.0, 1.0)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with another start than the run began with.

        Raises:
            UserError: their weights differ.
        """
        before, now = (facts.get("start") for facts in (checkpoint["provenance"], self.provenance))
        refuse_another("start", "model.start.ckpt", before, now)


def _refuse_other_loss(loss: WeightedLoss, part: str, provided: frozenset[str]) -> None:
    """Refuse terms that nothing of `part` reaches: the classifier gives scores alone, the other parts images alone.

    Raises:
        UserError: naming the first such term.
    """
    of_scores = frozenset({"density", "density_scores"})
    if part != "classifier":
        refuse_unmet(loss, provided - of_scores, f"DensityAwareDeraining with model.part={part}")
        return
    others = [name for name, term in loss.named_terms().items() if not term.requires & of_scores]
    if others:
        raise UserError(
            f"The term {others[0]} of the loss compares images, and model.part=classifier learns to tell densities "
            "of rain; choose loss=rain_density."
        )


def densities(batch: Batch, device: torch.device, unknown: str | None = None) -> Tensor:
    """`(N,)`: the number of the density of each image's rain in `limpid.networks.did_mdn.LEVELS`.

    Args:
        batch: of which `rain_level` is asked.
        device: of the result.
        unknown: what rain is taken for of which the batch does not say it.

    Raises:
        UserError: the data does not say it and nothing else does, or it names another.
    """
    levels = batch.get("rain_level")
    if levels is None and unknown is not None:
        levels = [unknown] * len(batch["input"])
    if levels is None:
        raise UserError(
            f"DID-MDN learns with the density of the rain, and {batch['name'][0]} comes without; choose data that says "
            "it: data=did_mdn, or made rain, such as data=scenes_rain. model.density=heavy takes all rain for heavy."
        )
    others = sorted(set(levels) - set(LEVELS))
    if others:
        raise UserError(f"Rain of the density {others[0]!r} is none of {', '.join(LEVELS)}; choose other data.")
    return torch.tensor([LEVELS.index(level) for level in levels], device=device)
