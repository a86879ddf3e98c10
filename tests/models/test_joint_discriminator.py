"""DCPDN's training: what its terms are, where its encoder starts from, and its two optimizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.losses.steps import step
from tests.specs import config, spec_of

import limpid
from limpid.config import instantiate
from limpid.errors import CannotRun, UserError
from limpid.losses.haze_maps import TransmissionEdges, TransmissionFeatures
from limpid.losses.perceptual import PublishedWeights
from limpid.models import joint_discriminator
from limpid.models.joint_discriminator import JointDiscriminator, load_encoder
from limpid.networks.dcpdn import DCPDNOutput
from limpid.networks.densenet import DenseEncoder


def output(transmission: torch.Tensor) -> DCPDNOutput:
    return DCPDNOutput(torch.rand(2, 3, 32, 32), transmission, torch.rand(2, 3))


def test_edges_are_compared_without_their_sign() -> None:
    ramp = torch.linspace(0, 1, 32).expand(2, 1, 32, 32)
    found = output(1 - ramp.expand(2, 3, 32, 32))
    assert TransmissionEdges()(step(found, {"transmission": ramp})).item() == pytest.approx(0, abs=1e-6)
    down = ramp.transpose(-1, -2)
    expected = 2 / 31  # across and down, a slope of 1/31 on one side alone
    assert TransmissionEdges()(step(found, {"transmission": down})).item() == pytest.approx(expected, rel=1e-4)


def test_features_of_the_true_transmission_are_no_distance_away() -> None:
    term = TransmissionFeatures({"relu1_2": 1.0}, weights="random", normalise=False, depth=16)
    true = torch.rand(2, 1, 32, 32)
    assert term(step(output(true.expand(2, 3, 32, 32)), {"transmission": true})).item() == 0
    other = torch.rand(2, 3, 32, 32)
    expected = term.between(other, true.expand(2, 3, 32, 32))
    torch.testing.assert_close(term(step(output(other), {"transmission": true})), expected)
    with pytest.raises(UserError, match="compares the transmission with the true one"):
        term(step(output(other), {}))


def old_name(name: str) -> str:
    """As the file of before 2019 has it: `norm1` inside of a layer is `norm.1`."""
    for part in ("norm1", "norm2", "conv1", "conv2"):
        name = name.replace(f".{part}.", f".{part[:4]}.{part[4]}.")
    return f"features.{name}"


def test_the_encoder_starts_from_densenet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    trained, encoder = DenseEncoder(8, 4, (1, 2, 1)), DenseEncoder(8, 4, (1, 2, 1), norm="instance")
    state = {old_name(name): value for name, value in trained.state_dict().items()}
    assert "features.denseblock2.denselayer1.norm.2.weight" in state
    torch.save({**state, "classifier.weight": torch.zeros(2, 2)}, tmp_path / "dense.pth")
    with pytest.raises(UserError, match=r"is not the published densenet121-a639ec97\.pth"):
        load_encoder(encoder, tmp_path / "dense.pth")
    with pytest.raises(
        CannotRun,
        match=r"DCPDN starts from DenseNet-121 .* or set model\.encoder_weights to another path, or to random",
    ):
        load_encoder(encoder, tmp_path / "none.pth")
    monkeypatch.setattr(joint_discriminator, "DENSENET_121", PublishedWeights("https://x", "dense-.pth"))
    load_encoder(encoder, tmp_path / "dense.pth")
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name]), name


def test_the_discriminator_does_not_decay() -> None:
    words = ["model=dcpdn", "data=scenes", "budget=smoke", "trainer=cpu"]
    model: Any = limpid.model(*words)
    assert isinstance(model, JointDiscriminator)
    model.lr_scheduler = None
    network, discriminator = model.configure_optimizers()
    assert [group["weight_decay"] for group in network.param_groups] == [5e-5]
    assert [group["weight_decay"] for group in discriminator.param_groups] == [0.0]


def test_a_row_of_dcpdn_tells_where_transmissions_are_missing(tmp_path: Path) -> None:
    spec = spec_of("rfd/table5/dcpdn", tmp_path)
    model = instantiate.construct(spec.config["loss"], "loss")
    assert model.requires == {"transmission", "airlight", "scores"}


@pytest.mark.parametrize(("budget", "channels"), [("paper", 64), ("mini", 8), ("smoke", 4)])
@pytest.mark.parametrize("row", ["rfd/table5/dcpdn", "rfd/retrained/dcpdn"])
def test_the_discriminator_is_narrowed_with_the_network(row: str, budget: str, channels: int) -> None:
    assert config(row, f"budget={budget}")["model"]["discriminator"]["channels"] == channels
