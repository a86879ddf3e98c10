"""FDR-Net: features disentangled by divisive normalization, processed, and aggregated again, phase by phase."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from limpid.networks.ffa_net import ChannelAttention
from limpid.networks.gdn import GDN
from limpid.networks.residual import ResBlock
from limpid.ranges import Channels, Layers


class FDROutput(NamedTuple):
    """What `FDRNet` returns.

    Attributes:
        restored: the image `(N, 3, H, W)`, not clamped.
        features: the output `(N, C, H, W)` of every FD layer, phase by phase; none without FDM. The SVDO loss and
            the correlation "after FDM" (section 4.5 of the paper) are taken on these.
        entering: what enters each phase `(N, C, H, W)`, where the correlation "before FDM" is taken.
    """

    restored: Tensor
    features: tuple[Tensor, ...]
    entering: tuple[Tensor, ...]


class FDLayer(nn.Module):
    """Feature disentanglement: a convolution and gain control (equations 3 and 4)."""

    def __init__(self, channels: int, use_gdn: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = GDN(channels) if use_gdn else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Disentangle `features` `(N, C, H, W)`."""
        disentangled: Tensor = self.norm(self.conv(features))
        return disentangled


class FALayer(nn.Module):
    """Feature aggregation: the inverse gain control (equation 7) and a convolution."""

    def __init__(self, channels: int, use_gdn: bool) -> None:
        super().__init__()
        self.norm = GDN(channels, inverse=True) if use_gdn else nn.Identity()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """Aggregate `features` `(N, C, H, W)`."""
        aggregated: Tensor = self.conv(self.norm(features))
        return aggregated


class DisentangledBranch(nn.Module):
    """The lower branch of a phase: FD layers, the process module with channel attention (equation 6), FA layers.

    The output of FD layer i is added to the input of FA layer ``fd_layers + 1 - i``, which inverts it. Without FDM
    the 2 * `fd_layers` convolutions are as many residual blocks as there were FD layers, half of them (rounded up)
    before the process module and the others after it, and nothing is skipped or returned.
    """

    def __init__(
        self, channels: int, fd_layers: int, pm_blocks: int, reduction: int, use_fdm: bool, use_gdn: bool
    ) -> None:
        super().__init__()
        self.use_fdm = use_fdm
        if use_fdm:
            self.fdm = nn.ModuleList(FDLayer(channels, use_gdn) for _ in range(fd_layers))
            self.fam = nn.ModuleList(FALayer(channels, use_gdn) for _ in range(fd_layers))
        else:
            self.fdm = nn.ModuleList(ResBlock(channels) for _ in range((fd_layers + 1) // 2))
            self.fam = nn.ModuleList(ResBlock(channels) for _ in range(fd_layers // 2))
        self.process = nn.Sequential(*[ResBlock(channels) for _ in range(pm_blocks)])
        self.attention = ChannelAttention(channels, reduction)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The restored features `(N, C, H, W)`, and the disentangled ones, one per FD layer."""
        disentangled: list[Tensor] = []
        for layer in self.fdm:
            x = layer(x)
            if self.use_fdm:
                disentangled.append(x)
        x = self.attention(self.process(x))
        for i, layer in enumerate(self.fam):
            x = layer(x + disentangled[-1 - i] if self.use_fdm else x)
        return x, disentangled


class AuxiliaryBranch(nn.Module):
    """The upper branch of a phase (section 3.4), and the fusion of both by channel attention and a convolution."""

    def __init__(self, channels: int, blocks: int, reduction: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*[ResBlock(channels) for _ in range(blocks)])
        self.attention = ChannelAttention(2 * channels, reduction)
        self.conv = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def forward(self, x: Tensor, lower: Tensor) -> Tensor:
        """Fuse what the blocks make of the phase's input `x` with the `lower` branch's output, all `(N, C, H, W)`."""
        fused: Tensor = self.conv(self.attention(torch.cat([lower, self.blocks(x)], 1)))
        return fused


class Phase(nn.Module):
    """One phase: the disentangled branch, the auxiliary branch, and a dual residual connection to its neighbours.

    Two streams run through the phases: ``r <- relu(T1 y + r)`` and ``x <- relu(T2 r + x)``, where y is what the
    branches make of x (dual residual connections: Liu et al., CVPR 2019).
    """

    def __init__(self, branch: DisentangledBranch, auxiliary: AuxiliaryBranch | None, channels: int) -> None:
        super().__init__()
        self.branch = branch
        self.auxiliary = auxiliary
        self.transfer1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.transfer2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, residual: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The two streams after this phase, each `(N, C, H, W)`, and the features of its FD layers."""
        y, disentangled = self.branch(x)
        if self.auxiliary is not None:
            y = self.auxiliary(x, y)
        residual = (self.transfer1(y) + residual).relu()
        return (self.transfer2(residual) + x).relu(), residual, disentangled


class FDRNet(nn.Module):
    """FDR-Net (Li et al., ECCV 2020, figure 5): 1,659,527 parameters.

    The paper prints 32 channels, 3 FD layers and, in its table 5, 1.66M parameters, 1.62M without FDM and 1.21M
    without the auxiliary branch. It prints neither the number of phases nor what the process module holds, nor kernel
    sizes, nor the narrowing of the attentions. The defaults here are our reading: a recipe that gives all three counts
    (1,659,527, 1,621,511 and 1,212,335). Within what was tried, 6 phases are near certain, 7 residual blocks in each
    process module are one fit among several.

    Ablations: table 5 is ``use_fdm=False`` and ``use_aux=False``; table 6 is ``fd_layers`` and ``channels``.

    Args:
        channels: channels throughout.
        fd_layers: FD layers in each FDM, and FA layers in each FAM.
        phases: phases in sequence.
        pm_blocks: residual blocks in each process module.
        aux_blocks: residual blocks in each auxiliary branch.
        reduction: how much the channel attentions narrow inside; at most `channels`.
        use_fdm: False puts residual blocks in the place of the FD and FA layers, of the same number of convolutions.
        use_gdn: False takes the divisive normalizations out of the FD and FA layers and leaves all else.
        use_aux: False leaves out the auxiliary branches and the fusions.
    """

    def __init__(
        self,
        channels: Channels = 32,
        fd_layers: Layers = 3,
        phases: Layers = 6,
        pm_blocks: Layers = 7,
        aux_blocks: Layers = 3,
        reduction: Layers = 16,
        use_fdm: bool = True,
        use_gdn: bool = True,
        use_aux: bool = True,
    ) -> None:
        super().__init__()
        if reduction > channels:
            raise ValueError(f"FDRNet's reduction ({reduction}) must not be larger than its channels ({channels}).")
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.phases = nn.ModuleList(
            Phase(
                DisentangledBranch(channels, fd_layers, pm_blocks, reduction, use_fdm, use_gdn),
                AuxiliaryBranch(channels, aux_blocks, reduction) if use_aux else None,
                channels,
            )
            for _ in range(phases)
        )
        self.tail = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, x: Tensor, keep_features: bool | None = None) -> FDROutput:
        """The restored image of `x`, `(N, 3, H, W)` in [0, 1], and what else the network gives.

        Args:
            x: the degraded image, of any size.
            keep_features: whether to return the features, which hold `phases * (fd_layers + 1)` maps in memory; None
                returns them in training mode only.
        """
        keep = self.training if keep_features is None else keep_features
        features = residual = self.head(x)
        entering: list[Tensor] = []
        disentangled: list[Tensor] = []
        for phase in self.phases:
            if keep:
                entering.append(features)
            features, residual, of_phase = phase(features, residual)
            if keep:
                disentangled += of_phase
        return FDROutput(self.tail(features) + x, tuple(disentangled), tuple(entering))
