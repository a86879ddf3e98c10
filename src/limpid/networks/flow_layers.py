"""Invertible layers of conditional flows, with their log-determinants (Glow, Kingma & Dhariwal, NeurIPS 2018).

Parts of networks. What is transformed stays in float32 or float64 whatever the autocast, and so do log-determinants;
only the networks inside of a coupling follow it. Each layer's `forward` goes from the image to the latent numbers.
"""

from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from limpid.networks.channels_last import GlobalAvgPool

_LOG_TWO_PI = math.log(2 * math.pi)
_LEAST_DEVIATION = 1e-6  #: of a channel that is normalised
_LEAST_SCALE = 1e-4  #: of a coupling, which could not be inverted with 0
_LOGS_FACTOR = 3.0  #: a learnt scale is exp(3 logs), so that it learns faster


class ActNorm(nn.Module):
    """``(x + b) exp(s)`` by channel (Glow, section 3.1); 2 parameters for each channel.

    Where `initialising` is set, the next batch decides both numbers: what comes out of it has mean 0 and deviation 1 in
    each channel; one that has no deviation keeps its scale. Of several processes the batches count together, so that
    all get the same numbers.

    Args:
        channels: in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.logs = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.initialising = False

    def forward(self, x: Tensor) -> Tensor:
        """`x` `(N, channels, H, W)`, normalised."""
        if self.initialising:
            self.initialise(x)
        return (x + self.bias) * self.logs.exp()

    def inverse(self, x: Tensor) -> Tensor:
        """What `forward` gave `x` for."""
        return x * (-self.logs).exp() - self.bias

    def log_determinant(self, x: Tensor) -> Tensor:
        """Of `forward` at any image of the size of `x` `(N, channels, H, W)`."""
        return self.logs.sum() * (x.shape[-2] * x.shape[-1])

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Take both numbers from the images `x` `(N, channels, H, W)` of all processes."""
        values = x.detach().to(torch.promote_types(x.dtype, torch.float32))
        count = _over_all(torch.tensor(float(values.numel() // values.shape[1]), device=x.device))
        mean = _over_all(values.sum((0, 2, 3), keepdim=True)) / count
        variance = _over_all((values - mean).square().sum((0, 2, 3), keepdim=True)) / count
        self.bias.copy_(-mean)
        deviation = variance.sqrt() + _LEAST_DEVIATION
        # What is the same everywhere, such as the one pixel of an image of 8x8, would be made a million times as large.
        self.logs.copy_(torch.where(deviation < 2 * _LEAST_DEVIATION, 0.0, -deviation.log()))


def _over_all(value: Tensor) -> Tensor:
    """The sum of `value` over all processes."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value)
    return value


class InvertibleConv(nn.Module):
    """A 1x1 convolution without a bias that starts as a random rotation (Glow, section 3.2).

    Args:
        channels: in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        self.weight = nn.Parameter(rotation)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the channels of `x` `(N, channels, H, W)`."""
        return _mixed(x, self.weight)

    def inverse(self, x: Tensor) -> Tensor:
        """What `forward` gave `x` for. The matrix is inverted in float64, in each pass anew: it is small."""
        return _mixed(x, torch.linalg.inv(self.weight.double()))

    def log_determinant(self, x: Tensor) -> Tensor:
        """Of `forward` at any image of the size of `x` `(N, channels, H, W)`."""
        logarithm = torch.linalg.slogdet(self.weight.double()).logabsdet
        return logarithm.to(x.dtype) * (x.shape[-2] * x.shape[-1])


def _mixed(x: Tensor, weight: Tensor) -> Tensor:
    with _exactly(x):
        return F.conv2d(x, weight.to(x.dtype)[:, :, None, None])


def _exactly(x: Tensor) -> contextlib.AbstractContextManager[object]:
    """Inside there is no autocast on the device of `x`."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else contextlib.nullcontext()


class ZeroConv(nn.Module):
    """A 3x3 convolution times ``exp(3 logs)`` by channel, all of which start at 0 (Glow, section 3.3).

    Args:
        channels_in: of what goes in.
        channels_out: of what comes out.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.logs = nn.Parameter(torch.zeros(channels_out, 1, 1))
        nn.init.zeros_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """`(N, channels_out, H, W)` of `x` `(N, channels_in, H, W)`."""
        found: Tensor = self.conv(x)
        return found * (_LOGS_FACTOR * self.logs).exp()


class GlobalMaxPool(nn.Module):
    """The greatest value of each channel over the image."""

    pools_over_image = True  # `limpid.inference` shares its output between tiles

    def forward(self, features: Tensor) -> Tensor:
        """`(N, C, 1, 1)` from `features` `(N, C, H, W)`."""
        return features.amax((2, 3), keepdim=True)


class ConvAttention(nn.Module):
    """CBAM (Woo et al., ECCV 2018): channels are weighed, then pixels, and what went in is added.

    Args:
        channels: in and out.
        narrow: channels between the two layers that weigh channels.
    """

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.average, self.greatest = GlobalAvgPool(), GlobalMaxPool()
        self.channels = nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.ReLU(), nn.Conv2d(narrow, channels, 1))
        self.pixels = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` `(N, channels, H, W)`, weighed, and itself."""
        weights = self.channels(self.average(x)) + self.channels(self.greatest(x))
        y = x * weights.sigmoid()
        extremes = torch.cat([y.amax(1, keepdim=True), y.mean(1, keepdim=True)], 1)
        return y * self.pixels(extremes).sigmoid() + x


class CouplingNet(nn.Module):
    """What a coupling learns its shifts and scales with: 3x3, 1x1, attention, and a `ZeroConv`.

    Args:
        channels_in: of what goes in.
        channels_out: of what comes out.
        hidden: channels in between.
        narrow: see `ConvAttention`.
        weight_std: deviation of the initial weights of the first two convolutions.
    """

    def __init__(self, channels_in: int, channels_out: int, hidden: int, narrow: int, weight_std: float) -> None:
        super().__init__()
        wide = nn.Conv2d(channels_in, hidden, 3, padding=1, bias=False)
        pointwise = nn.Conv2d(hidden, hidden, 1, bias=False)
        for convolution in (wide, pointwise):
            nn.init.normal_(convolution.weight, 0.0, weight_std)
        first = [wide, ActNorm(hidden), nn.ReLU()]
        second = [pointwise, ActNorm(hidden), nn.ReLU()]
        self.body = nn.Sequential(*first, *second, ConvAttention(hidden, narrow), ZeroConv(hidden, channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """`(N, channels_out, H, W)` of `x` `(N, channels_in, H, W)`."""
        found: Tensor = self.body(x)
        return found


class ConditionalCoupling(nn.Module):
    """``(z + shift) scale`` twice: of all channels by the condition, then of the second half by it and the first half.

    SRFlow (Lugmayr et al., ECCV 2020, section 3.3). A scale is ``sigmoid(s + 2) + 1e-4``.

    Args:
        channels: of what is transformed, an even number.
        condition: channels of the condition.
        hidden: see `CouplingNet`.
        narrow: likewise.
        weight_std: likewise.
    """

    def __init__(self, channels: int, condition: int, hidden: int, narrow: int, weight_std: float) -> None:
        super().__init__()
        sizes = (hidden, narrow, weight_std)
        self.by_condition = CouplingNet(condition, 2 * channels, *sizes)
        self.by_half = CouplingNet(channels // 2 + condition, channels, *sizes)

    def forward(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """`z` `(N, channels, H, W)`, transformed, and the log-determinant of each image, `(N,)`."""
        shift, scale = _shift_and_scale(self.by_condition(condition), z)
        first, second = ((z + shift) * scale).chunk(2, 1)
        half_shift, half_scale = _shift_and_scale(self.by_half(_with(first, condition)), z)
        logarithm = scale.log().sum((1, 2, 3)) + half_scale.log().sum((1, 2, 3))
        return torch.cat([first, (second + half_shift) * half_scale], 1), logarithm

    def inverse(self, z: Tensor, condition: Tensor) -> Tensor:
        """What `forward` gave `z` for."""
        first, second = z.chunk(2, 1)
        half_shift, half_scale = _shift_and_scale(self.by_half(_with(first, condition)), z)
        whole = torch.cat([first, second / half_scale - half_shift], 1)
        shift, scale = _shift_and_scale(self.by_condition(condition), z)
        return whole / scale - shift


def _with(half: Tensor, condition: Tensor) -> Tensor:
    return torch.cat([half.to(condition.dtype), condition], 1)


def _shift_and_scale(found: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and scale of `z`, which stand in turns in the channels that a network has `found`."""
    exact = found.to(z.dtype)
    return exact[:, 0::2], (exact[:, 1::2] + 2).sigmoid() + _LEAST_SCALE


class FlowStep(nn.Module):
    """An `ActNorm`, an `InvertibleConv`, and a coupling where there is one.

    Args:
        channels: in and out.
        coupling: the last layer; None leaves it out.
    """

    def __init__(self, channels: int, coupling: ConditionalCoupling | None = None) -> None:
        super().__init__()
        self.norm = ActNorm(channels)
        self.mix = InvertibleConv(channels)
        self.coupling = coupling

    def forward(self, z: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """`z` `(N, channels, H, W)`, transformed, and the log-determinant of each image, `(N,)`."""
        logarithm = self.norm.log_determinant(z) + self.mix.log_determinant(z)
        z = self.mix(self.norm(z))
        if self.coupling is None:
            return z, logarithm.expand(len(z))
        z, more = self.coupling(z, condition)
        return z, logarithm + more

    def inverse(self, z: Tensor, condition: Tensor) -> Tensor:
        """What `forward` gave `z` for."""
        if self.coupling is not None:
            z = self.coupling.inverse(z, condition)
        return self.norm.inverse(self.mix.inverse(z))


class Split(nn.Module):
    """Takes half of the channels out of a flow: normal numbers whose mean and deviation the other half tells.

    Args:
        channels: of what is divided, an even number.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ZeroConv(channels // 2, channels)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The half that goes on, `(N, channels / 2, H, W)`; the other, standardised; and its log-likelihood, `(N,)`."""
        kept, left = z.chunk(2, 1)
        mean, logs = self._normal(kept)
        standard = (left - mean) * (-logs).exp()
        return kept, standard, log_normal(standard) - logs.sum((1, 2, 3))

    def inverse(self, kept: Tensor, standard: Tensor | None) -> Tensor:
        """Both halves of `kept`, and of the other as `forward` standardised it; None stands for zeros, its mean."""
        mean, logs = self._normal(kept)
        left = mean if standard is None else mean + logs.exp() * standard
        return torch.cat([kept, left], 1)

    def _normal(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        found = self.conv(kept).to(kept.dtype)
        return found[:, 0::2], found[:, 1::2]


def log_normal(z: Tensor) -> Tensor:
    """The log-likelihood of each of `z` `(N, C, H, W)` under standard normal numbers, `(N,)`."""
    return -0.5 * (z.square() + _LOG_TWO_PI).sum((1, 2, 3))
