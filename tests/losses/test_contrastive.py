"""The contrastive terms against loops over hand-made vectors; their masks, gradients and numeric safety."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.losses.steps import step
from torch import Tensor, nn

from limpid.losses.contrastive import (
    ContrastiveRegularisation,
    FeatureContrast,
    ImageContrast,
    contrastive_loss,
    other_domains,
)

LAYER_WEIGHTS = {"relu1_1": 0.5, "relu2_1": 2.0}


def cosine(u: Tensor, v: Tensor) -> float:
    return float(u @ v / (u.norm() * v.norm()))


def slow(anchor: Tensor, positives: list[Tensor], negatives: list[Tensor], temperature: float) -> float:
    """Equations 2 and 9 as printed."""
    near = sum(math.exp(cosine(anchor, p) / temperature) for p in positives)
    far = sum(math.exp(cosine(anchor, n) / temperature) for n in negatives)
    return -math.log(near / (near + far))


def images(*, count: int = 2, grad: bool = False, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 24, 32, generator=generator).requires_grad_(grad)


@pytest.fixture(scope="module")
def regularisation() -> ContrastiveRegularisation:
    return ContrastiveRegularisation(LAYER_WEIGHTS, weights="random")


# The loss itself -----------------------------------------------------------------------------------------------


def test_the_loss_is_the_printed_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    a, p, n = (torch.randn(k, 6, generator=generator, dtype=torch.float64) for k in (4, 3, 5))
    positive_mask = torch.rand(4, 3, generator=generator) < 0.5
    positive_mask[:, 0] = True
    negative_mask = torch.rand(4, 5, generator=generator) < 0.5
    values = contrastive_loss(a, p, n, positive_mask, negative_mask, 0.3)
    for i in range(4):
        near = [p[j] for j in range(3) if positive_mask[i, j]]
        far = [n[j] for j in range(5) if negative_mask[i, j]]
        assert float(values[i]) == pytest.approx(slow(a[i], near, far, 0.3), rel=1e-9, abs=1e-12)


def test_hand_made_similarities() -> None:
    # cosines 1 with the positive and 0 with two negatives: -log(e^(1/tau) / (e^(1/tau) + 2))
    a = torch.tensor([[2.0, 0.0, 0.0]])
    n = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 0.5]])
    one, two = torch.ones(1, 1, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool)
    value = contrastive_loss(a, 5 * a, n, one, two, 0.5)
    assert value.item() == pytest.approx(math.log1p(2 * math.exp(-2)), rel=1e-6)
    # two positives, one as near as the negative: one good positive suffices
    value = contrastive_loss(a, torch.cat([a, n[:1]]), n[:1], two, one, 0.5)
    assert value.item() == pytest.approx(-math.log((math.e**2 + 1) / (math.e**2 + 2)), rel=1e-6)
    # nobody to keep away from
    assert float(contrastive_loss(a, n[:1], n[:1], one, ~one, 0.5)) == 0


def test_at_the_printed_temperature_it_is_a_finite_hinge() -> None:
    a = torch.tensor([[1.0, 0.0]])
    p, n = (torch.tensor([[c, math.sqrt(1 - c * c)]]) for c in (0.90, 0.98))
    one = torch.ones(1, 1, dtype=torch.bool)
    assert float(contrastive_loss(a, p, n, one, one, 1e-6)) == pytest.approx(8e4, rel=1e-3)
    assert float(contrastive_loss(a, n, p, one, one, 1e-6)) == 0
    with pytest.warns(UserWarning, match="hinge with slope 1e\\+06"):
        FeatureContrast(["deep"], temperature=1e-6)
    with pytest.raises(ValueError, match="above 0"):
        FeatureContrast(["deep"], temperature=0.0)


def test_no_gradient_reaches_positives_and_negatives() -> None:
    a, p, n = (torch.randn(3, 5, requires_grad=True) for _ in range(3))
    every = torch.ones(3, 3, dtype=torch.bool)
    contrastive_loss(a, p, n, every, every, 0.1).sum().backward()
    assert a.grad is not None
    assert (a.grad.abs().sum(1) > 0).all()
    assert p.grad is None
    assert n.grad is None
    a.grad = None
    contrastive_loss(a, p, a, every, ~torch.eye(3, dtype=torch.bool), 0.1)[0].backward()
    assert a.grad[0].any()
    assert not a.grad[1:].any(), "as a negative, a sample is a constant"


def test_gradients_agree_with_finite_differences() -> None:
    a, p, n = (torch.randn(2, 4, dtype=torch.float64) for _ in range(3))
    every = torch.ones(2, 2, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda x: contrastive_loss(x, p, n, every, every, 0.2), a.requires_grad_())


def test_other_domains_leave_out_oneself_and_ones_kind() -> None:
    mask = other_domains(["haze", "rain", "haze", "blur"])
    assert mask.tolist() == [[0, 1, 0, 1], [1, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 0]]
    assert other_domains(torch.tensor([7, 7, 7])).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert other_domains(["haze"]).tolist() == [[0]]


# The grains of Uni-Removal -------------------------------------------------------------------------------------


def pooled(features: Tensor) -> Tensor:
    return features.mean((2, 3))


@pytest.mark.parametrize("positives", ["teacher", "clear"])
def test_the_feature_grain_is_equations_3_and_10(positives: str) -> None:
    own = {name: torch.randn(4, c, 6, 5, requires_grad=True) for name, c in (("mid", 5), ("deep", 7))}
    count = 4 if positives == "teacher" else 3
    other = {name: torch.randn(count, f.shape[1], 6, 5, requires_grad=True) for name, f in own.items()}
    domains = ["haze", "rain", "haze", "blur"]
    term = FeatureContrast(["mid", "deep"], positives, temperature=0.2)
    given: dict[str, Any] = (
        {"teacher": SimpleNamespace(features=other)} if positives == "teacher" else {"clear_features": other}
    )
    value = term(step(None, {"features": own, "domain": domains, **given}))
    expected = []
    for name in own:
        a, p = pooled(own[name].detach()), pooled(other[name].detach())
        for i in range(4):
            far = [a[j] for j in range(4) if domains[j] != domains[i]]
            expected.append(slow(a[i], [p[i]] if positives == "teacher" else list(p), far, 0.2))
    assert value.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)
    value.backward()
    assert all(feature.grad is not None for feature in own.values())
    assert all(feature.grad is None for feature in other.values())


def test_the_feature_grain_can_keep_places_apart() -> None:
    features = torch.randn(2, 3, 9, 7)
    assert FeatureContrast(["deep"], grid=4).embed(features).shape == (2, 48)
    torch.testing.assert_close(FeatureContrast(["deep"]).embed(features), pooled(features))
    with pytest.raises(ValueError, match="at least one feature"):
        FeatureContrast([])
    with pytest.raises(ValueError, match="teacher or clear"):
        FeatureContrast(["deep"], positives="student")


@pytest.mark.parametrize("positives", ["teacher", "clear"])
def test_the_image_grain_is_equations_4_and_11(positives: str) -> None:
    term = ImageContrast(positives, 0.2, ["relu1_1", "relu2_1"], weights="random")
    restored, degraded = images(count=3, grad=True), images(count=3, seed=1, grad=True)
    other = images(count=3 if positives == "teacher" else 2, seed=2, grad=True)
    key = "teacher" if positives == "teacher" else "clear_output"
    value = term(step(SimpleNamespace(restored=restored), {key: SimpleNamespace(restored=other), "input": degraded}))

    def embed(x: Tensor) -> Tensor:
        parts = [pooled(activation) for activation in term.vgg(x.detach()).values()]
        return torch.cat([part / part.norm(dim=1, keepdim=True) for part in parts], 1)

    a, p, n = embed(restored), embed(other), embed(degraded)
    expected = [slow(a[i], [p[i]] if positives == "teacher" else list(p), list(n), 0.2) for i in range(3)]
    assert value.item() == pytest.approx(sum(expected) / 3, rel=1e-5)
    value.backward()
    assert restored.grad is not None
    assert restored.grad.any()
    assert other.grad is None
    assert degraded.grad is None


# The regularisation of AOSR-Net --------------------------------------------------------------------------------


def test_the_regularisation_is_equation_9(regularisation: ContrastiveRegularisation) -> None:
    restored, target, degraded = images(grad=True), images(seed=1, grad=True), images(seed=2, grad=True)
    value = regularisation(step(restored, {"target": target, "input": degraded}))
    expected = 0.0
    for i in range(2):
        a, p, n = (regularisation.vgg(x[i : i + 1].detach()) for x in (restored, target, degraded))
        for name, weight in LAYER_WEIGHTS.items():
            near, far = (a[name] - p[name]).abs().mean(), (a[name] - n[name]).abs().mean()
            expected += weight * float(near / (far + 1e-7)) / 2
    assert value.item() == pytest.approx(expected, rel=1e-5)
    value.backward()
    assert restored.grad is not None
    assert restored.grad.any()
    assert target.grad is None
    assert degraded.grad is None
    assert all(p.grad is None for p in regularisation.vgg.module.parameters())


def test_all_inputs_of_the_batch_can_be_negatives(regularisation: ContrastiveRegularisation) -> None:
    restored, target, degraded = (
        torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(k)) for k in range(3)
    )
    whole = ContrastiveRegularisation(LAYER_WEIGHTS, weights="random", negatives="batch")
    a, p, n = (whole.vgg(x) for x in (restored, target, degraded))
    expected = 0.0
    for name, weight in LAYER_WEIGHTS.items():
        for i in range(3):
            far = sum(float((a[name][i] - n[name][j]).abs().mean()) for j in range(3)) / 3
            expected += weight * float((a[name][i] - p[name][i]).abs().mean()) / (far + 1e-7) / 3
    batch = {"target": target, "input": degraded}
    assert whole(step(restored, batch)).item() == pytest.approx(expected, rel=1e-5)
    alone = {key: value[:1] for key, value in batch.items()}
    torch.testing.assert_close(whole(step(restored[:1], alone)), regularisation(step(restored[:1], alone)))
    with pytest.raises(ValueError, match="own or batch"):
        ContrastiveRegularisation(LAYER_WEIGHTS, weights="random", negatives="all")


def test_the_regularisation_at_its_ends(regularisation: ContrastiveRegularisation) -> None:
    target, degraded = images(seed=1), images(seed=2)
    batch = {"target": target, "input": degraded}
    assert float(regularisation(step(target, batch))) == 0
    untouched = regularisation(step(degraded, batch))  # the restored image is the input: only epsilon holds the ratio
    assert torch.isfinite(untouched)
    assert untouched > 1e4


def test_each_images_share_is_its_own(regularisation: ContrastiveRegularisation) -> None:
    restored, batch = images(), {"target": images(seed=1), "input": images(seed=2)}
    alone = [
        float(regularisation(step(restored[i : i + 1], {k: v[i : i + 1] for k, v in batch.items()}))) for i in range(2)
    ]
    assert regularisation(step(restored, batch)).item() == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_the_terms_stay_finite_in_bfloat16_and_give_float32(regularisation: ContrastiveRegularisation) -> None:
    restored = images(grad=True)
    features = torch.randn(2, 5, 6, 5, requires_grad=True)
    output: Any = SimpleNamespace(restored=restored, features={"deep": features.bfloat16()})
    other: Any = SimpleNamespace(restored=images(seed=3), features={"deep": features.detach().bfloat16()})
    batch = {"target": images(seed=1), "input": images(seed=2), "teacher": other, "domain": ["haze", "rain"]}
    batch["features"] = output.features
    grains: list[nn.Module] = [
        ImageContrast(layers=["relu1_1", "relu2_1"], weights="random"),
        FeatureContrast(["deep"]),
    ]
    for term in (regularisation, *grains):
        restored.grad = features.grad = None
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = term(step(output, batch))
        assert value.dtype is torch.float32
        assert torch.isfinite(value)
        value.backward()
        gradient = features.grad if isinstance(term, FeatureContrast) else restored.grad
        assert gradient is not None
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("size", [(16, 16), (17, 40)])
def test_any_size_of_image(regularisation: ContrastiveRegularisation, size: tuple[int, int]) -> None:
    batch = {"target": torch.rand(1, 3, *size), "input": torch.rand(1, 3, *size)}
    assert torch.isfinite(regularisation(step(torch.rand(1, 3, *size), batch)))


def test_a_term_saves_no_weights_and_follows_its_type(regularisation: ContrastiveRegularisation) -> None:
    assert dict(regularisation.state_dict()) == {}
    assert list(regularisation.parameters()) == []
    term = ContrastiveRegularisation({"relu1_1": 1.0}, weights="random").double()
    x, batch = images().double(), {"target": images(seed=1).double(), "input": images(seed=2).double()}
    assert torch.isfinite(term(step(x, batch)))
