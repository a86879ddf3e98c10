"""SVDO by closed forms and against numpy, its gradient where eigenvalues repeat, and the correlation it lowers."""

from __future__ import annotations

from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tests.losses.steps import step
from torch import Tensor

from limpid.errors import UserError
from limpid.losses.svdo import SVDO, channel_correlation, eigenvalue_spread, gram, svdo
from limpid.networks.fdr import FDRNet, FDROutput

CONF = Path(__file__).resolve().parents[2] / "conf"


def orthonormal_rows(images: int, channels: int, height: int, width: int) -> Tensor:
    """Features whose channels are orthonormal in every image: `(N, C, H, W)` in float64."""
    random = torch.randn(images, height * width, channels, dtype=torch.float64)
    return torch.linalg.qr(random).Q.mT.reshape(images, channels, height, width)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("normalize", ["none", "hw", "trace"])
def test_orthonormal_channels_cost_nothing(normalize: str) -> None:
    features = orthonormal_rows(2, 6, 4, 5)
    assert svdo([features, 3 * features], normalize) < 1e-20
    assert svdo([torch.rand(2, 6, 4, 5)], normalize) > 1e-6


def test_closed_form_on_diagonal_grams() -> None:
    scales = torch.tensor([[3.0, 1.0, 2.0], [0.5, 0.5, 1.0]], dtype=torch.float64)
    features = orthonormal_rows(2, 3, 4, 5) * scales[:, :, None, None]
    spreads = torch.tensor([9.0 - 1.0, 1.0 - 0.25], dtype=torch.float64)  # eigenvalues are the squared norms
    torch.testing.assert_close(eigenvalue_spread(gram(features)), spreads)
    torch.testing.assert_close(svdo([features]), spreads.square().mean())
    torch.testing.assert_close(svdo([features], "hw"), (spreads / 20).square().mean())
    means = torch.tensor([14.0 / 3, 1.5 / 3], dtype=torch.float64)
    torch.testing.assert_close(svdo([features], "trace"), (spreads / means).square().mean())


def test_against_numpy() -> None:
    features = torch.randn(3, 5, 6, 7)
    expected = []
    for image in features.double().flatten(2).numpy():
        values = np.linalg.eigvalsh(image @ image.T)
        expected.append((values[-1] - values[0]) ** 2)
    assert svdo([features]).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_positions_may_be_mixed_and_the_trace_form_rescaled() -> None:
    features = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    mixing = torch.linalg.qr(torch.randn(15, 15, dtype=torch.float64)).Q
    mixed = (features.flatten(2) @ mixing).reshape(features.shape)
    for normalize in ("none", "hw", "trace"):
        torch.testing.assert_close(svdo([mixed], normalize), svdo([features], normalize))
    torch.testing.assert_close(svdo([7 * features], "trace"), svdo([features], "trace"))
    torch.testing.assert_close(svdo([7 * features]), 7**4 * svdo([features]))


def test_layers_are_summed_whatever_their_shapes() -> None:
    layers = [torch.randn(2, 4, 6, 6), torch.randn(2, 4, 3, 3), torch.randn(2, 8, 5, 4), torch.randn(2, 4, 6, 6)]
    torch.testing.assert_close(svdo(layers), sum(svdo([layer]) for layer in layers))
    assert svdo([]) == 0


def test_gradient() -> None:
    features = torch.randn(2, 3, 2, 4, dtype=torch.float64, requires_grad=True)
    for normalize in ("none", "hw", "trace"):
        assert torch.autograd.gradcheck(lambda x, n=normalize: svdo([x], n), features)


def test_the_gradient_at_repeated_eigenvalues_is_the_mean_over_their_space() -> None:
    basis = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    matrix = (basis * torch.tensor([4.0, 4.0, 2.0, 1.0, 1.0], dtype=torch.float64)) @ basis.T
    matrix = matrix[None].requires_grad_()
    spread = eigenvalue_spread(matrix)
    (gradient,) = torch.autograd.grad(spread, matrix)
    largest, smallest = basis[:, :2] @ basis[:, :2].T, basis[:, 3:] @ basis[:, 3:].T
    assert spread.item() == pytest.approx(3.0)
    torch.testing.assert_close(gradient[0], largest / 2 - smallest / 2)


@pytest.mark.parametrize("normalize", ["none", "hw", "trace"])
@pytest.mark.parametrize("kind", ["zeros", "equal channels", "orthonormal"])
def test_the_gradient_is_finite_where_eigenvalues_repeat(kind: str, normalize: str) -> None:
    features = {
        "zeros": torch.zeros(2, 4, 5, 5),
        "equal channels": torch.rand(2, 1, 5, 5).expand(2, 4, 5, 5),
        "orthonormal": orthonormal_rows(2, 4, 5, 5).float(),
    }[kind]
    features = features.clone().requires_grad_()
    loss = svdo([features], normalize)
    loss.backward()
    assert loss.isfinite()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_what_is_not_finite_gives_nan_and_no_exception() -> None:
    features = torch.rand(2, 4, 5, 5)
    features[1, 2, 3, 3] = torch.inf
    assert eigenvalue_spread(gram(features)).isnan().tolist() == [False, True]


def test_bfloat16_features_are_measured_in_float32() -> None:
    features = torch.randn(2, 8, 16, 16).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        measured = svdo([features])
        correlation = channel_correlation(features)
    torch.testing.assert_close(measured, svdo([features.float()]))
    torch.testing.assert_close(correlation, channel_correlation(features.float()))


def test_the_printed_loss_is_l1_and_the_weighted_term() -> None:
    loss = hydra.utils.instantiate(OmegaConf.load(CONF / "loss" / "fdr.yaml"))
    network = FDRNet(channels=16, phases=2, pm_blocks=1, aux_blocks=1)
    batch = {"input": torch.rand(2, 3, 20, 24), "target": torch.rand(2, 3, 20, 24)}
    output = network(batch["input"])
    total, terms = loss(step(output, batch))
    torch.testing.assert_close(terms["svdo"], svdo(output.features))
    torch.testing.assert_close(total, terms["l1"] + 1e-5 * terms["svdo"])
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_a_network_without_features_is_refused_and_without_layers_costs_nothing() -> None:
    image = torch.rand(1, 3, 8, 8)
    assert SVDO()(step(FDROutput(image, (), ()), {})) == 0
    with pytest.raises(UserError, match="network=fdr"):
        SVDO()(step(image, {}))
    with pytest.raises(UserError, match="none, hw, trace"):
        SVDO(normalize="mean")


def test_correlation_against_numpy() -> None:
    features = torch.randn(2, 5, 6, 7) + 0.5 * torch.randn(2, 1, 6, 7) + torch.arange(5.0).view(1, 5, 1, 1)
    for image, value in zip(features, channel_correlation(features), strict=True):
        matrix = np.abs(np.corrcoef(image.double().flatten(1).numpy()))
        assert value.item() == pytest.approx((matrix.sum() - 5) / 20, rel=1e-5)


def test_correlation_closed_forms() -> None:
    row = torch.tensor([1.0, -1.0, 1.0, -1.0]).expand(1, 4, 4)
    column = row.mT
    same, opposite, unrelated = (
        torch.stack([row, row], 1),
        torch.stack([row, 2 - 3 * row], 1),
        torch.stack([row, column], 1),
    )
    assert channel_correlation(same).item() == pytest.approx(1)
    assert channel_correlation(opposite).item() == pytest.approx(1)
    assert channel_correlation(unrelated).item() == pytest.approx(0, abs=1e-6)


def test_constant_channels_have_no_correlation() -> None:
    varying = torch.rand(1, 2, 16, 16)
    constant = torch.full((1, 2, 16, 16), 0.1)
    expected = channel_correlation(varying)
    torch.testing.assert_close(channel_correlation(torch.cat([varying, constant], 1)), expected)
    assert channel_correlation(constant).isnan().all()
