"""NLCL, with which Uni-Removal is compared: rain and background come apart without references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from limpid.inference import NetworkOutput, restored_image
from limpid.losses import Step
from limpid.losses.adversarial import discriminator_loss
from limpid.losses.step import Reapplication
from limpid.models.adversarial import Adversarial, clear_images
from limpid.models.batches import Batch, known_of
from limpid.models.restorer import StepOutput
from limpid.networks.feature_hooks import forward_with_features


class LayerSeparation(Adversarial):
    """Non-local contrastive learning (Ye et al., CVPR 2022): two generators, a discriminator, no pairs.

    The network makes the background of a rainy image, which is the restored image; `rain` makes the rain layer. In each
    step the discriminator learns first to tell backgrounds from clear photographs that have nothing to do with them;
    then both generators learn, with the projections of the loss's contrasts. The rain generator and the discriminator
    are in Lightning's state, so that a run continues, but not in the network that a checkpoint rebuilds.

    A batch holds `input` and `clear`. Where it has references instead, another image's reference is its clear image.

    Args:
        arguments: see `Restorer`; the network is the background's generator.
        rain: the rain layer's generator, from images in [0, 1] to images that are 0.5 where there is no rain.
        discriminator: gives scores of patches of images in [0, 1].
        settings: see `Restorer`; optimizer and learning-rate scheduler are made twice.

    Raises:
        UserError: (in a step) there are no clear images.
    """

    PROVIDES = Adversarial.PROVIDES | {"rain", "background_features", "rain_features", "reapplications"}

    def __init__(self, *arguments: Any, rain: nn.Module, discriminator: nn.Module, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.rain = rain
        self.discriminator = discriminator
        self.discriminator_layers = [] if self.loss is None else self.loss.discriminator_layers

    def configure_network(self, memory_format: str = "channels_last", compile: bool = False) -> None:
        """Say how both generators are computed; see `Restorer`."""
        super().configure_network(memory_format, compile)
        self.rain.to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def generators(self) -> list[nn.Module]:
        """The two generators, and what the loss learns."""
        return [*super().generators(), self.rain]

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the discriminator and one of the generators; terms are logged under their names."""
        assert self.loss is not None
        degraded, clear = batch["input"], clear_images(batch)
        output, features = self.network_with_features(degraded)
        background = restored_image(output)
        rain = self.rain(degraded.contiguous(memory_format=self.memory_format))
        judged = discriminator_loss(self.discriminator(clear), self.discriminator(background.detach()))
        self.optimize(1, judged, batch_idx)
        self.discriminator.requires_grad_(False)  # the generators' loss passes through it and leaves nothing there
        step = Step(**known_of(batch), output=output, features=features, rain=rain)
        total, terms = self.loss(self._completed(step, features, rain, clear))
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        return self.log_turn(total, terms, judged)

    def _completed(self, step: Step, features: Mapping[str, Tensor], rain: Tensor, clear: Tensor) -> Step:
        """The step with what the terms require of both networks."""
        assert self.loss is not None
        required = self.loss.requires
        if required & {"scores", "background_features"}:
            scores, background_features = self.discriminator_with_features(step.restored)
            step = replace(step, scores=scores, background_features=background_features)
        if "rain_features" in required:
            step = replace(step, rain_features=self.discriminator_with_features(rain)[1])
        if "reapplications" in required:
            clear_output, clear_features = self.network_with_features(clear)
            again = self.network_with_features(step.restored)[1]
            clear_again = self.network_with_features(restored_image(clear_output))[1]
            of_degraded = Reapplication(step.input, features, again)
            of_clear = Reapplication(clear, clear_features, clear_again)
            step = replace(step, reapplications=[of_degraded, of_clear])
        return step

    def network_with_features(self, x: Tensor) -> tuple[NetworkOutput, dict[str, Tensor]]:
        """The network's output for `x`, and the features of it that the loss compares."""
        return forward_with_features(self.network, x.contiguous(memory_format=self.memory_format), self.layers)

    def discriminator_with_features(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminator's scores of `x`, and the features of it that the loss compares."""
        x = x.contiguous(memory_format=self.memory_format)
        return forward_with_features(self.discriminator, x, self.discriminator_layers)
