"""ZID: its networks against a plain restatement, its loss term by term, and how it learns on an image."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import limpid
from limpid.networks.zid import AirlightVAE, SkipNet, ZIDNets
from limpid.profiling import cost
from limpid.zero_shot.base import _Lines
from limpid.zero_shot.zid import ZID, blur


def image(height: int = 64, width: int = 64, seed: int = 0) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def normalised(x: Tensor, layer: nn.BatchNorm2d) -> Tensor:
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * layer.weight.view(1, -1, 1, 1) + layer.bias.view(1, -1, 1, 1)


def leaky(x: Tensor) -> Tensor:
    return torch.where(x >= 0, x, 0.2 * x)


def skip_net(x: Tensor, network: SkipNet) -> Tensor:
    """The sheet's words one after another: every convolution and normalisation in the order in which they are met."""
    convolutions = iter([layer for layer in network.modules() if isinstance(layer, nn.Conv2d)])

    def conv(x: Tensor, layers: Iterator[nn.Module], stride: int = 1) -> Tensor:
        layer = next(layers)
        assert isinstance(layer, nn.Conv2d)
        size = layer.kernel_size[0]
        padded = F.pad(x, (size // 2,) * 4, mode="reflect") if size > 1 else x
        return F.conv2d(padded, layer.weight, layer.bias, stride)

    def level(x: Tensor, number: int, levels: nn.Module) -> Tensor:
        layers = iter(m for m in own_layers(levels) if isinstance(m, nn.Conv2d))
        norms = iter(m for m in own_layers(levels) if isinstance(m, nn.BatchNorm2d))
        skip = leaky(normalised(conv(x, layers), next(norms))) if number >= 4 else None
        y = leaky(normalised(conv(x, layers, 2), next(norms)))
        y = leaky(normalised(conv(y, layers), next(norms)))
        if number < 5:
            y = level(y, number + 1, levels.below)
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=True)
        y = normalised(torch.cat([skip, y], 1) if skip is not None else y, next(norms))
        y = leaky(normalised(conv(y, layers), next(norms)))
        return leaky(normalised(conv(y, layers), next(norms)))

    def own_layers(levels: nn.Module) -> list[nn.Module]:
        below = set(levels.below.modules()) if levels.below is not None else set()
        return [module for module in levels.modules() if module not in below]

    assert len(list(convolutions)) == 5 * 4 + 2 + 1
    y = level(x, 1, network.level)
    return 1 / (1 + torch.exp(-F.conv2d(y, network.head.weight, network.head.bias)))


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_skip_net_is_its_definition(outputs: int) -> None:
    torch.manual_seed(0)
    network = SkipNet(outputs).double()
    for p in network.parameters():
        nn.init.normal_(p, std=0.3)
    x = image(64, 96).double()
    torch.testing.assert_close(network(x), skip_net(x, network), atol=1e-9, rtol=0)


def test_the_parameters_are_the_papers() -> None:
    def count(network: nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    assert count(SkipNet(3)) == 572_827
    assert count(SkipNet(1)) == 572_809
    with torch.device("meta"):
        whole, used = ZIDNets(448, 608), ZIDNets(448, 608, unused_decoder=False)
    assert count(whole) == 42_950_552
    assert count(whole) - count(used) == 270_345
    assert limpid.build("zid").learnt_parameters(460, 620) == 42_950_552


def test_the_vae_is_its_definition() -> None:
    torch.manual_seed(0)
    network = AirlightVAE(32, 48).double()
    x, noise = image(32, 48).double(), torch.randn(1, 100).double()
    weights = dict(network.named_parameters())
    y = x
    for number in range(4):
        name = f"encoder.{number}.0."
        y = F.conv2d(y, weights[name + "weight"], weights[name + "bias"], padding=2).clamp(min=0)
        y = y.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
    flat = y.reshape(1, -1)
    mean = flat @ weights["mean.weight"].T + weights["mean.bias"]
    log_variance = flat @ weights["log_variance.weight"].T + weights["log_variance.bias"]
    code = mean + torch.sqrt(torch.exp(log_variance)) * noise
    y = (code @ weights["values.weight"].T + weights["values.bias"]).view(1, 128, 2, 3)
    for number in range(3):
        y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        y = F.conv2d(y, weights[f"decoder.{number}.1.weight"], weights[f"decoder.{number}.1.bias"], padding=2)
        y = normalised(y, network.decoder[number][2]).clamp(min=0)
    y = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
    y = torch.sigmoid(F.conv2d(y, weights["decoder.4.weight"], weights["decoder.4.bias"], padding=2))
    for found, expected in zip(network(x, noise), (y, mean, log_variance), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


def test_blur_is_its_definition() -> None:
    x = image(9, 11).double()
    grey = x[0].mean(0).numpy()
    windows = np.lib.stride_tricks.sliding_window_view(grey, (5, 5))
    expected = ((grey[2:-2, 2:-2] - windows.mean((2, 3))) ** 2).mean()
    assert blur(x, 5).item() == pytest.approx(expected, rel=1e-9)


def test_the_loss_is_the_sum_of_its_terms() -> None:
    method, x = ZID(), image(64, 96)
    nets = method.make(64, 96)
    found = method.objective(x)(nets, torch.Generator().manual_seed(5))
    noise = torch.randn(1, 100, generator=torch.Generator().manual_seed(5))
    J, t, A, mean, log_variance = nets(x, noise)
    dark = x[0].amin(0).numpy()
    padded = np.pad(dark, 7, mode="edge")
    eroded = np.lib.stride_tricks.sliding_window_view(padded, (15, 15)).min((2, 3))
    haziest = np.argsort(-eroded.ravel(), kind="stable")[: max(1, int(1e-4 * dark.size))]
    guess = x[0].flatten(1)[:, haziest].amax(1).view(1, 3, 1, 1)
    expected = (
        ((t * J + (1 - t) * A - x) ** 2).mean()
        + (log_variance.exp() + mean**2 - 1 - log_variance).sum() / 2
        + 0.005 * blur(t, 5)
        + (J.amin(1) ** 2).mean()
        + 0.1 * blur(A, 5)
        + ((A - guess) ** 2).mean()
    )
    torch.testing.assert_close(found, expected)


def test_each_step_is_one_of_adam() -> None:
    """Two steps by hand, with the same first weights and the same noise."""
    method, x = ZID(steps=2), image()
    learnt = method.learn(x)
    nets = method._first(64, 64)
    objective = method.objective(x.contiguous(memory_format=torch.channels_last))
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam([p for p in nets.parameters() if p.requires_grad], lr=1e-3, fused=True)
    for _ in range(2):
        optimizer.zero_grad()
        objective(nets, generator).backward()
        optimizer.step()
    for name, value in learnt.state_dict().items():
        assert torch.equal(nets.state_dict()[name], value), name


def test_learning_makes_the_layers_explain_the_image() -> None:
    method, x = ZID(steps=30), image().mul(0.3).add(0.6)
    objective = method.objective(x)
    before = objective(method._first(64, 64), torch.Generator().manual_seed(0))
    after = objective(method.learn(x), torch.Generator().manual_seed(0))
    assert after < 0.5 * before


def test_the_same_seed_gives_the_same_bits_and_leaves_the_generator_alone() -> None:
    x = image(70, 67)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = ZID(steps=3)(x)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(ZID(steps=3)(x), first)
    assert not torch.equal(ZID(steps=3, seed=1)(x), first)
    batch = torch.cat([image(70, 67, seed=3), x])
    assert torch.equal(ZID(steps=3)(batch)[1:], first)  # an image is treated alone


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (64, 64), (75, 99)])
def test_any_size_works_and_stays_in_range(size: tuple[int, int]) -> None:
    with torch.inference_mode():  # as Lightning tests
        estimate = ZID(steps=1).estimate(image(*size))
    assert estimate.restored.shape == (1, 3, *size)
    assert estimate.transmission.shape == (1, 1, *size)
    assert estimate.airlight.shape == (1, 3)
    assert 0 <= estimate.restored.min() <= estimate.restored.max() <= 1
    assert 0.1 <= estimate.transmission.min() <= estimate.transmission.max() <= 1


def test_the_result_solves_the_haze_model() -> None:
    """Of the reduced image, whose middle alone is learnt on: the transmission and airlight there, and carried beyond."""
    method, x = ZID(steps=1, guided_epsilon=1e9), image(70, 100)
    estimate = method.estimate(x)
    nets = method.learn(x[..., 3:67, 2:98].contiguous())
    noise = torch.randn(1, 100, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        layers = nets(x[..., 3:67, 2:98].contiguous(), noise)
    A = F.pad(layers.airlight, (2, 2, 3, 3), mode="replicate")
    t = estimate.transmission
    torch.testing.assert_close(estimate.restored, ((x - (1 - t) * A) / t).clamp(0, 1), atol=1e-5, rtol=0)
    # So flat a guided filter takes means over windows, which in the middle are nearly those of the map.
    assert t.mean().item() == pytest.approx(layers.transmission.mean().item(), abs=0.02)


def test_a_large_image_is_learnt_on_reduced_and_restored_at_full_size() -> None:
    sides = []

    class Watched(ZID):
        def make(self, height: int, width: int) -> ZIDNets:
            sides.append((height, width))
            return super().make(height, width)

    restored = Watched(steps=1, megapixels=0.01)(image(200, 300))
    assert sides == [(64, 96)]  # 82 x 122 pixels, cut
    assert restored.shape == (1, 3, 200, 300)


def test_progress_is_told_now_and_then(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 10.0, 20.0, 30.0, 40.0])
    monkeypatch.setattr("limpid.zero_shot.base.time.monotonic", lambda: next(now))
    told = _Lines()
    for step in (1, 2, 3, 4):
        told(step, 4)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["learning on the image: step 2 of 4, about 20 s left"]


def test_an_interruption_comes_through() -> None:
    def interrupted(step: int, steps: int) -> None:
        raise KeyboardInterrupt

    method = ZID(steps=3)
    method.progress = lambda: interrupted
    with pytest.raises(KeyboardInterrupt):
        method(image())


def test_one_step_is_measured_instead_of_all() -> None:
    method = ZID(steps=10**6)
    measured = cost(method, 64, 64, torch.device("cpu"), repeats=1)
    assert measured.params == method.learnt_parameters(64, 64)
    assert measured.gflops is not None
    assert method.steps == 10**6


def test_the_maps_of_the_last_image_are_not_learnt_again(monkeypatch: pytest.MonkeyPatch) -> None:
    method, x = ZID(steps=1), image(70, 67)
    learnt = []
    original = ZID.learn

    def counted(self: ZID, image: Tensor) -> ZIDNets:
        learnt.append(image.shape)
        return original(self, image)

    monkeypatch.setattr(ZID, "learn", counted)
    restored = method(x)
    assert torch.equal(method.estimate(x).restored, restored)
    assert len(learnt) == 1
    assert not torch.equal(method(image(70, 67, seed=1)), restored)
    assert torch.equal(method(x), restored)
    assert len(learnt) == 3
    forgetful = method.with_steps(1)
    assert torch.equal(forgetful(x), forgetful(x))
    assert len(learnt) == 5
