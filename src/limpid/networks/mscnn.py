"""MSCNN: a coarse and a fine network of three layers estimate the transmission, and the haze model is inverted."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.networks.guided_filter import guided_filter
from limpid.networks.padding import any_size, pad_to_multiple
from limpid.ranges import NonNegativeFloat, Pixels, PositiveFloat, PositiveShare

FORMS = ("port", "official")
#: Grey of R, G, B as MATLAB's rgb2gray has it; of the airlight, as the release has it.
_GREY, _GREY_OF_AIRLIGHT = (0.2989, 0.5870, 0.1140), (0.299, 0.587, 0.114)
#: Rows of a strip, and how many around it a network sees: more than the 9 that it looks. Both are even.
_STRIP, _AROUND = 512, 16


class MSCNNOutput(NamedTuple):
    """What MSCNN finds in hazy images.

    Attributes:
        restored: the clear image, `(N, 3, H, W)`, not clamped.
        transmission: the share of the scene's light that reaches the camera, `(N, 1, H, W)`; in the official form
            refined, but in training as the fine network gives it.
        coarse: the coarse network's, `(N, 1, H, W)`.
        airlight: the colour of the haze, `(N, 3)` in [0, 1].
    """

    restored: Tensor
    transmission: Tensor
    coarse: Tensor
    airlight: Tensor


class TransmissionNet(nn.Module):
    """Three stages at half the size, each a convolution and a maximum of 2 x 2 pixels, enlarged again; then a sum.

    Args:
        kernels: sides of the filters.
        channels: of the stages.
        joined: channels that come to those of the first stage.
        official: with ReLU before each maximum, and local response normalisation after the first two stages.
    """

    def __init__(
        self, kernels: tuple[int, int, int], channels: tuple[int, int, int], joined: int = 0, official: bool = False
    ) -> None:
        super().__init__()
        widths = (3, channels[0] + joined, channels[1])
        sizes = zip(widths, channels, kernels, strict=True)
        self.stages = nn.ModuleList([nn.Conv2d(i, o, k, padding=k // 2) for i, o, k in sizes])
        self.head = nn.Conv2d(channels[2], 1, 1)
        self.official = official

    def forward(self, x: Tensor, coarse: Tensor | None = None) -> Tensor:
        """The transmission `(N, 1, H, W)` of `x` `(N, 3, H, W)`; `coarse` comes before the first stage's features."""
        for number, layer in enumerate(self.stages):
            x = layer(x)
            x = F.relu(x) if self.official else x
            x = F.interpolate(F.max_pool2d(x, 2), scale_factor=2, mode="nearest")
            if self.official and number < 2:
                x = normalized(x)
            if number == 0 and coarse is not None:
                x = torch.cat([coarse, x], 1)
        return torch.sigmoid(self.head(x))


class MSCNN(nn.Module):
    """MSCNN (Ren et al., ECCV 2016), which learns transmissions.

    The port, of gUNet, has 8,014 parameters: the fine network sees the coarse one's transmission, the airlight is 1,
    and ``J = (I - 1) / t + 1``. The official form, 6,321 and 2,114, is the authors' release: the networks see the image
    divided by the airlight, the fine one without the coarse one's result (in the release that is handed over under a
    condition which is never met), and the transmission is refined by the guided filter on the grey image before the
    haze model is inverted. It needs the whole image.

    Beside the release, `coarse` and `fine` are its two files, `stages.0` to `.2` its layers 1, 6, 11, `head` its 15.

    Args:
        form: ``port`` or ``official``.
        dark_window: of the official form, as are the following: side of the window of the minimum whose largest values
            are the airlight.
        fidelity: 0.1 of the weight ``(b + 0.1 / t) / (b + 0.1)``, b the squared distance to the airlight in grey.
        guided_share: radius of the guided filter as a share of the shorter side.
        guided_epsilon: variance of the grey image below which the guided filter calls a window flat.
        transmission_range: to which the refined transmission is held.
        gamma: power of the transmission that is divided by; the authors set 0.8 to 1.5 by hand.

    Raises:
        ValueError: there is no such form.
    """

    def __init__(
        self,
        form: str = "port",
        dark_window: Pixels = 15,
        fidelity: NonNegativeFloat = 0.1,
        guided_share: PositiveShare = 0.125,
        guided_epsilon: PositiveFloat = 0.04,
        transmission_range: tuple[PositiveShare, PositiveShare] = (0.1, 0.9),
        gamma: PositiveFloat = 1.0,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"The form of MSCNN is {form!r}, but it must be one of {', '.join(FORMS)}.")
        self.official = form == "official"
        self.dark_window = dark_window
        self.fidelity, self.gamma = fidelity, gamma
        self.guided_share, self.guided_epsilon = guided_share, guided_epsilon
        self.transmission_range = tuple(transmission_range)
        self.coarse = TransmissionNet((11, 9, 7), (5, 5, 10), official=self.official)
        first = 6 if self.official else 4
        self.fine = TransmissionNet((7, 5, 3), (first, 5, 10), 0 if self.official else 1, self.official)

    @property
    def sees_whole_image(self) -> bool:
        """Whether an image is to come whole, however large: the official form looks for its airlight."""
        return self.official

    @property
    def no_graph(self) -> str | None:
        """Why it has no graph for images of every size, or None."""
        return "its official form takes a photograph strip by strip in a loop" if self.official else None

    def forward(self, x: Tensor) -> Tensor | MSCNNOutput:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], not clamped; in training with all that is found."""
        return self.estimate(x) if self.training else self.estimate(x).restored

    def estimate(self, x: Tensor) -> MSCNNOutput:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], and what else is found.

        Outside of training the coarse network of the official form is not asked; `coarse` is then the `transmission`.
        """
        return self._official(x) if self.official else self._port(x)

    def _port(self, x: Tensor) -> MSCNNOutput:
        height, width = x.shape[-2:]
        padded = pad_to_multiple(x, 32)
        coarse = self.coarse(padded)
        # The fine network learns after the coarse one, from what that found.
        transmission = self.fine(padded, coarse.detach())[..., :height, :width].float()
        restored = (x - 1) / transmission + 1
        return MSCNNOutput(restored, transmission, coarse[..., :height, :width], torch.ones_like(x[:, :, 0, 0]))

    def _official(self, x: Tensor) -> MSCNNOutput:
        with torch.autocast(x.device.type, enabled=False):
            image = x.float()
            airlight = brightest_minimum(image, self.dark_window)
            A = airlight[:, :, None, None]
            divisor = A.clamp(min=1 / 255)
        if self.training:
            coarse, found = (_full_size(net(x / divisor), x.shape[-2:]).float() for net in (self.coarse, self.fine))
            return MSCNNOutput((image - A) / found + A, found, coarse, airlight)
        with torch.autocast(x.device.type, enabled=False):
            # Pooling halves, so a side of one pixel would be none; a graph for any size is given none so small.
            two = image if any_size(image) else pad_to_multiple(image, 1, least=2)
            found = _full_size(_in_strips(lambda strip: self.fine(strip / divisor), two), two.shape[-2:])
            found = found[..., : x.shape[-2], : x.shape[-1]]
            transmission = self._refined(image, found, airlight)
            restored = (image - A).div_(transmission**self.gamma).add_(A)
        return MSCNNOutput(restored, transmission, transmission, airlight)

    def _refined(self, x: Tensor, transmission: Tensor, airlight: Tensor) -> Tensor:
        """The `transmission` `(N, 1, H, W)` smoothed along the edges of the grey image of `x`."""
        grey = (x * x.new_tensor(_GREY).view(3, 1, 1)).sum(1, keepdim=True)
        of_airlight = (airlight * airlight.new_tensor(_GREY_OF_AIRLIGHT)).sum(1).view(-1, 1, 1, 1)
        distance = (grey - of_airlight).square_()
        inverse = (distance + self.fidelity / transmission).div_(distance + self.fidelity)
        radius = int(min(x.shape[-2:]) * self.guided_share)
        low, high = self.transmission_range
        return (1 / guided_filter(grey, inverse, radius, self.guided_epsilon)).clamp(low, high)


def brightest_minimum(image: Tensor, window: int) -> Tensor:
    """`(N, C)`: of each channel of `image` `(N, C, H, W)` the largest minimum of a window, cut at the border."""
    found = []
    for channel in image.split(1, 1):
        rows = F.max_pool2d(-channel, (window, 1), stride=1, padding=(window // 2, 0))
        columns = F.max_pool2d(rows, (1, window), stride=1, padding=(0, window // 2))
        found.append(-columns.amin((2, 3)))
    return torch.cat(found, 1)


def normalized(x: Tensor) -> Tensor:
    """Local response normalisation over five channels (Krizhevsky et al., NeurIPS 2012), as MatConvNet has it."""
    return F.local_response_norm(x, size=5, alpha=1e-4, beta=0.75, k=1.0)


def _full_size(transmission: Tensor, size: torch.Size) -> Tensor:
    """The transmission at `size`, bicubic; a network gives even sides."""
    if transmission.shape[-2:] == size:
        return transmission
    return F.interpolate(transmission, size, mode="bicubic", antialias=True)


def _in_strips(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """What `network` gives of `x` `(N, 3, H, W)`, strip by strip: a photograph's features would take gigabytes."""
    height = x.shape[-2]
    strips = []
    for top in range(0, height - height % 2, _STRIP):
        first = max(0, top - _AROUND)
        found = network(x[..., first : top + _STRIP + _AROUND, :])
        strips.append(found[..., top - first : top - first + _STRIP, :])
    return torch.cat(strips, -2)
