"""DehazeFlow: clear images as samples of a flow that is conditioned on the hazy image.

Li et al., "DehazeFlow: multi-scale conditional flow network for single image dehazing", ACM MM 2021; after SRFlow
(Lugmayr et al., ECCV 2020) and Glow (Kingma & Dhariwal, NeurIPS 2018). The method is built from their descriptions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.networks.flow_layers import ActNorm, ConditionalCoupling, FlowStep, Split, log_normal
from limpid.networks.padding import pad_to_multiple
from limpid.networks.rrdb import RRDB
from limpid.ranges import Channels, Layers, LayersOrNone, NonNegativeFloat, Seed

_SLOPE = 0.2
_LEVELS = 3
_MULTIPLE = 2**_LEVELS


class HazeEncoder(nn.Module):
    """The conditions of the flow, found in the hazy image: 16,659,328 parameters.

    Args:
        channels: of all features.
        growth: see `RRDB`.
        blocks: how many of them.
        kept: the blocks, from 0 on, whose outputs every level sees.
    """

    def __init__(self, channels: int, growth: int, blocks: int, kept: Sequence[int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList([RRDB(channels, growth) for _ in range(blocks)])
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        self.to_half, self.to_quarter = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.kept = frozenset(kept)
        self.condition_channels = channels * (1 + len(self.kept))

    def forward(self, hazy: Tensor) -> list[Tensor]:
        """The conditions at a half, a quarter and an eighth of the size of `hazy` `(N, 3, H, W)`."""
        y = self.first(hazy)
        seen: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            y = block(y)
            if number in self.kept:
                seen.append(y[..., ::2, ::2])  # the nearest pixels at half the size: the whole would take four times it
        features = y + self.last(y)
        half = F.leaky_relu(self.to_half(_halved(features)), _SLOPE)
        quarter = F.leaky_relu(self.to_quarter(_halved(half)), _SLOPE)
        own = (half, quarter, _halved(quarter))
        beside = torch.cat(seen, 1)
        return [torch.cat([mine, beside[..., :: 2**i, :: 2**i]], 1) for i, mine in enumerate(own)]


def _halved(x: Tensor) -> Tensor:
    """`x` `(N, C, H, W)` of even sides at half the size: bilinear interpolation there takes the mean of four pixels."""
    return F.avg_pool2d(x, 2)


class DehazeFlow(nn.Module):
    """A conditional flow of three levels: 39,291,664 parameters, 16,659,328 of them in the encoder.

    ``network(hazy)`` is the clear image that belongs to the latent numbers 0, or with a `temperature` above 0 to normal
    ones of that deviation: the same in every call. ``network(hazy, clear)`` is the log-likelihood of clear images.

    Before the first training step the normalisations have to see a batch; see `initialising`.

    Args:
        channels: of the encoder's features.
        growth: of its dense blocks.
        blocks: residual-in-residual dense blocks.
        kept: which of them, from 0 on, every level of the flow sees.
        plain_steps: steps of each level without a coupling.
        steps: steps of each level with one, after those.
        hidden: channels inside of couplings.
        attention: channels between the two layers of their channel attention.
        weight_std: deviation of the initial weights of their convolutions.
        temperature: deviation of the latent numbers that an image is made of, from 0 on.
        seed: of these numbers.

    Raises:
        UserError: a number is too small, or a kept block is none.
    """

    #: In one pass: it holds about 2.6 GB for each megapixel.
    largest_megapixels = 0.5

    def __init__(
        self,
        channels: Channels = 64,
        growth: Channels = 32,
        blocks: Layers = 23,
        kept: Sequence[LayersOrNone] = (1, 8, 15, 22),
        plain_steps: LayersOrNone = 2,
        steps: LayersOrNone = 16,
        hidden: Channels = 64,
        attention: Channels = 4,
        weight_std: NonNegativeFloat = 0.05,
        temperature: NonNegativeFloat = 0.0,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        if not kept or len(set(kept)) < len(kept) or not all(0 <= number < blocks for number in kept):
            raise UserError(
                f"network.kept is {list(kept)}, but it must name at least one of the {blocks} blocks, each once, by "
                f"numbers from 0 to {blocks - 1}."
            )
        if steps < 0 or plain_steps < 0 or steps + plain_steps == 0 or temperature < 0:
            raise UserError(
                f"network.plain_steps is {plain_steps}, network.steps {steps} and network.temperature {temperature}, "
                "but there must be at least one step of either kind, and the temperature must be 0 or more."
            )
        self.temperature, self.seed = temperature, seed
        self.encoder = HazeEncoder(channels, growth, blocks, kept)
        sizes = (self.encoder.condition_channels, hidden, attention, weight_std)
        self.levels = nn.ModuleList()
        for width in (12, 24, 96):  # half of the first level's leave it
            plain = [FlowStep(width) for _ in range(plain_steps)]
            coupled = [FlowStep(width, ConditionalCoupling(width, *sizes)) for _ in range(steps)]
            self.levels.append(nn.ModuleList([*plain, *coupled]))
        self.split = Split(12)
        #: 1 once the normalisations have seen a batch.
        self.initialised: Tensor
        self.register_buffer("initialised", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor, clear: Tensor | None = None) -> Tensor:
        """The restored image of the hazy one `x`, `(N, 3, H, W)` in [0, 1], in the same shape; it may leave the range.

        With `clear`, images of the same shape, it is their log-likelihood, `(N,)`, in nats.

        Raises:
            UserError: there is `clear`, and a side is no multiple of 8.
        """
        if clear is not None:
            return self.log_likelihood(x, clear)
        height, width = x.shape[-2:]
        conditions = self.encoder(pad_to_multiple(x, _MULTIPLE))
        return self.decode(conditions, *self._latent(conditions, x))[..., :height, :width]

    def log_likelihood(self, hazy: Tensor, clear: Tensor) -> Tensor:
        """The log-likelihood of `clear` images given `hazy` ones, `(N,)` in nats; see `forward`."""
        if any(side % _MULTIPLE for side in clear.shape[-2:]):
            raise UserError(
                f"The flow takes images whose sides are multiples of {_MULTIPLE}, and these are "
                f"{clear.shape[-1]}x{clear.shape[-2]}; give data.crop such a number."
            )
        latent, standard, logarithm = self.encode(self.encoder(hazy), clear)
        del standard  # its likelihood is in the logarithm
        return logarithm + log_normal(latent)

    def encode(self, conditions: Sequence[Tensor], clear: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The latent numbers of clear images, and what makes a likelihood of theirs.

        Args:
            conditions: of the encoder.
            clear: `(N, 3, H, W)` in [0, 1], sides of multiples of 8.

        Returns:
            The latent numbers `(N, 96, H / 8, W / 8)`; those that leave the first level, `(N, 6, H / 2, W / 2)`; and
            for each image the log-determinant of the whole, with the log-likelihood of the latter, `(N,)`.

        Raises:
            UserError: a side is no multiple of 8.
        """
        z = clear.to(torch.promote_types(clear.dtype, torch.float32))
        logarithm = torch.zeros(len(z), dtype=z.dtype, device=z.device)
        standard = z[:, :0]
        for number, (steps, condition) in enumerate(zip(self.levels, conditions, strict=True)):
            z = F.pixel_unshuffle(z, 2)
            for step in steps:  # type: ignore[attr-defined]
                z, more = step(z, condition)
                logarithm = logarithm + more
            if number == 0:
                z, standard, more = self.split(z)
                logarithm = logarithm + more
        return z, standard, logarithm

    def decode(self, conditions: Sequence[Tensor], latent: Tensor, standard: Tensor | None) -> Tensor:
        """The clear images `(N, 3, H, W)` whose latent numbers these are; see `encode`.

        Args:
            conditions: of the encoder.
            latent: as `encode` gives it.
            standard: likewise; None stands for zeros.
        """
        z = latent
        for number in reversed(range(_LEVELS)):
            if number == 0:
                z = self.split.inverse(z, standard)
            for step in reversed(self.levels[number]):  # type: ignore[call-overload]
                z = step.inverse(z, conditions[number])
            z = F.pixel_shuffle(z, 2)
        return z

    def _latent(self, conditions: Sequence[Tensor], x: Tensor) -> tuple[Tensor, Tensor | None]:
        """The latent numbers that images are made of: the same for each image of a batch, and in every call."""
        dtype = torch.promote_types(x.dtype, torch.float32)
        eighth = (96, *conditions[2].shape[-2:])
        if not self.temperature:
            return torch.zeros(x.shape[0], *eighth, dtype=dtype, device=x.device), None
        generator = torch.Generator().manual_seed(self.seed)  # on the CPU: other devices would draw other numbers
        half = (6, *conditions[0].shape[-2:])
        drawn = [self.temperature * torch.randn(1, *shape, generator=generator) for shape in (eighth, half)]
        latent, standard = (one.to(x.device, dtype).expand(x.shape[0], -1, -1, -1) for one in drawn)
        return latent, standard

    @property
    def no_graph(self) -> str | None:
        """Why there is no graph of it for other programs."""
        return "it draws random numbers at a temperature above 0" if self.temperature else None

    @contextlib.contextmanager
    def initialising(self) -> Iterator[None]:
        """Inside, the first batch decides how every normalisation begins; after that the flow is `initialised`."""
        norms = [layer for layer in self.modules() if isinstance(layer, ActNorm)]
        for norm in norms:
            norm.initialising = True
        try:
            yield
        finally:
            for norm in norms:
                norm.initialising = False
        self.initialised.fill_(1)
