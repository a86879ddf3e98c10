"""Training on pairs against two discriminators, of patches and of large parts, from a backbone of ImageNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

from torch import Tensor, nn

from limpid.errors import UserError
from limpid.losses.relativistic import ScoreMemory, relativistic_loss
from limpid.models import run_length
from limpid.models.adversarial import Adversarial
from limpid.models.backbone_weights import load_backbone
from limpid.models.batches import Batch
from limpid.models.restorer import StepOutput
from limpid.networks.deblurgan_v2 import DeblurGANv2
from limpid.ranges import CountOrNone, NonNegativeFloat


class Frozen(TypedDict):
    """How long the backbone stays as it is.

    Attributes:
        epochs: at the beginning of the paper's training.
        of: so many epochs that has.
    """

    epochs: float
    of: float


class DoubleDiscriminator(Adversarial):
    """DeblurGAN-v2's training (Kupyn et al., ICCV 2019, section 3): a relativistic game on pairs.

    In each step the discriminators learn first, then the network on the loss, whose adversarial term gets the scores
    of the restored images and of the references as the game compares them. The discriminators and the means that scores
    are compared with are in Lightning's state, so that a run continues, but they are not part of the network that a
    checkpoint rebuilds.

    Args:
        arguments: see `Restorer`; the network is a `DeblurGANv2`.
        discriminators: by name, each gives scores `(N, 1, h, w)` of images in [0, 1].
        pool: how many score maps of either kind the others' scores are compared with.
        discriminator_weight: of the discriminators' loss.
        frozen: how long the backbone does not learn; None lets it learn from the start.
        backbone_weights: where the backbone starts from; see `load_backbone`.
        settings: see `Restorer`; optimizer and learning-rate scheduler are made twice.

    Raises:
        CannotRun: the backbone's weights are not there.
        UserError: the network is another, there is no discriminator, `pool` is below 1, or `frozen` is no such pair.
    """

    PROVIDES = Adversarial.PROVIDES | {"reference_scores"}

    network: DeblurGANv2
    discriminator: nn.ModuleDict

    def __init__(
        self,
        *arguments: Any,
        discriminators: Mapping[str, nn.Module],
        pool: CountOrNone = 50,
        discriminator_weight: NonNegativeFloat = 1.0,
        frozen: Frozen | None = None,
        backbone_weights: str | Path = "imagenet",
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        if not isinstance(self.network, DeblurGANv2):
            raise UserError(
                f"This training starts from a backbone of ImageNet, and {type(self.network).__name__} has none; choose "
                "network=deblurgan_v2, or another model."
            )
        whole = frozen is None or set(frozen) == {"epochs", "of"}
        if not whole or (frozen is not None and not 0 <= frozen["epochs"] <= frozen["of"] > 0):
            raise UserError(
                f"model.frozen is {dict(frozen or {})}, but the backbone is frozen for 0 or more of all epochs, "
                "such as {epochs: 3, of: 300}."
            )
        self.discriminator = nn.ModuleDict(dict(discriminators))
        self.memory = ScoreMemory(len(self.discriminator), pool)
        self.discriminator_weight = discriminator_weight
        self.frozen = frozen
        if self.loss is not None:  # what is only tested has weights of its own
            load_backbone(self.network, backbone_weights)

    @property
    def depends_on_length(self) -> bool:
        """Whether the backbone is frozen for a part of the whole training."""
        return self.frozen is not None and self.frozen["epochs"] > 0

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Let the backbone learn, or not yet."""
        if self.frozen is None:
            return
        done = run_length.batches_before(self.trainer, batch_idx)
        self.network.backbone.requires_grad_(self.backbone_learns(done, run_length.batches(self.trainer, 2)))

    def on_fit_end(self) -> None:
        """See `Adversarial`; another training begins with a backbone that learns."""
        super().on_fit_end()
        self.network.backbone.requires_grad_(True)

    def backbone_learns(self, done: int, batches: int) -> bool:
        """Whether the backbone learns after `done` of `batches` batches of the whole training."""
        return self.frozen is None or done * self.frozen["of"] >= batches * self.frozen["epochs"]

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the discriminators and one of the network, which are logged."""
        assert self.loss is not None
        step = self.make_step(batch)
        clear_scores, restored_scores = self.judge(step.reference), self.judge(step.restored.detach())
        self.memory.add(clear_scores, restored_scores)
        judged = self.discriminator_weight * relativistic_loss(*self.memory(clear_scores, restored_scores))
        self.optimize(1, judged, batch_idx)
        if self.loss.requires & {"scores", "reference_scores"}:
            self.discriminator.requires_grad_(False)  # the network's loss passes through them and leaves nothing there
            compared = self.memory(self.judge(step.reference), self.judge(step.restored))
            step = replace(step, scores=compared.restored, reference_scores=compared.clear)
        total, terms = self.loss(step)
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        return self.log_turn(total, terms, judged)

    def judge(self, images: Tensor) -> list[Tensor]:
        """Each discriminator's scores of `images` `(N, 3, H, W)` in [0, 1]."""
        return [discriminator(images) for discriminator in self.discriminator.values()]
