"""The losses of conf/loss that belong to AOSR-Net, MPRNet and Uni-Removal: they are made, and they weigh as printed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.losses.steps import step

import limpid
from limpid.config import instantiate
from limpid.config.compose import compose
from limpid.losses import WeightedLoss
from limpid.networks.aosr import AOSRNet, AOSROutput
from limpid.networks.mprnet import MPRNet


def made(name: str, **terms: dict[str, Any]) -> WeightedLoss:
    """The loss `name` of the configs with changed arguments of some terms."""
    loss_config = compose([f"loss={name}", "model=aosr"]).config["loss"]
    for term, changes in terms.items():
        loss_config["terms"][term]["term"].update(changes)
    instantiate.check(loss_config, "loss")
    loss: WeightedLoss = instantiate.construct(loss_config, "loss")
    return loss


def test_aosr_weighs_both_l1s_and_the_contrast_as_printed() -> None:
    few = {"relu1_1": 0.03125, "relu2_1": 0.0625}
    loss = made("aosr", contrast={"weights": "random", "layers": few})
    x, target = torch.rand(2, 3, 16, 20), torch.rand(2, 3, 16, 20)
    total, terms = loss(step(AOSRNet(channels=4)(x), {"input": x, "target": target}))
    torch.testing.assert_close(total, 0.25 * (terms["l1_phi"] + terms["l1"]) + 0.5 * terms["contrast"])
    # At the right Phi everything is 0, and |dJ| = |dPhi| (1.6 - I).
    phi = (1 - target) / (1.6 - x)
    total, _ = loss(step(AOSROutput(phi, phi * (x - 1.6) + 1), {"input": x, "target": target}))
    assert float(total) < 1e-5
    _, terms = loss(step(AOSROutput(phi + 0.1, (phi + 0.1) * (x - 1.6) + 1), {"input": x, "target": target}))
    assert float(terms["l1_phi"]) == pytest.approx(0.1, rel=1e-4)
    assert float(terms["l1"]) == pytest.approx(float(0.1 * (1.6 - x).mean()), rel=1e-4)


def test_mprnet_weighs_edges_by_a_twentieth() -> None:
    loss = made("mprnet")
    network = MPRNet(channels=8, level_step=4, orsnet_step=4, orsnet_blocks=1)
    x = torch.rand(1, 3, 16, 24)
    total, terms = loss(step(network(x), {"input": x, "target": torch.rand(1, 3, 16, 24)}))
    torch.testing.assert_close(total, terms["charbonnier"] + 0.05 * terms["edge"])


@pytest.mark.parametrize("stage", ["transfer", "adaptation"])
def test_the_stages_of_uni_removal(stage: str) -> None:
    loss = made(f"uni_removal_{stage}", image_contrast={"weights": "random", "layers": ["relu1_1", "relu2_1"]})
    expected = {"image_contrast": 0.1, "feature_contrast": 0.05} | (
        {"teacher_l1": 2.0} if stage == "transfer" else {"adversarial": 1.0, "identity": 0.2}
    )
    assert loss.weights == expected
    student, teacher = (
        limpid.build("mprnet", channels=8, level_step=4, orsnet_step=4, orsnet_blocks=1) for _ in range(2)
    )
    names = ["stage2.decoder.level3"]
    x, clear = torch.rand(3, 3, 24, 24), torch.rand(2, 3, 24, 24)
    batch = {"input": x, "domain": ["haze", "rain", "blur"], "clear": clear, "scores": torch.rand(3, 1, 2, 2)}
    with torch.no_grad():
        batch["teacher"] = teacher(x, features=names)
    batch["clear_output"] = student(clear, features=names)
    batch["clear_features"] = batch["clear_output"].features
    output = student(x, features=names)
    total, _ = loss(step(output, {**batch, "features": output.features}))
    assert torch.isfinite(total)
    total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in student.parameters() if p.grad is not None)
    assert student.slope.grad is not None
    assert all(p.grad is None for p in teacher.parameters())
