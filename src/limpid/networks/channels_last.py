"""Two steps of attention that are slow in channels_last as usually written; the values are the same to rounding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limpid.networks.padding import any_size


def _channels_last(x: Tensor) -> bool:
    # Of a graph for every size nobody asks: the answer would hold for one size alone.
    return not any_size(x) and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class GlobalAvgPool(nn.Module):
    """The mean of each channel over the image, what `nn.AdaptiveAvgPool2d(1)` gives.

    The gradient of that is always in NCHW. Where it is added to one in channels_last, the sum takes 10 times as long as
    the sum of two tensors of one layout (bf16, on a CPU).
    """

    pools_over_image = True  # `limpid.inference` shares its output between tiles

    def forward(self, features: Tensor) -> Tensor:
        """`(N, C, 1, 1)` from `features` `(N, C, H, W)`."""
        if not _channels_last(features):
            return features.mean((2, 3), keepdim=True)
        return features.permute(0, 2, 3, 1).mean((1, 2), keepdim=True).permute(0, 3, 1, 2)


def scale_pixels(features: Tensor, weight: Tensor) -> Tensor:
    """`features` `(N, C, H, W)` times one `weight` per pixel, `(N, 1, H, W)`.

    In channels_last and bf16 a product with something broadcast over the channels takes 9 times as long as one of equal
    shapes (on a CPU), so the weights are copied first.
    """
    if features.dtype == torch.bfloat16 and features.device.type == "cpu" and _channels_last(features):
        weight = weight.expand_as(features).contiguous(memory_format=torch.channels_last)
    return features * weight
