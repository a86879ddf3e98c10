"""AOSR-Net: an encoder-decoder estimates the integrated variable Phi, and the clear image is Phi (I - alpha) + beta."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from limpid.networks.padding import pad_to_multiple
from limpid.ranges import Channels, FiniteFloat, Layers, PositiveFloat


class AOSROutput(NamedTuple):
    """What `AOSRNet` returns.

    Attributes:
        phi: the integrated variable, `(N, 3, H, W)`, between 0 and 1 / (alpha - 1) where it is right.
        restored: the image, `(N, 3, H, W)`, not clamped.
    """

    phi: Tensor
    restored: Tensor


def post_restoring(phi: Tensor, degraded: Tensor, control_alpha: float = 1.6, control_beta: float = 1.0) -> Tensor:
    """The clear image ``J = Phi (I - alpha) + beta`` (AOSR-Net, equation 5); it has no parameters.

    Args:
        phi: the integrated variable.
        degraded: the sandstorm image I in [0, 1].
        control_alpha: the control coefficient alpha. Above 1 it keeps I - alpha away from 0.
        control_beta: the control coefficient beta, which is not the attenuation coefficient of the same letter.
    """
    return phi * (degraded - control_alpha) + control_beta


def integrated_variable(
    clear: Tensor, degraded: Tensor, control_alpha: float = 1.6, control_beta: float = 1.0
) -> Tensor:
    """The Phi that restores `clear` from `degraded` exactly: ``(J - beta) / (I - alpha)``, equation 5 solved for Phi.

    With beta = 1 equation 6 of the paper is the same expression: airlight and transmission cancel. But the
    scattering model leaves [0, 1], and equation 6 knows nothing of the clipped image that a network sees; this does.
    With alpha = 1.6 and beta = 1, Phi is in [0, 5/3].

    Args:
        clear: J in [0, 1].
        degraded: I, clipped to [0, 1] here.
        control_alpha: as in `post_restoring`.
        control_beta: as in `post_restoring`.
    """
    return (clear - control_beta) / (degraded.clamp(0.0, 1.0) - control_alpha)


class Mixup(nn.Module):
    """``sigmoid(xi) * shallow + (1 - sigmoid(xi)) * deep`` with a learnable xi (equation 7).

    Args:
        initial: xi at first.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(initial)))

    def forward(self, shallow: Tensor, deep: Tensor) -> Tensor:
        """Mix two tensors of one shape."""
        return torch.lerp(deep, shallow, self.factor.sigmoid().to(deep.dtype))


class PReLUBlock(nn.Module):
    """conv, PReLU, conv, skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.PReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Refine `features` `(N, C, H, W)`."""
        refined: Tensor = self.conv2(self.activation(self.conv1(features))) + features
        return refined


class AOSRNet(nn.Module):
    """All-in-one sandstorm removal network (Si et al., 2023, section II).

    Four convolutions, two deconvolutions, a PReLU after each, three residual blocks in between, and two learnable
    mixups. The paper prints kernels and widths nowhere; these are those of AECR-Net, whose skeleton it follows. With
    64, 32 and 16 channels it has 4,297,230, 1,079,566 and 272,526 parameters.

    Args:
        channels: of the first convolution; the deeper ones have twice and four times as many.
        blocks: residual blocks in the latent space.
        mixup: the first values of the two mixups' factors, the deeper one's first; null for an arm without mixup, in
            which the deep features go on alone.
        control_alpha: alpha of equation 5.
        control_beta: beta of equation 5.
        estimates: ``phi``, as the paper; or ``restored`` for an arm whose last convolution gives the image itself (Phi
            then follows from it).

    Raises:
        ValueError: `estimates` is neither, or `mixup` has not two values.
    """

    def __init__(
        self,
        channels: Channels = 64,
        blocks: Layers = 3,
        mixup: Sequence[FiniteFloat] | None = (-1.0, -0.6),
        control_alpha: PositiveFloat = 1.6,
        control_beta: FiniteFloat = 1.0,
        estimates: str = "phi",
    ) -> None:
        super().__init__()
        if estimates not in ("phi", "restored"):
            raise ValueError(f"estimates is {estimates!r}, but it must be phi or restored.")
        if mixup is not None and len(mixup) != 2:
            raise ValueError(f"mixup is {list(mixup)}, but it must be two numbers or null.")
        self.control_alpha = control_alpha
        self.control_beta = control_beta
        self.estimates = estimates
        c1 = channels
        c2 = 2 * channels
        c3 = 4 * channels
        self.down1 = nn.Sequential(nn.Conv2d(3, c1, 7, padding=3, padding_mode="reflect"), nn.PReLU())
        self.down2 = nn.Sequential(nn.Conv2d(c1, c2, 3, stride=2, padding=1), nn.PReLU())
        self.down3 = nn.Sequential(nn.Conv2d(c2, c3, 3, stride=2, padding=1), nn.PReLU())
        self.blocks = nn.Sequential(*[PReLUBlock(c3) for _ in range(blocks)])
        self.up1 = nn.Sequential(nn.ConvTranspose2d(c3, c2, 3, stride=2, padding=1, output_padding=1), nn.PReLU())
        self.up2 = nn.Sequential(nn.ConvTranspose2d(c2, c1, 3, stride=2, padding=1, output_padding=1), nn.PReLU())
        self.tail = nn.Sequential(nn.Conv2d(c1, 3, 7, padding=3, padding_mode="reflect"), nn.PReLU())
        self.mixups = nn.ModuleList(Mixup(value) for value in mixup or ())

    def forward(self, x: Tensor) -> AOSROutput:
        """Phi and the restored image of `x` `(N, 3, H, W)` in [0, 1]."""
        height, width = x.shape[-2:]
        half = self.down2(self.down1(pad_to_multiple(x, 4)))
        quarter = self.down3(half)
        latent = self.blocks(quarter)
        if self.mixups:
            latent = self.mixups[0](quarter, latent)
        deep = self.up1(latent)
        if self.mixups:
            deep = self.mixups[1](half, deep)
        estimate: Tensor = self.tail(self.up2(deep))[..., :height, :width]
        if self.estimates == "phi":
            return AOSROutput(estimate, post_restoring(estimate, x, self.control_alpha, self.control_beta))
        return AOSROutput(integrated_variable(estimate, x, self.control_alpha, self.control_beta), estimate)
