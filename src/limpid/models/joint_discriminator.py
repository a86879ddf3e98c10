"""A network that finds the transmission beside the image, against a discriminator that judges both together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from limpid.errors import UserError
from limpid.losses.adversarial import CrossEntropy, Game, game_of
from limpid.losses.haze_maps import found_map, known_map
from limpid.losses.perceptual import PublishedWeights, published_state
from limpid.models.adversarial import Adversarial, conditioned
from limpid.models.batches import Batch
from limpid.models.image_pool import ImagePool
from limpid.models.restorer import StepOutput
from limpid.ranges import CountOrNone, NonNegativeFloat

#: torchvision's weights of DenseNet-121, trained on ImageNet.
DENSENET_121 = PublishedWeights("https://download.pytorch.org/models", "densenet121-a639ec97.pth")


class JointDiscriminator(Adversarial):
    """DCPDN's training (Zhang and Patel, CVPR 2018, section 3.1): the discriminator sees a transmission and an image.

    In each step it learns first, from the true pair and from a found one of a pool; then the network on the loss, whose
    adversarial term gets the discriminator's scores of the found pair.

    Args:
        arguments: see `Restorer`.
        discriminator: maps `(N, 6, H, W)`, a transmission of three channels and an image, to scores.
        game: None is `CrossEntropy`.
        pool: how many found pairs are kept for the discriminator; 0 keeps none.
        discriminator_weight_decay: of the discriminator's optimizer, in the place of the network's.
        encoder_weights: where the encoder of the transmission starts from: path of torchvision's weights of
            DenseNet-121; null looks for them in torch hub's cache; ``random`` draws them.
        settings: see `Restorer`.

    Raises:
        CannotRun: the weights are not there.
        UserError: the file is not the published one, or the decay is below 0.
    """

    def __init__(
        self,
        *arguments: Any,
        discriminator: nn.Module,
        game: Game | None = None,
        pool: CountOrNone = 50,
        discriminator_weight_decay: NonNegativeFloat = 0.0,
        encoder_weights: str | Path | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        if discriminator_weight_decay < 0:
            raise UserError(
                f"model.discriminator_weight_decay is {discriminator_weight_decay}, but a decay is 0 or more."
            )
        self.discriminator = discriminator
        self.game = game_of(game, CrossEntropy())
        self.pool = ImagePool(pool)
        self.discriminator_weight_decay = discriminator_weight_decay
        if self.loss is not None and encoder_weights != "random":  # what is only tested has weights of its own
            load_encoder(self.network.get_submodule("transmission.encoder"), encoder_weights)

    def configure_optimizers(self) -> Any:
        """See `Adversarial`; the discriminator has its own weight decay."""
        configured = super().configure_optimizers()
        optimizers = configured[0] if isinstance(configured, tuple) else configured
        for group in optimizers[1].param_groups:
            group["weight_decay"] = self.discriminator_weight_decay
        return configured

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the discriminator and one of the network, which are logged."""
        assert self.loss is not None
        step = self.make_step(batch)
        found = found_map(step, "transmission")
        true = known_map(step, "transmission").expand_as(found)
        pair = conditioned(found, step.restored.float())
        clear_scores = self.discriminator(conditioned(true, step.reference))
        judged = self.game.discriminator_loss(clear_scores, self.discriminator(self.pool(pair)))
        self.optimize(1, judged, batch_idx)
        self.discriminator.requires_grad_(False)  # the network's loss passes through it and leaves nothing there
        if "scores" in self.loss.requires:
            step = replace(step, scores=self.discriminator(pair))
        total, terms = self.loss(step)
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        return self.log_turn(total, terms, judged)


def load_encoder(encoder: nn.Module, weights: str | Path | None) -> None:
    """Give an encoder the weights that torchvision's DenseNet-121 has in its place.

    Args:
        encoder: a `limpid.networks.densenet.DenseEncoder` as wide and deep as DenseNet-121.
        weights: path of the file; None looks in torch hub's cache.

    Raises:
        CannotRun: there is no such file.
        UserError: the file is not the published one.
    """
    purpose = "DCPDN starts from DenseNet-121 as it was trained on ImageNet"
    named = published_state(weights, DENSENET_121, purpose, "model.encoder_weights")
    # The file is of before names could hold no dots: denselayer1.norm.1 is denselayer1.norm1.
    state = {_modern(name): value for name, value in named.items()}
    encoder.load_state_dict({name: state[name] for name in encoder.state_dict() if name in state}, strict=False)


def _modern(name: str) -> str:
    name = name.removeprefix("features.")
    for part in ("norm", "conv"):
        for number in (1, 2):
            name = name.replace(f".{part}.{number}.", f".{part}{number}.")
    return name
