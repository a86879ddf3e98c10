"""What a network finds of the whole image, its statistics, shared by all parts of that image.

Channel attention and instance normalisation take means over all that they see. A network with them restores a tile
otherwise than the image around it, unless each tile is given what the whole image gave. Which layers look so far is
known of PyTorch's own (`nn.InstanceNorm2d`, `nn.AdaptiveAvgPool2d(1)`); any other says so by an attribute
``pools_over_image = True``, and its output is then what is shared.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from limpid.inference.alone import alone
from limpid.inference.whole import restore


@dataclass(frozen=True)
class ImageStatistics:
    """The statistics that a network took of an image.

    Attributes:
        values: one tensor per look, in the order in which the network looks: `(N, C, 1, 1)` of a mean, and
            `(2, N, C, 1, 1)`, mean and variance, of a normalisation.
    """

    values: tuple[Tensor, ...]


#: What becomes of a look's value: its number in the pass, and what was found, to what is taken for it.
Adjust = Callable[[int, Tensor], Tensor]


def pooling_layers(network: nn.Module) -> list[nn.Module]:
    """The layers of `network` that take statistics over the whole image."""
    return [layer for layer in network.modules() if _is_mean(layer) or _is_normalisation(layer)]


@torch.no_grad()
def measured(network: nn.Module, x: Tensor) -> ImageStatistics:
    """The statistics that `network` takes of `x` `(N, 3, H, W)` in [0, 1]; none where it looks nowhere so far."""
    found: list[Tensor] = []

    def keep(number: int, value: Tensor) -> Tensor:
        found.append(value)
        return value

    if pooling_layers(network):
        with adjusted(network, keep):
            restore(network, x)
    return ImageStatistics(tuple(found))


def continued(larger: ImageStatistics, smaller: ImageStatistics, steps: float) -> ImageStatistics:
    """The statistics of an image at full size, from those of the image reduced to two sizes.

    They change with the size of a pixel, nearly in proportion: the change from `smaller` to `larger` goes on.

    Args:
        larger: of the less reduced image.
        smaller: of the more reduced image.
        steps: how far the full size lies beyond the larger one, in pixel sizes between the two.
    """
    values = []
    for near, far in zip(larger.values, smaller.values, strict=True):
        value = near + steps * (near - far)
        if value.ndim == 5:  # of a normalisation; its variance stays positive
            value[1] = value[1].maximum(near[1] / 4)
        values.append(value)
    return ImageStatistics(tuple(values))


@contextlib.contextmanager
def given(network: nn.Module, statistics: ImageStatistics) -> Iterator[None]:
    """Inside, `network` takes `statistics` for what its layers would find of the image, in each pass anew."""
    if not statistics.values:
        yield
        return
    with adjusted(network, lambda number, value: statistics.values[number].to(value)):
        yield


@contextlib.contextmanager
def adjusted(network: nn.Module, adjust: Adjust | None) -> Iterator[None]:
    """Inside, what `network` finds of a whole image goes through `adjust` before it is used; with None, it does not."""
    layers = [] if adjust is None else pooling_layers(network)
    if adjust is None or not layers:
        yield
        return
    looks = itertools.count()

    def begin(module: nn.Module, inputs: tuple[object, ...]) -> None:
        nonlocal looks
        looks = itertools.count()

    def look(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return adjust(next(looks), output)

    def normalise(layer: nn.Module, features: Tensor) -> Tensor:
        return _normalised(layer, features, adjust(next(looks), _moments(features)))

    means = [layer for layer in layers if _is_mean(layer)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(alone(network))
        handle = network.register_forward_pre_hook(begin)
        stack.callback(handle.remove)
        stack.enter_context(_hooked(means, look))
        stack.enter_context(_computed([layer for layer in layers if _is_normalisation(layer)], normalise))
        yield


@contextlib.contextmanager
def _hooked(layers: list[nn.Module], hook: Callable[..., Tensor]) -> Iterator[None]:
    handles: list[RemovableHandle] = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _computed(layers: list[nn.Module], compute: Callable[[nn.Module, Tensor], Tensor]) -> Iterator[None]:
    """Inside, `compute` stands in the place of each layer, which would hold a result of its own besides."""
    before = [vars(layer).get("forward") for layer in layers]
    for layer in layers:
        layer.forward = functools.partial(compute, layer)
    try:
        yield
    finally:
        for layer, forward in zip(layers, before, strict=True):
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


def _is_mean(layer: nn.Module) -> bool:
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return layer.output_size in (1, (1, 1))
    return getattr(layer, "pools_over_image", False) is True


def _is_normalisation(layer: nn.Module) -> bool:
    return isinstance(layer, nn.InstanceNorm2d) and (layer.running_mean is None or layer.training)


def _moments(features: Tensor) -> Tensor:
    """Mean and variance of each channel, `(2, N, C, 1, 1)` float32."""
    variance, mean = torch.var_mean(features.float(), dim=(2, 3), correction=0, keepdim=True)
    return torch.stack([mean, variance])


def _normalised(layer: nn.Module, features: Tensor, moments: Tensor) -> Tensor:
    """What an instance normalisation gives of `features` with the mean and variance in `moments`."""
    assert isinstance(layer, nn.InstanceNorm2d)
    mean, variance = moments.to(features.device)
    scale = (variance + layer.eps).rsqrt()
    shift = -mean * scale
    if layer.weight is not None:
        weight, bias = layer.weight.view(-1, 1, 1).float(), layer.bias.view(-1, 1, 1).float()
        scale, shift = scale * weight, shift * weight + bias
    return torch.addcmul(shift.to(features.dtype), features, scale.to(features.dtype))
