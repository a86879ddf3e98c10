"""RefineDNet: the dark channel prior, and two networks that refine what it finds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.networks.guided_filter import guided_filter
from limpid.networks.padding import any_size, pad_to_multiple
from limpid.networks.patchgan import gaussian_weights
from limpid.networks.perceptual_fusion import fused
from limpid.networks.resnet_generator import ResnetGenerator
from limpid.ranges import Channels, Layers, NonNegativeFloat, Pixels, PixelsOrNone, PositiveFloat, PositiveShare, Share

#: Luma of R, G, B, what grey means here.
LUMA = (0.2989, 0.587, 0.114)


class Refined(NamedTuple):
    """What RefineDNet finds in hazy images.

    Attributes:
        restored: in evaluation `recovered` and `refined` fused, in training `refined`; `(N, 3, H, W)` in [0, 1].
        refined: the prior's image, refined; likewise.
        recovered: the image that the refined transmission gives; likewise.
        reapplied: the hazy image that `refined` and the transmission give, `(N, 3, H, W)`, not clamped.
        transmission: the refined transmission, smoothed, `(N, 1, H, W)`.
        raw_transmission: the same before it is smoothed, in [0, 1].
        airlight: `(N, 3)` in [0, 1].
    """

    restored: Tensor
    refined: Tensor
    recovered: Tensor
    reapplied: Tensor
    transmission: Tensor
    raw_transmission: Tensor
    airlight: Tensor


class DarkestAirlight(nn.Module):
    """The mean colour of the pixels whose dark channel is highest: what the prior takes for the airlight.

    Args:
        share: of the pixels.
    """

    pools_over_image = True  # `limpid.inference` shares its output between tiles

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, image: Tensor, dark: Tensor) -> Tensor:
        """`(N, 3, 1, 1)` from `image` `(N, 3, H, W)` and its dark channel `(N, 1, H, W)`."""
        flat, pixels = dark.flatten(1), dark.shape[-2] * dark.shape[-1]
        if any_size(dark):  # the number of pixels is a symbol, which knows no fractions
            count = torch.sym_max(pixels // round(1 / self.share), 1)
        else:
            count = max(int(self.share * pixels), 1)
        least = flat.sort(dim=1, descending=True).values[:, count - 1 : count]
        above, level = (flat > least).to(image.dtype), (flat == least).to(image.dtype)
        # A minimum over windows gives many pixels one value: of those at the last place each has its part.
        part = (count - above.sum(1, keepdim=True)) / level.sum(1, keepdim=True)
        weights = (above + part * level) / count
        return (image.flatten(2) * weights.unsqueeze(1)).sum(2)[:, :, None, None]


class TransmissionUNet(nn.Module):
    """The transmission's refiner, a U-Net that halves its image `levels` times: 54,406,529 parameters.

    Args:
        channels: of the first level; they double up to eight times as many.
        levels: how often the image is halved.
    """

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        widths = [channels * min(2**i, 8) for i in range(levels)]
        ins, outs = [4, *widths[:-1]], [1, *widths[:-1]]
        self.down = nn.ModuleList([nn.Conv2d(i, o, 4, 2, 1) for i, o in zip(ins, widths, strict=True)])
        doubled = [2 * width for width in widths[:-1]] + [widths[-1]]
        self.up = nn.ModuleList([nn.ConvTranspose2d(i, o, 4, 2, 1) for i, o in zip(doubled, outs, strict=True)])
        self.norms = nn.ModuleList([nn.InstanceNorm2d(width) for width in [*widths[1:-1], *reversed(widths[:-1])]])

    def forward(self, x: Tensor) -> Tensor:
        """`(N, 1, H, W)` in [-1, 1] from `x` `(N, 4, H, W)`, sides of ``2 ** levels`` or more."""
        norms = iter(self.norms)
        skips = [self.down[0](x)]
        for down in self.down[1:]:
            features = down(F.leaky_relu(skips[-1], 0.2))
            skips.append(features if down is self.down[-1] else next(norms)(features))
        features = skips.pop()
        for up in reversed(self.up[1:]):
            features = next(norms)(up(features.relu()))
            skip = skips.pop()
            if any_size(skip) or features.shape[-2:] != skip.shape[-2:]:  # of a side that was odd
                features = F.interpolate(features, skip.shape[-2:], mode="nearest")
            features = torch.cat([skip, features], 1)
        image: Tensor = self.up[0](features.relu()).tanh()
        return image


class RefineDNet(nn.Module):
    """RefineDNet (Zhao et al., TIP 2021): 65,794,116 parameters.

    The dark channel prior gives a transmission and an image (section III-A); a U-Net refines the one, CycleGAN's
    generator the other (III-B); in evaluation the image of the refined transmission and the refined image are fused
    (III-D). Images are padded to multiples of 4, and to ``2 ** levels``, inside.

    Args:
        channels: of the first layer of both refiners.
        levels: how often the transmission's refiner halves its image.
        blocks: residual blocks of the image's refiner.
        patch: side of the dark channel's window, in pixels.
        omega: share of the haze that the prior takes away.
        airlight_share: share of the pixels of which the airlight is the mean.
        prior_radius: of the guided filter that smooths the prior's transmission.
        refined_radius: of that which smooths the refined one.
        guided_epsilon: variance of grey below which either calls a window flat.
        transmission_floor: the least transmission that is divided by.
        weight_std: deviation of the initial weights.

    Raises:
        UserError: there are fewer than three levels.
    """

    largest_megapixels = 0.5  # in one pass: the refiners hold about a gigabyte for each megapixel

    def __init__(
        self,
        channels: Channels = 64,
        levels: Layers = 8,
        blocks: Layers = 9,
        patch: Pixels = 5,
        omega: Share = 0.95,
        airlight_share: PositiveShare = 0.01,
        prior_radius: PixelsOrNone = 15,
        refined_radius: PixelsOrNone = 10,
        guided_epsilon: PositiveFloat = 1e-3,
        transmission_floor: PositiveShare = 0.01,
        weight_std: NonNegativeFloat = 0.02,
    ) -> None:
        super().__init__()
        if levels < 3:
            raise UserError(f"network.levels is {levels}, but the transmission's refiner has at least 3.")
        self.airlight = DarkestAirlight(airlight_share)
        self.transmission_refiner = TransmissionUNet(channels, levels)
        self.image_refiner = ResnetGenerator(6, 3, channels, halvings=2, blocks=blocks)
        self.patch, self.omega = patch, omega
        self.prior_radius, self.refined_radius = prior_radius, refined_radius
        self.guided_epsilon = guided_epsilon
        self.transmission_floor = transmission_floor
        self.smallest = 2**levels
        gaussian_weights(self, weight_std)

    def forward(self, x: Tensor) -> Refined:
        """What is found in `x`, `(N, 3, H, W)` in [0, 1]; all images in the same shape."""
        height, width = x.shape[-2:]
        prior, airlight, prior_transmission = self.dark_channel_prior(x)
        padded = pad_to_multiple(torch.cat([x, prior, prior_transmission], 1), 4, least=self.smallest)
        hazy, prior, prior_transmission = padded.split([3, 3, 1], 1)
        raw = self.transmission_refiner(torch.cat([2 * hazy - 1, prior_transmission], 1))
        refined = self.image_refiner(torch.cat([2 * hazy - 1, 2 * prior - 1], 1))
        with torch.autocast(x.device.type, enabled=False):  # variances and quotients need float32
            raw = (raw[..., :height, :width].float() + 1) / 2
            refined = refined[..., :height, :width].float()
            transmission = guided_filter(grey(x), raw, self.refined_radius, self.guided_epsilon)
            # In the haze model images are in [-1, 1] and the airlight is in [0, 1]: so the release computes.
            inverted = (2 * x - 1 - airlight) / transmission.clamp(self.transmission_floor, 1.0) + airlight
            recovered = (inverted.clamp(-1, 1) + 1) / 2
            reapplied = (refined * transmission + airlight * (1 - transmission) + 1) / 2
            refined = (refined + 1) / 2
            restored = refined if self.training else fused(x, recovered, refined)
        return Refined(restored, refined, recovered, reapplied, transmission, raw, airlight.flatten(1))

    def estimate(self, x: Tensor) -> Refined:
        """The same as `forward`: what is shown of an image besides its restoration."""
        return self(x)

    def refine(self, x: Tensor, prior: Tensor) -> Tensor:
        """The image refiner's output `(N, 3, H, W)` in [0, 1] for `x` and another image in the prior's place."""
        height, width = x.shape[-2:]
        padded = pad_to_multiple(torch.cat([x, prior], 1), 4, least=self.smallest)
        refined: Tensor = (self.image_refiner(2 * padded - 1) + 1) / 2
        return refined[..., :height, :width]

    def dark_channel_prior(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The prior's image, airlight and transmission of `x`, `(N, 3, H, W)`, `(N, 3, 1, 1)` and `(N, 1, H, W)`."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            airlight = self.airlight(x, dark_channel(x, self.patch)).clamp(min=1e-4)  # an image may be black
            raw = 1 - self.omega * dark_channel(x / airlight, self.patch)
            transmission = guided_filter(grey(x), raw, self.prior_radius, self.guided_epsilon)
            image = ((x - airlight) / transmission + airlight).clamp(0, 1)
            return image.nan_to_num(0.0), airlight, transmission


def grey(image: Tensor) -> Tensor:
    """The grey image `(N, 1, H, W)` of `image` `(N, 3, H, W)`."""
    return (image * image.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)


def dark_channel(image: Tensor, patch: int) -> Tensor:
    """The least value of any colour in the window around each pixel, `(N, 1, H, W)`; beyond the border values are 1."""
    darkest = image.amin(1, keepdim=True)
    around = F.pad(darkest, (patch // 2,) * 4, value=1.0)
    return -F.max_pool2d(-around, patch, stride=1)
