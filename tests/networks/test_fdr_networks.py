"""FDR-Net and the networks of its tables: counts, wiring by direct definitions, and ablations that change only what they name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.transform import pyramid_gaussian
from torch import Tensor, nn
from torch.nn import functional as F

import limpid
from limpid.inference import restored_image
from limpid.losses.svdo import svdo
from limpid.networks.deep_deblur import DeepDeblur, half_size
from limpid.networks.dncnn import DnCNN
from limpid.networks.fdr import FDRNet
from limpid.networks.gdn import GDN
from limpid.networks.op_attention import OperationLayer
from limpid.networks.rescan import RESCAN, RecurrentUnit
from limpid.networks.spanet import FourDirectionalIRNN, SPANet
from limpid.networks.srn import SRN, _double_size

SMALL = {
    "fdr": {"channels": 16, "phases": 2, "pm_blocks": 1, "aux_blocks": 1},
    "dncnn": {"depth": 4, "channels": 8},
    "op_attention": {"groups": 2, "steps": 2},
    "deep_deblur": {"channels": 8, "blocks": 1},
    "srn": {"channels": 4, "blocks": 1},
    "rescan": {"channels": 8, "depth": 5},
    "spanet": {"channels": 8},
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


# All of them -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (37, 20)])
def test_any_size_and_each_image_alone(name: str, size: tuple[int, int]) -> None:
    network = limpid.build(name, **SMALL[name]).eval()
    x = torch.rand(2, 3, *size)
    with torch.no_grad():
        y = restored_image(network(x))
        assert y.shape == x.shape
        torch.testing.assert_close(restored_image(network(x[1:])), y[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_training_in_bfloat16_stays_finite(name: str) -> None:
    network = limpid.build(name, **SMALL[name]).to(memory_format=torch.channels_last)
    x = torch.rand(2, 3, 24, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(x)
    loss = restored_image(output).float().sub(x).abs().mean() + 1e-5 * svdo(getattr(output, "features", ()))
    loss.backward()
    assert loss.isfinite()
    for label, p in network.named_parameters():
        assert p.grad is not None, f"{label} gets no gradient"
        assert p.grad.isfinite().all(), label


# Divisive normalization --------------------------------------------------------------------------------------------


def drawn(gdn: GDN) -> GDN:
    """The same module with its parameters at random inside their bounds, in float64."""
    gdn = gdn.double()
    with torch.no_grad():
        for p in gdn.parameters():
            p.uniform_(0.2, 1.0)
    return gdn


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_is_its_formula(inverse: bool) -> None:
    gdn = drawn(GDN(4, inverse=inverse))
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    beta, gamma = gdn.root_beta.square() - 2.0**-36, gdn.root_gamma.square() - 2.0**-36
    expected = torch.empty_like(x)
    for i in range(4):
        pool = beta[i] + sum(gamma[i, j] * x[:, j] ** 2 for j in range(4))
        expected[:, i] = x[:, i] * pool.sqrt() if inverse else x[:, i] / pool.sqrt()
    torch.testing.assert_close(gdn(x), expected)


def test_gdn_begins_at_beta_one_and_a_tenth_of_the_identity() -> None:
    gdn = GDN(32)
    assert parameters(gdn) == 1_056
    torch.testing.assert_close(gdn.beta, torch.ones(32))
    torch.testing.assert_close(gdn.gamma, 0.1 * torch.eye(32), rtol=1e-6, atol=0)
    assert set(gdn.state_dict()) == {"root_beta", "root_gamma"}, "bounds and pedestal are settings, not weights"


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_gradient(inverse: bool) -> None:
    gdn = drawn(GDN(3, inverse=inverse))
    x = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    beta, gamma = (p.detach().clone().requires_grad_() for p in (gdn.root_beta, gdn.root_gamma))

    def function(x: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
        return torch.func.functional_call(gdn, {"root_beta": beta, "root_gamma": gamma}, (x,))

    assert torch.autograd.gradcheck(function, (x, beta, gamma))


def test_the_inverse_form_inverts_where_it_can() -> None:
    gdn, inverse = drawn(GDN(4)), drawn(GDN(4, inverse=True))
    inverse.load_state_dict(gdn.state_dict())
    x = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    with torch.no_grad():
        for module in (gdn, inverse):
            module.root_beta.fill_(np.sqrt(1 + 2.0**-36))
        errors = [(inverse(gdn(scale * x)) - scale * x).abs().max() for scale in (0.02, 0.01)]
        assert errors[0] / errors[1] == pytest.approx(32, rel=0.01)  # fifth order where beta is 1
        beta = torch.rand(4, dtype=torch.float64) + 0.5
        for module in (gdn, inverse):
            module.root_beta.copy_((beta + 2.0**-36).sqrt())
            module.root_gamma.fill_(2.0**-18)
        torch.testing.assert_close(inverse(gdn(x)), x)  # exact where gamma is 0


def test_bounds_hold_after_many_random_updates() -> None:
    gdn = GDN(8)
    optimizer = torch.optim.SGD(gdn.parameters(), lr=0.1)
    x = 10 * torch.randn(1, 8, 4, 4)
    low = torch.inf
    for _ in range(1000):
        for p in gdn.parameters():
            p.grad = torch.randn_like(p)
        optimizer.step()
        low = min(low, gdn.root_beta.min().item(), gdn.root_gamma.min().item())
        assert gdn.gamma.min() >= 0
        assert gdn.beta.min() >= 1e-6 * (1 - 1e-5)
    assert low < -1, "the updates must have crossed the bounds for this test to say anything"
    assert gdn(x).isfinite().all()


def test_what_fell_below_its_bound_can_rise_again_but_not_fall_further() -> None:
    gdn = GDN(2)
    with torch.no_grad():
        gdn.root_beta.copy_(torch.tensor([-0.5, 0.5]))
    gdn.beta.sum().backward()  # descent would lower both: only the one inside moves
    assert gdn.root_beta.grad.tolist() == [0.0, 1.0]
    gdn.root_beta.grad = None
    (-gdn.beta).sum().backward()  # descent would raise both, and both move
    assert gdn.root_beta.grad[0] < 0
    assert gdn.root_beta.grad[1] == -1


def test_the_pool_is_computed_in_float32_under_autocast() -> None:
    gdn = GDN(32)
    x = (100 * torch.randn(1, 32, 8, 8)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = gdn(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, gdn(x.float()).bfloat16(), rtol=0, atol=0)


# FDR-Net -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "count"),
    [
        ({}, 1_659_527),
        ({"use_fdm": False}, 1_621_511),
        ({"use_gdn": False}, 1_621_511),
        ({"use_aux": False}, 1_212_335),
    ],
)
def test_the_counts_of_table_5(override: dict[str, bool], count: int) -> None:
    assert parameters(limpid.build("fdr", **override)) == count


@pytest.mark.parametrize(
    ("override", "millions"),
    [(("channels", c), m) for c, m in zip((16, 32, 48, 64), (0.417, 1.660, 3.727, 6.620), strict=True)]
    + [(("fd_layers", n), m) for n, m in zip((1, 2, 3, 4, 5), (1.412, 1.536, 1.660, 1.783, 1.907), strict=True)],
)
def test_the_sizes_of_table_6(override: tuple[str, int], millions: float) -> None:
    name, value = override
    assert round(parameters(limpid.build("fdr", **{name: value})) / 1e6, 3) == millions


def test_an_ablation_changes_only_what_it_names() -> None:
    full = shapes(limpid.build("fdr", **SMALL["fdr"]))

    def ablated(**override: object) -> dict[str, tuple[int, ...]]:
        return shapes(limpid.build("fdr", **{**SMALL["fdr"], **override}))

    assert ablated(use_aux=False) == {k: v for k, v in full.items() if ".auxiliary." not in k}
    assert ablated(use_gdn=False) == {k: v for k, v in full.items() if ".norm." not in k}
    without_fdm = ablated(use_fdm=False)
    inside = (".fdm.", ".fam.")
    assert {k: v for k, v in full.items() if not any(i in k for i in inside)} == {
        k: v for k, v in without_fdm.items() if not any(i in k for i in inside)
    }
    more = ablated(fd_layers=4)
    assert {k for k in more if ".fdm.3." in k or ".fam.3." in k} == more.keys() - full.keys()
    assert full.items() <= more.items()
    assert ablated(channels=32).keys() == full.keys()


def test_the_streams_and_skips_of_a_phase() -> None:
    network = FDRNet(channels=16, phases=1, pm_blocks=1, aux_blocks=1).eval()
    phase = network.phases[0]
    branch = phase.branch
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    for module in network.modules():
        module.register_forward_hook(lambda module, inputs, output: seen.update({module: (inputs[0], output)}))
    x = torch.rand(1, 3, 17, 20)
    with torch.no_grad():
        restored = network(x).restored
        features = network.head(x)
        torch.testing.assert_close(seen[branch.fdm[0]][0], features)
        previous = seen[branch.attention][1]
        for i in range(3):  # the output of FD layer i joins the input of FA layer 4 - i
            torch.testing.assert_close(seen[branch.fam[i]][0], previous + seen[branch.fdm[2 - i]][1])
            previous = seen[branch.fam[i]][1]
        torch.testing.assert_close(
            seen[phase.auxiliary.attention][0], torch.cat([previous, seen[phase.auxiliary.blocks][1]], 1)
        )
        residual = (phase.transfer1(seen[phase.auxiliary][1]) + features).relu()
        last = (phase.transfer2(residual) + features).relu()
        torch.testing.assert_close(restored, network.tail(last) + x)


def test_features_are_returned_in_training_and_on_request() -> None:
    network = FDRNet(channels=16, fd_layers=2, phases=3, pm_blocks=1, aux_blocks=1)
    x = torch.rand(2, 3, 18, 20)
    output = network(x)
    assert [tuple(f.shape) for f in output.features] == [(2, 16, 18, 20)] * 6
    assert [tuple(f.shape) for f in output.entering] == [(2, 16, 18, 20)] * 3
    layer = network.phases[0].branch.fdm[0]
    torch.testing.assert_close(output.features[0], layer(output.entering[0]))
    network.eval()
    assert network(x).features == network(x).entering == ()
    torch.testing.assert_close(network(x, keep_features=True).features[-1], output.features[-1])
    assert FDRNet(channels=16, phases=1, use_fdm=False)(x).features == ()
    with pytest.raises(ValueError, match="reduction"):
        FDRNet(channels=8)


# Baselines ---------------------------------------------------------------------------------------------------------


def test_dncnn_takes_its_estimate_from_the_input() -> None:
    assert parameters(limpid.build("dncnn", depth=17)) == 558_400
    network = DnCNN(depth=3, channels=4).eval()
    x = torch.rand(1, 3, 16, 16)
    first, _, second, norm, _, last = network.layers
    with torch.no_grad():
        torch.testing.assert_close(network(x), x - last(norm(second(first(x).relu())).relu()))


def test_an_operation_chosen_alone_is_that_operation() -> None:
    layer = OperationLayer(4)
    x = torch.randn(2, 4, 12, 13)
    with torch.no_grad():
        for k, operation in enumerate(layer.operations):
            chosen = F.one_hot(torch.tensor([k, k]), 8).float()
            mixed = F.conv2d(operation(x), layer.mix.weight[:, 4 * k : 4 * k + 4])
            torch.testing.assert_close(layer(x, chosen), (mixed.relu() + x).relu())


def test_the_blurred_pyramid_is_scikit_images() -> None:
    image = np.random.default_rng(0).random((24, 36, 3))
    expected = list(pyramid_gaussian(image, max_layer=2, channel_axis=-1))
    level = torch.from_numpy(image).permute(2, 0, 1)[None]
    for reference in expected[1:]:
        level = half_size(level)
        np.testing.assert_allclose(level[0].permute(1, 2, 0).numpy(), reference, atol=1e-12)


@pytest.mark.parametrize("network", [DeepDeblur(channels=4, blocks=1), SRN(channels=4, blocks=1)])
def test_every_scale_is_returned_the_coarsest_first(network: nn.Module) -> None:
    output = network(torch.rand(1, 3, 21, 34))
    assert [tuple(stage.shape[2:]) for stage in output.stages] == [(6, 9), (11, 17), (21, 34)]
    assert output.restored is output.stages[-1]


def test_deep_deblur_joins_the_coarser_image_by_pixel_shuffle() -> None:
    network = DeepDeblur(channels=4, blocks=1, scales=2)
    x = torch.rand(1, 3, 16, 20)
    with torch.no_grad():
        coarse = network.scales[0](half_size(x - 0.5))
        joined = torch.cat([x - 0.5, F.pixel_shuffle(network.enlarge[0][0](coarse), 2)], 1)
        torch.testing.assert_close(network(x).restored, network.scales[1](joined) + 0.5)


def test_srn_shares_its_weights_and_stops_the_gradient_between_scales() -> None:
    assert parameters(SRN(scales=1)) == parameters(SRN()) == 6_881_251
    network = SRN(channels=4, blocks=1)
    network(torch.rand(2, 3, 32, 16)).restored.sum().backward()
    torch.testing.assert_close(network.tail.bias.grad, torch.full((3,), 2.0 * 32 * 16))


def test_srn_resizes_as_tensorflow_1() -> None:
    x = torch.rand(1, 1, 3, 4)
    larger = _double_size(x)
    assert larger.shape == (1, 1, 6, 8)
    torch.testing.assert_close(larger[..., ::2, ::2], x)
    torch.testing.assert_close(larger[..., ::2, 1:-1:2], (x[..., :-1] + x[..., 1:]) / 2)
    torch.testing.assert_close(larger[..., -1, -1], x[..., -1, -1])  # beyond the last pixel there is only it


def test_rescan_is_a_gru_over_its_stages() -> None:
    unit = RecurrentUnit(3, 8, dilation=2, reduction=4)
    with torch.no_grad():
        for conv in (unit.update_memory, unit.new_memory):
            conv.bias.zero_()
        x = torch.randn(1, 3, 12, 12)
        torch.testing.assert_close(unit(x, None), unit(x, torch.zeros(1, 8, 12, 12)))
        network = RESCAN(channels=8, depth=3, stages=2)
        (only,) = network.units
        image = torch.rand(1, 3, 16, 16)
        first = only(image, None)
        stage1 = image - network.decoder(first)
        stage2 = image - network.decoder(only(stage1, first))
        output = network(image)
    torch.testing.assert_close(output.stages, (stage1, stage2))
    torch.testing.assert_close(output.restored, stage2)


def test_the_four_scans_pixel_by_pixel() -> None:
    irnn = FourDirectionalIRNN(2).double()
    with torch.no_grad():
        irnn.weight.uniform_(-1, 1)
        irnn.bias.uniform_(-1, 1)
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64)
    steps = [(-1, 0), (0, 1), (1, 0), (0, -1)]  # up, right, down, left, as (rows, columns)
    for direction, (down, right) in enumerate(steps):
        expected = torch.zeros_like(x)
        for row in range(4) if down >= 0 else reversed(range(4)):
            for column in range(5) if right >= 0 else reversed(range(5)):
                value = x[:, :, row, column]
                if 0 <= row - down < 4 and 0 <= column - right < 5:
                    before = expected[:, :, row - down, column - right]
                    value = value + irnn.weight[direction] * before + irnn.bias[direction]
                expected[:, :, row, column] = value.detach().relu()
        torch.testing.assert_close(irnn(x)[direction], expected)


def test_spanets_attention_to_directions_is_at_work() -> None:
    network = SPANet(channels=8)
    output = network(torch.rand(1, 3, 16, 20))
    assert output.attention.shape == (1, 1, 16, 20)
    assert ((output.attention > 0) & (output.attention < 1)).all()
    output.restored.sum().backward()
    assert all(p.grad.abs().max() > 0 for p in network.attention.directions.parameters())
    without = shapes(limpid.build("spanet", channels=8, directional=False))
    assert without == {k: v for k, v in shapes(network).items() if "directions" not in k}


def test_dncnn_starts_and_averages_as_its_release() -> None:
    """Orthogonal weights and biases of 0; running statistics take 0.95 of a batch's own; eps is 1e-4."""
    network = limpid.build("dncnn", depth=4, channels=8)
    for layer in network.layers:
        if isinstance(layer, nn.Conv2d):
            rows = layer.weight.detach().flatten(1)
            gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
            torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-5, rtol=0)
            assert layer.bias is None or not layer.bias.any()
    norm = network.layers[3]
    assert norm.eps == 1e-4
    batch = torch.randn(4, 8, 5, 5) + 3
    norm.train()(batch)
    torch.testing.assert_close(norm.running_mean, 0.95 * batch.mean((0, 2, 3)))


def test_srn_starts_as_glorot_and_bengio_draw() -> None:
    network = limpid.build("srn", channels=8, blocks=1)
    weight = network.encoder[0][0].weight
    bound = (6 / ((6 + 8) * 25)) ** 0.5
    assert 0.95 * bound < weight.abs().max() <= bound
    assert not any(parameter.any() for name, parameter in network.named_parameters() if name.endswith("bias"))
