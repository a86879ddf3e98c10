"""Charbonnier's penalty and edges, against closed forms and a direct definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.losses.steps import step

from limpid.losses.charbonnier import Charbonnier, Edge
from limpid.networks.mprnet import MPRNetOutput


def staged(*images: torch.Tensor) -> MPRNetOutput:
    return MPRNetOutput(images[-1], images, {})


def test_charbonnier_is_the_root_of_squares_summed_over_stages() -> None:
    target = torch.rand(2, 3, 5, 6)
    assert float(Charbonnier(0.01)(step(target, {"target": target}))) == pytest.approx(0.01)
    output = staged(target + 0.03, target - 0.04, target)
    expected = (0.03**2 + 0.01**2) ** 0.5 + (0.04**2 + 0.01**2) ** 0.5 + 0.01
    assert float(Charbonnier(0.01)(step(output, {"target": target}))) == pytest.approx(expected, rel=1e-5)


def smooth(image: np.ndarray, line: list[float]) -> np.ndarray:
    padded = np.pad(image, 2, mode="edge")
    result = np.zeros_like(image)
    for i in range(5):
        for j in range(5):
            result += line[i] * line[j] * padded[i : i + image.shape[0], j : j + image.shape[1]]
    return result


@pytest.mark.parametrize("size", [(8, 10), (7, 9)])
def test_edges_are_what_halving_loses(size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size)
    edges = Edge().edges(image)
    for channel in range(3):
        plane = image[0, channel].double().numpy()
        halved = np.zeros_like(plane)
        halved[::2, ::2] = 4 * smooth(plane, [0.05, 0.25, 0.4, 0.25, 0.05])[::2, ::2]
        expected = plane - smooth(halved, [0.05, 0.25, 0.4, 0.25, 0.05])
        np.testing.assert_allclose(edges[0, channel].numpy(), expected, atol=1e-6)


def test_a_slope_has_no_edges() -> None:
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    image = (0.01 * rows + 0.02 * columns).expand(1, 3, 20, 24)
    assert Edge().edges(image)[..., 6:-6, 6:-6].abs().max() < 1e-6


def test_the_edge_term_sums_over_stages_and_ignores_a_shift() -> None:
    target = torch.rand(1, 3, 12, 16)
    term = Edge(epsilon=1e-3)
    middle = torch.zeros_like(target)
    middle[..., 6, 8] = 0.5
    one = float(term(step(target + middle, {"target": target})))
    expected = float((term.edges(middle).square() + 1e-6).sqrt().mean())
    assert one == pytest.approx(expected, rel=1e-4)
    assert float(term(step(staged(target + middle, target), {"target": target}))) == pytest.approx(one + 1e-3, rel=1e-4)
    assert dict(term.state_dict()) == {}


def test_both_are_finite_in_bfloat16_with_gradients_at_zero_difference() -> None:
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = Charbonnier()(step(x, {"target": x.detach()})) + Edge()(step(x.bfloat16(), {"target": x.detach()}))
    assert value.dtype is torch.float32
    value.backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
