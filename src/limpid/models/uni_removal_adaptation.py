"""Uni-Removal's second stage: the student adapts to real photographs that have no references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from limpid.losses.adversarial import discriminator_loss
from limpid.models.adversarial import Adversarial, clear_images
from limpid.models.batches import Batch
from limpid.models.decaying_loss_weights import DecayingLossWeights
from limpid.models.restorer import StepOutput
from limpid.models.start import load_start
from limpid.models.teachers import refuse_another

#: How to get a student, where there is none.
REMEDY = (
    "Adaptation starts from a student that knowledge transfer trained; train it (`limpid train "
    "+uni_removal/table4=bkt_icl_fcl`) and give model.start.ckpt=RUN/checkpoints/best.ckpt, or set "
    "model.start.weights=random to adapt a network that learnt nothing."
)


class DomainAdaptation(Adversarial, DecayingLossWeights):
    """``L_da = L_gan + lambda_2 L_idt + lambda_3 (L_eig + lambda_1 L_efg)`` (equations 7 to 13), without references.

    The student restores degraded photographs and, for identity and contrast, clear ones that have nothing to do with
    them. In each step it is trained first, against the discriminator's scores of what it restored; then the
    discriminator learns to tell these images, detached, from the clear ones. Equation 7 lacks the squares of
    least-squares adversarial training, and its "real" images are restored clear ones; here they are the clear
    photographs themselves.

    A batch holds `input` and `clear`. Where it has references instead, another image's reference is its clear image.

    Args:
        arguments: see `Restorer`; the network is the student.
        discriminator: gives scores of patches of images in [0, 1].
        start: `ckpt`, the checkpoint of the knowledge transfer; without one `weights`: None refuses, ``random`` adapts
            a network that learnt nothing, which is recorded.
        settings: see `DecayingLossWeights`; optimizer and learning-rate scheduler are made twice. The paper's `decay`
            is 0.99 after each of 40 epochs.

    Raises:
        CannotRun: (when training begins) there is nothing to start from.
        UserError: (likewise) the checkpoint does not fit, or the run began with another one, or (in a step) there are
            no clear images.
    """

    PROVIDES = Adversarial.PROVIDES | {"clear", "clear_output", "clear_features"}
    PLAYERS = 2

    def __init__(
        self,
        *arguments: Any,
        discriminator: nn.Module,
        start: Mapping[str, str | None],
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.discriminator = discriminator
        self.start = dict(start)

    def setup(self, stage: str) -> None:
        """Load the student that adaptation starts from."""
        if stage == "fit" and "start" not in self.provenance:
            student = (self.network, self.network_name, self.network_config)
            given = (self.start.get("ckpt"), self.start.get("weights"))
            self.provenance["start"] = load_start(*student, *given, REMEDY)

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the student and one of the discriminator; the student's terms are logged."""
        assert self.loss is not None
        clear = clear_images(batch)
        step = replace(self.make_step(batch), clear=clear)
        if self.loss.requires & {"clear_output", "clear_features"}:
            clear_output = self(clear)
            features = clear_output.features if self.layers else None
            step = replace(step, clear_output=clear_output, clear_features=features)
        self.discriminator.requires_grad_(False)  # the student's loss passes through it and leaves nothing there
        if "scores" in self.loss.requires:
            step = replace(step, scores=self.discriminator(step.restored))
        total, terms = self.loss(step)
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        judged = discriminator_loss(self.discriminator(clear), self.discriminator(step.restored.detach()))
        self.optimize(1, judged, batch_idx)
        return self.log_turn(total, terms, judged)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on from another student than the run began with.

        Raises:
            UserError: its weights differ.
        """
        before, now = (facts.get("start") for facts in (checkpoint["provenance"], self.provenance))
        refuse_another("student", "model.start.ckpt", before, now)
