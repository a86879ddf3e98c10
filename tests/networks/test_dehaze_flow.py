"""DehazeFlow against its definition: the way back, the likelihood by the whole Jacobian, and how normalisations begin."""

from __future__ import annotations

import math
import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.inference import Adaptive
from limpid.networks.dehaze_flow import DehazeFlow, HazeEncoder
from limpid.networks.flow_layers import ActNorm, ConvAttention, CouplingNet, ZeroConv
from limpid.networks.rrdb import RRDB

NARROW: dict[str, Any] = {
    "channels": 4, "growth": 3, "blocks": 2, "kept": (0, 1), "plain_steps": 1, "steps": 1, "hidden": 6, "attention": 2,
}  # fmt: skip


def flow(dtype: torch.dtype = torch.float64, **settings: Any) -> DehazeFlow:
    """A narrow flow none of whose parts is the identity."""
    torch.manual_seed(0)
    network = DehazeFlow(**NARROW, **settings).to(dtype)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if not name.startswith("encoder"):
                value.add_((0.01 if name.startswith("split") else 0.1) * torch.randn_like(value))
    return network


def pair(
    height: int = 16, width: int = 24, count: int = 2, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    hazy, clear = (torch.rand(count, 3, height, width, generator=generator, dtype=dtype) for _ in range(2))
    return hazy, clear


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_parameters_are_the_releases_less_what_it_does_not_use() -> None:
    with torch.device("meta"):
        network = DehazeFlow()
        unused = [nn.Conv2d(64, 64, 3), nn.Conv2d(64, 3, 3)]  # HRconv and conv_last of ESRGAN
    encoder, whole = parameters(network.encoder), parameters(network)
    assert encoder + sum(map(parameters, unused)) == 16_697_987
    assert whole - encoder + 276_576 == 22_908_912
    assert whole + 315_235 == 39_606_899
    assert parameters(RRDB()) == 719_424


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_the_way_back_gives_the_image_that_went_in(dtype: torch.dtype, within: float) -> None:
    network, (hazy, clear) = flow(dtype), pair(dtype=dtype)
    conditions = network.encoder(hazy)
    latent, standard, _ = network.encode(conditions, clear)
    assert (latent.shape, standard.shape) == ((2, 96, 2, 3), (2, 6, 8, 12))
    assert (network.decode(conditions, latent, standard) - clear).abs().max() < within
    with torch.no_grad():
        restored = network(hazy)
    again = network.encode(conditions, restored)
    assert again[0].abs().max() < 100 * within, "what is restored has latent numbers of 0"
    assert again[1].abs().max() < 100 * within


def test_the_likelihood_is_the_normal_numbers_and_the_jacobians_determinant() -> None:
    network, (hazy, clear) = flow(), pair(8, 8, 1)
    conditions = [condition.detach() for condition in network.encoder(hazy)]

    def latent(image: Tensor) -> Tensor:
        found = network.encode(conditions, image.view_as(clear))
        return torch.cat([found[0].flatten(), found[1].flatten()])

    jacobian: Tensor = torch.autograd.functional.jacobian(latent, clear.flatten())  # type: ignore[no-untyped-call]
    assert jacobian.shape == (192, 192)
    normal = -0.5 * (latent(clear.flatten()).square() + math.log(2 * math.pi)).sum()
    expected = torch.linalg.slogdet(jacobian).logabsdet + normal
    torch.testing.assert_close(network(hazy, clear)[0], expected, rtol=1e-9, atol=1e-7)


def test_likelihoods_of_a_batch_are_each_images_own() -> None:
    network, (hazy, clear) = flow(), pair()
    both = network(hazy, clear)
    for i in range(2):
        torch.testing.assert_close(network(hazy[i : i + 1], clear[i : i + 1])[0], both[i])
    with pytest.raises(UserError, match="sides are multiples of 8, and these are 20x16; give data.crop such a number"):
        network(hazy[..., :20], clear[..., :20])


def test_a_coupling_is_its_formula() -> None:
    network = flow()
    coupling = network.levels[0][1].coupling  # type: ignore[index]
    torch.manual_seed(2)
    z, condition = torch.randn(1, 12, 4, 4).double(), torch.randn(1, 12, 4, 4).double()
    found, logarithm = coupling(z, condition)
    a = coupling.by_condition(condition)
    scale = (1 / (1 + torch.exp(-(a[:, 1::2] + 2)))) + 1e-4
    y = (z + a[:, ::2]) * scale
    b = coupling.by_half(torch.cat([y[:, :6], condition], 1))
    half = (1 / (1 + torch.exp(-(b[:, 1::2] + 2)))) + 1e-4
    torch.testing.assert_close(found, torch.cat([y[:, :6], (y[:, 6:] + b[:, ::2]) * half], 1))
    torch.testing.assert_close(logarithm[0], scale.log().sum() + half.log().sum())


def test_attention_and_zero_convolutions_are_their_formulas() -> None:
    torch.manual_seed(0)
    attention, x = ConvAttention(6, 2).double(), torch.randn(2, 6, 5, 7).double()
    first, second = attention.channels[0], attention.channels[2]

    def mlp(v: Tensor) -> Tensor:
        return F.relu(v @ first.weight.flatten(1).T + first.bias) @ second.weight.flatten(1).T + second.bias

    y = x * torch.sigmoid(mlp(x.mean((2, 3))) + mlp(x.amax((2, 3))))[..., None, None]
    seen = torch.stack([y.amax(1), y.mean(1)], 1)
    expected = y * torch.sigmoid(F.conv2d(seen, attention.pixels.weight, padding=3)) + x
    torch.testing.assert_close(attention(x), expected)
    zero = ZeroConv(6, 4).double()
    assert not zero(x).any()
    nn.init.normal_(zero.conv.weight)
    zero.logs.data.fill_(0.5)
    torch.testing.assert_close(zero(x), zero.conv(x) * math.exp(1.5))


def test_conditions_are_of_three_sizes_and_hold_the_kept_blocks() -> None:
    torch.manual_seed(0)
    encoder, x = HazeEncoder(4, 3, 3, [0, 2]), torch.rand(1, 3, 16, 24)
    y, outputs = encoder.first(x), []
    for block in encoder.blocks:
        y = block(y)
        outputs.append(y)
    whole = y + encoder.last(y)

    def half(image: Tensor) -> Tensor:
        return F.interpolate(image, scale_factor=0.5, mode="bilinear", align_corners=False)

    g2 = F.leaky_relu(encoder.to_half(half(whole)), 0.2)
    g1 = F.leaky_relu(encoder.to_quarter(half(g2)), 0.2)
    beside = torch.cat([outputs[0], outputs[2]], 1)
    for own, found in zip((g2, g1, half(g1)), encoder(x), strict=True):
        expected = torch.cat([own, F.interpolate(beside, own.shape[-2:], mode="nearest")], 1)
        torch.testing.assert_close(found, expected)


def test_normalisations_begin_with_the_first_batch() -> None:
    """Each of what it is given then: all images and pixels together, mean 0 and deviation 1."""
    network, (hazy, clear) = flow(torch.float32).train(), pair(dtype=torch.float32)
    norms = [layer for layer in network.modules() if isinstance(layer, ActNorm)]
    assert len(norms) == 3 * (2 + 4)
    assert not network.initialised
    seen: list[Tensor] = []
    hooks = [norm.register_forward_hook(lambda layer, given, out: seen.append(out)) for norm in norms]
    with network.initialising(), torch.no_grad():
        network(hazy, clear)
    assert network.initialised
    assert len(seen) == len(norms)
    for out in seen:
        assert out.mean((0, 2, 3)).abs().max() < 1e-4
        torch.testing.assert_close(out.std((0, 2, 3), correction=0), torch.ones(out.shape[1]), rtol=1e-2, atol=1e-3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(hazy.flip(0), clear.flip(3))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "once only"
    assert before["initialised"] == 1
    for hook in hooks:
        hook.remove()


def test_what_is_the_same_everywhere_keeps_its_scale() -> None:
    """As with one image of 8x8, of which the last level sees a pixel: likelihoods were beyond float32 after it."""
    norm = ActNorm(2)
    x = torch.stack([torch.full((3, 4), 0.3), torch.arange(12.0).view(3, 4)])[None]
    norm.initialise(x)
    torch.testing.assert_close(norm.logs.flatten(), torch.tensor([0.0, -math.log(x[0, 1].std(correction=0).item())]))
    torch.testing.assert_close(norm(x).mean((0, 2, 3)), torch.zeros(2), atol=1e-6, rtol=0)
    network, (hazy, clear) = flow(torch.float32), (torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))
    with network.initialising(), torch.no_grad():
        network(hazy, clear)
    assert abs(network(hazy, clear).item()) < 1e4


def test_processes_begin_with_the_statistics_of_all_their_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads stand for processes, of which each has images of its own, and not as many as the other."""
    images = torch.randn(5, 4, 6, 7, generator=torch.Generator().manual_seed(0)) * 3 + 1
    alone, shared = ActNorm(4), [ActNorm(4) for _ in range(2)]
    alone.initialise(images)
    values: list[Tensor] = []
    barrier = threading.Barrier(2)

    def all_reduce(value: Tensor) -> None:
        values.append(value.clone())
        barrier.wait()
        value.copy_(values[-1] + values[-2])
        barrier.wait()

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    parts = zip(shared, (images[:2], images[2:]), strict=True)
    threads = [threading.Thread(target=norm.initialise, args=(part,)) for norm, part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    for norm in shared:
        torch.testing.assert_close(norm.bias, alone.bias)
        torch.testing.assert_close(norm.logs, alone.logs)


def test_a_failed_beginning_is_none() -> None:
    network, (hazy, clear) = flow(), pair()
    with pytest.raises(UserError), network.initialising():
        network(hazy[..., :9], clear[..., :9])
    assert not network.initialised
    assert not any(layer.initialising for layer in network.modules() if isinstance(layer, ActNorm))


def test_samples_are_the_same_in_every_call_and_spread_with_the_temperature() -> None:
    hazy = pair()[0]
    network = flow(temperature=0.5).eval()
    with torch.no_grad():
        first = network(hazy)
        torch.rand(3)
        assert torch.equal(network(hazy), first)
        torch.testing.assert_close(network(hazy[1:]), first[1:])  # each image is treated alone
        assert not torch.allclose(flow(temperature=0.5, seed=1).eval()(hazy), first, atol=1e-3)
        plain = flow().eval()(hazy)
        assert not torch.allclose(plain, first, atol=1e-3)
        torch.testing.assert_close(flow(temperature=1e-9).eval()(hazy), plain, atol=1e-6, rtol=0)
        conditions = network.encoder(hazy)
        latent, standard, _ = network.encode(conditions, first)
    assert float(latent.std()) == pytest.approx(0.5, rel=0.1)
    assert float(standard.std()) == pytest.approx(0.5, rel=0.1)


def test_autocast_reaches_the_networks_inside_couplings_alone() -> None:
    network, (hazy, clear) = flow(torch.float32), pair(dtype=torch.float32)
    kinds: set[torch.dtype] = set()
    for layer in network.modules():
        if isinstance(layer, CouplingNet):
            layer.body[0].register_forward_hook(lambda layer, given, out: kinds.add(out.dtype))
    exact, restored = network(hazy, clear), network(hazy)
    with torch.autocast("cpu", torch.bfloat16):
        latent, standard, logarithm = network.encode(network.encoder(hazy), clear)
        assert {latent.dtype, standard.dtype, logarithm.dtype, network(hazy).dtype} == {torch.float32}
        torch.testing.assert_close(network(hazy, clear), exact, rtol=0.05, atol=0)
        torch.testing.assert_close(network(hazy), restored, rtol=0.1, atol=0.2)
    assert kinds == {torch.bfloat16, torch.float32}


@pytest.mark.filterwarnings("ignore::limpid.errors.ResultWarning")  # drawn weights look further than such small tiles
def test_any_side_goes_through_and_tiles_know_the_whole_images_statistics() -> None:
    network = flow(torch.float32).eval()
    x = torch.rand(1, 3, 21, 37, generator=torch.Generator().manual_seed(0))
    padded = F.pad(x, (0, 3, 0, 3), mode="reflect")
    with torch.no_grad():
        torch.testing.assert_close(network(x), network(padded)[..., :21, :37])
    large = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    way = Adaptive(largest=0.006, tile=64, overlap=32, blend=16)
    assert way.in_tiles(network, 96, 128)
    assert way(network, large).shape == large.shape


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kept": (0, 2)}, "network.kept is .* of the 2 blocks, each once, by numbers from 0 to 1"),
        ({"kept": ()}, "at least one of the 2 blocks"),
        ({"kept": (1, 1)}, "each once"),
        ({"plain_steps": 0, "steps": 0}, "at least one step of either kind"),
        ({"temperature": -1.0}, "the temperature must be 0 or more"),
    ],
)
def test_settings_of_which_nothing_can_be_made_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        DehazeFlow(**{**NARROW, **settings})
