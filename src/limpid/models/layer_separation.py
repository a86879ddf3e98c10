"""NLCL, with which Uni-Removal is compared: rain and background come apart without references."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from limpid.inference import restored_image
from limpid.losses.adversarial import discriminator_loss
from limpid.models.adversarial import Adversarial, clear_images
from limpid.models.restorer import Batch
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

    def __init__(self, *arguments: Any, rain: nn.Module, discriminator: nn.Module, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.rain = rain
        self.discriminator = discriminator
        terms: list[Any] = [] if self.loss is None else list(self.loss.terms.values())
        self.taps = {
            part: list(dict.fromkeys(name for t in terms if getattr(t, "PART", None) == part for name in t.features))
            for part in ("network", "discriminator")
        }

    def arrange(self, memory_format: str = "channels_last", compile: bool = False) -> None:
        """Say how both generators are computed; see `Restorer`."""
        super().arrange(memory_format, compile)
        if hasattr(self, "rain"):  # not while the base is made
            self.rain.to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def generators(self) -> list[nn.Module]:
        """The two generators, and what the loss learns."""
        return [*super().generators(), self.rain]

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """One step of the discriminator and one of the generators; their terms are logged under their names."""
        assert self.loss is not None
        degraded, clear = batch["input"], clear_images(batch)
        output, degraded_features = self.featured("network", degraded)
        background = restored_image(output)
        rain = self.rain(degraded.contiguous(memory_format=self.memory_format))
        judged = discriminator_loss(self.discriminator(clear), self.discriminator(background.detach()))
        self.learn(1, judged, batch_idx)
        self.discriminator.requires_grad_(False)  # the generators' loss passes through it and leaves nothing there
        scores, background_features = self.featured("discriminator", background)
        made: dict[str, Any] = {"rain": rain, "scores": scores, "background_features": background_features}
        if self.taps["discriminator"]:
            made["rain_features"] = self.featured("discriminator", rain)[1]
        if self.taps["network"]:
            clear_output, clear_features = self.featured("network", clear)
            made["passed"] = [
                (degraded, degraded_features, self.featured("network", background)[1]),
                (clear, clear_features, self.featured("network", restored_image(clear_output))[1]),
            ]
        total, terms = self.loss(output, {**batch, **made})
        self.learn(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        return self.report(total, terms, judged, batch_idx)

    def featured(self, part: str, x: torch.Tensor) -> tuple[Any, dict[str, torch.Tensor]]:
        """What the network or the discriminator makes of `x`, and the features of it that the loss compares."""
        x = x.contiguous(memory_format=self.memory_format)
        return forward_with_features(getattr(self, part), x, self.taps[part])
