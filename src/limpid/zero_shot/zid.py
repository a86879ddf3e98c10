"""ZID: one hazy image is taken apart into its scene, its transmission and its airlight by networks that know no other.

Li, Gou, Gu, Liu, Zhou & Peng, "Zero-shot image dehazing", IEEE TIP 29, 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.inference.carried import ROWS, enlarged_rows
from limpid.networks.zid import Layers, ZIDNets
from limpid.priors.airlight import brightest_of_haziest
from limpid.priors.base import Estimate
from limpid.priors.filters import colour_guided_coefficients
from limpid.ranges import (
    Channels,
    NonNegativeFloat,
    Pixels,
    PixelsOrNone,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Seed,
)
from limpid.zero_shot.base import LearnsOnEachImage, Objective


class ZID(LearnsOnEachImage[ZIDNets, Layers]):
    """Three networks that learn on each image for so many steps; the last step's result is taken.

    The scene that its network draws is not the result: the haze model is solved for it, with the refined transmission.

    Args:
        steps: on each image.
        lr: learning rate of Adam.
        megapixels: an image with more is reduced to so many to be learnt on; transmission and airlight are carried to
            its full size. Ours: above the 460 x 620 pixels of RESIDE, and small enough for 2 GB.
        code: length of the airlight's code.
        unused_decoder: count the decoder too that the released code has and never calls.
        transmission_blur: weight of the blur of the transmission.
        airlight_blur: weight of the blur of the airlight.
        blur_window: side in pixels of the window whose mean a blurred map has in its middle.
        dark_patch: side of the dark channel's patch for the first guess of the airlight, in pixels, odd.
        airlight_share: share of the pixels of the largest dark channel, whose largest values are that guess.
        guided_radius: of the guided filter of the transmission, in pixels.
        guided_epsilon: its flatness.
        transmission_floor: the least transmission divided by.
        seed: of the networks' first weights and of the code's noise.
    """

    MULTIPLE = 32
    LEAST = 64
    LIMITS = "It learns on each image anew, minutes long, and another seed gives another result."

    def __init__(
        self,
        steps: PositiveInt = 500,
        lr: PositiveFloat = 1e-3,
        megapixels: PositiveFloat = 0.3,
        code: Channels = 100,
        unused_decoder: bool = True,
        transmission_blur: NonNegativeFloat = 0.005,
        airlight_blur: NonNegativeFloat = 0.1,
        blur_window: Pixels = 5,
        dark_patch: Pixels = 15,
        airlight_share: PositiveShare = 1e-4,
        guided_radius: PixelsOrNone = 50,
        guided_epsilon: PositiveFloat = 1e-4,
        transmission_floor: PositiveShare = 0.1,
        seed: Seed = 0,
    ) -> None:
        super().__init__(steps, lr, megapixels, seed)
        self.code, self.unused_decoder = code, unused_decoder
        self.transmission_blur, self.airlight_blur = transmission_blur, airlight_blur
        self.blur_window = blur_window
        self.dark_patch, self.airlight_share = dark_patch, airlight_share
        self.guided_radius, self.guided_epsilon = guided_radius, guided_epsilon
        self.transmission_floor = transmission_floor

    def make(self, height: int, width: int) -> ZIDNets:
        """The three networks for an image of this size."""
        return ZIDNets(height, width, self.code, self.unused_decoder)

    def objective(self, image: Tensor) -> Objective[ZIDNets]:
        """The loss of the three networks on `image` `(1, 3, H, W)` in [0, 1], without its constant -0.05."""
        guess = brightest_of_haziest(image[0], self.dark_patch, self.airlight_share).view(1, 3, 1, 1)

        def loss(nets: ZIDNets, generator: torch.Generator) -> Tensor:
            scene, transmission, airlight, mean, log_variance = nets(image, self._noise(generator))
            hazy = transmission * scene + (1 - transmission) * airlight
            divergence = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum()
            total = F.mse_loss(hazy, image) + divergence + scene.amin(1).square().mean()
            total = total + self.transmission_blur * blur(transmission, self.blur_window)
            total = total + self.airlight_blur * blur(airlight, self.blur_window)
            return total + (airlight - guess).square().mean()

        return loss

    def found_by(self, nets: ZIDNets, image: Tensor) -> Layers:
        """The layers of the `image` that the networks have learnt on, `(1, 3, h, w)`."""
        layers: Layers = nets(image, self._noise(torch.Generator(image.device).manual_seed(self.seed)))
        return layers

    def estimate_with(self, found: Layers, small: Tensor, image: Tensor) -> Estimate:
        """See `LearnsOnEachImage`; the airlight is the mean colour of its map, the depth is ``-log t``."""
        rough, airlight = (self.spread(part, small.shape[-2:]) for part in (found.transmission, found.airlight))
        slope, offset = colour_guided_coefficients(small[0], rough[0], self.guided_radius, self.guided_epsilon)
        restored, transmission = torch.empty_like(image), torch.empty_like(image[:, :1])
        for top in range(0, image.shape[-2], ROWS):
            rows = slice(top, min(top + ROWS, image.shape[-2]))
            part = image[..., rows, :]
            a, b = (enlarged_rows(plane[None], rows, image.shape) for plane in (slope, offset))
            colour = enlarged_rows(airlight, rows, image.shape)
            t = ((a * part).sum(1, keepdim=True) + b).clamp(self.transmission_floor, 1)
            transmission[..., rows, :] = t
            restored[..., rows, :] = ((part - (1 - t) * colour) / t).clamp(0, 1)
        return Estimate(restored[0], -transmission[0].log(), transmission[0], airlight.mean((0, 2, 3)))

    def _noise(self, generator: torch.Generator) -> Tensor:
        return torch.randn(1, self.code, generator=generator, device=generator.device)


def blur(x: Tensor, window: int) -> Tensor:
    """The mean squared difference of `x` `(N, C, H, W)`, its channels averaged, to its mean over the window around it.

    Pixels count whose window lies inside.
    """
    grey = x.mean(1, keepdim=True)
    margin = window // 2
    middle = grey[..., margin : grey.shape[-2] - margin, margin : grey.shape[-1] - margin]
    return (middle - F.avg_pool2d(grey, window, stride=1)).square().mean()
