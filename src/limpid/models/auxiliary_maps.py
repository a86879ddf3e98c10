"""Auxiliary maps of methods, as images: transmission, depth, airlight, Phi."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from limpid.networks.aosr import AOSRNet


@torch.no_grad()
def auxiliary_maps(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The maps that `network` finds in `x` `(N, 3, H, W)` in [0, 1], each `(N, 1 or 3, H, W)` in [0, 1].

    `transmission` is shown as it is, `scene_depth` as a share of the image's furthest point, `airlight` as a plane of
    its colour, and AOSR-Net's `phi` as a share of 1 / (alpha - 1), the most it can be where it is right. They come from
    a network's or prior's method ``estimate(x)``, whose named tuple has one or more of these; a network without that
    method has no maps.
    """
    if isinstance(network, AOSRNet):
        phi: Tensor = network.forward(x.float()).phi * (network.control_alpha - 1)
        return {"phi": phi.float().clamp(0, 1)}
    method: Any = getattr(network, "estimate", None)
    if method is None:
        return {}
    estimate = method(x.float())
    maps: dict[str, Tensor] = {}
    if hasattr(estimate, "transmission"):
        maps["transmission"] = estimate.transmission.clamp(0, 1)
    if hasattr(estimate, "scene_depth"):
        furthest = estimate.scene_depth.amax((1, 2, 3), keepdim=True)
        maps["scene_depth"] = (estimate.scene_depth / furthest.clamp(min=1e-6)).clamp(0, 1)
    if hasattr(estimate, "airlight"):
        maps["airlight"] = estimate.airlight[:, :, None, None].expand(x.shape).clamp(0, 1)
    return maps
