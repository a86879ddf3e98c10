"""Made haze and real haze side by side, with depth, and their translation into each other (DA-Net, CVPR 2020)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from limpid.errors import UserError
from limpid.losses.step import Cycle
from limpid.models.batches import Batch
from limpid.models.real_images import real_images
from limpid.models.restorer import Restorer
from limpid.networks.da_net import DANetTranslators

_LEAST_TRANSMISSION = 1e-3


class HazeDomains(NamedTuple):
    """The hazy images of a batch, and how far away is what they show.

    Attributes:
        synthetic: images with made haze, `(N, 3, H, W)` in [0, 1].
        real: real hazy images, `(M, 3, H, W)` in [0, 1].
        synthetic_depth: `(N, 1, H, W)` in [-1, 1], 1 the furthest point.
        real_depth: `(M, 1, H, W)`, likewise.
    """

    synthetic: Tensor
    real: Tensor
    synthetic_depth: Tensor
    real_depth: Tensor


def haze_domains(model: Restorer, batch: Batch) -> HazeDomains:
    """The hazy images of both domains in `batch`, with their depth.

    Where the batch has no real images, the degraded images of other pairs stand for them; see `real_images`.

    Raises:
        UserError: there is no depth.
    """
    depth = pair_depth(batch)
    real_depth = _real_depth(batch) if "real" in batch else depth.roll(1, 0)
    return HazeDomains(batch["input"], real_images(model, batch), depth, real_depth)


def pair_depth(batch: Batch) -> Tensor:
    """The depth of the pairs of `batch`, `(N, 1, H, W)` in [-1, 1]: given, or what the haze's transmission says.

    Raises:
        UserError: it has neither.
    """
    if "depth" in batch:
        return 2 * batch["depth"] - 1
    if "transmission" in batch:
        exponent = -batch["transmission"].clamp(min=_LEAST_TRANSMISSION).log()
        furthest = exponent.amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
        return 2 * exponent / furthest - 1
    raise UserError(_without_depth(batch))


def _real_depth(batch: Batch) -> Tensor:
    """The depth of the real images of `batch`, `(M, 1, H, W)` in [-1, 1]."""
    if "real_depth" not in batch:
        raise UserError(_without_depth(batch))
    return 2 * batch["real_depth"] - 1


def _without_depth(batch: Batch) -> str:
    return (
        f"This training translates haze by the depth of its images, and a batch (with {batch['name'][0]}) has none; "
        "give data.train.depth=stand_in, which guesses it, data.train.depth=sample and sets with depth maps, or "
        "data=scenes, whose depth is known."
    )


class Translation(NamedTuple):
    """The images of both domains in the other one, and what became of them on the way back.

    Attributes:
        to_real: the made haze as real haze, `(N, 3, H, W)`.
        to_synthetic: the real haze as made haze, `(M, 3, H, W)`.
        cycles: of made haze and of real haze, through both translators.
        identities: of either, by the translator to its own domain; empty where they are not asked for.
    """

    to_real: Tensor
    to_synthetic: Tensor
    cycles: list[Cycle]
    identities: list[Cycle]


def translate(translators: DANetTranslators, domains: HazeDomains, identities: bool) -> Translation:
    """The images of both domains through both translators.

    Args:
        translators: of both directions.
        domains: the images.
        identities: whether each translator is shown the images of its own domain too.
    """
    synthetic, real, depth, real_depth = domains
    to_real, to_synthetic = translators.to_real(synthetic, depth), translators.to_synthetic(real)
    cycles = [
        Cycle(synthetic, translators.to_synthetic(to_real)),
        Cycle(real, translators.to_real(to_synthetic, real_depth)),
    ]
    same: list[Cycle] = []
    if identities:
        same.append(Cycle(synthetic, translators.to_synthetic(synthetic)))
        same.append(Cycle(real, translators.to_real(real, real_depth)))
    return Translation(to_real, to_synthetic, cycles, same)
