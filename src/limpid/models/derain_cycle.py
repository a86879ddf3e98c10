"""DerainCycleGAN's training: cycles between rainy and clear images, both of whose generators see where it rains."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from limpid.errors import UserError
from limpid.inference import NetworkOutput
from limpid.models.cycle import CycleModel
from limpid.networks.derain_cycle_gan import DerainCycleGAN, MultiScaleDiscriminator


class DerainCycle(CycleModel):
    """`CycleModel` whose second generator gets the mask that the network's attention finds (Wei et al., TIP 2021).

    The discriminators judge at several scales; the generators answer to the finest alone.

    Args:
        arguments: see `CycleModel`; the network is a `DerainCycleGAN`.
        settings: see `CycleModel`; `degrading` is a `DerainGenerator`, the discriminators are of several scales.

    Raises:
        UserError: the network or a discriminator is another; or as `CycleModel`.
    """

    network: DerainCycleGAN

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        if not isinstance(self.network, DerainCycleGAN):
            raise UserError(
                f"Both generators of this training see where it rains, and {type(self.network).__name__} does not find "
                "that; choose network=derain_cycle_gan, or another model, such as model=cycle_dehaze."
            )
        others = [name for name, one in self.discriminator.items() if not isinstance(one, MultiScaleDiscriminator)]
        if others:
            raise UserError(
                f"model.discriminators.{others[0]} is a {type(self.discriminator[others[0]]).__name__}, but this "
                "training needs a limpid.networks.derain_cycle_gan.MultiScaleDiscriminator there."
            )

    def degrade(self, clear: Tensor) -> NetworkOutput:
        """See `CycleModel`; with the mask that was found in `clear`."""
        return self.network.changed(clear.contiguous(memory_format=self.memory_format), self.degrading)

    def generators_scores(self, name: str, images: Tensor) -> Tensor:
        """See `CycleModel`: those of the finest scale."""
        return self.discriminator[name].finest(images)  # type: ignore[operator]
