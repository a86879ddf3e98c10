"""DID-MDN against its table of layers, written out, and what its classifier decides."""

from __future__ import annotations

import pytest
import torch
from tests.networks.test_networks import parameters
from torch import Tensor
from torch.nn import functional as F

import limpid
from limpid.errors import UserError
from limpid.inference import Tiled, restore
from limpid.networks.did_mdn import DIDMDN

#: Modes of the transitions of each stream: half, same and twice the size.
DERAIN = (("D", "N", "N", "N", "N", "U"), ("D", "D", "N", "N", "U", "U"), ("D", "D", "D", "U", "U", "U"))
RESIDUAL = (("N",) * 6, ("D", "N", "N", "N", "N", "U"), ("D", "D", "N", "N", "U", "U"))
SMALL = {"side": 14, "stem": 3, "classifier_channels": 2, "hidden": 5}


def layer(s: dict[str, Tensor], n: str, x: Tensor) -> Tensor:
    weight = s[f"{n}.weight"]
    return F.conv2d(x, weight, s.get(f"{n}.bias"), padding=weight.shape[-1] // 2)


def bn(s: dict[str, Tensor], n: str, x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, s[f"{n}.weight"], s[f"{n}.bias"], training=True)


def up(x: Tensor, times: int = 2) -> Tensor:
    return x.repeat_interleave(times, -1).repeat_interleave(times, -2)


def plain_stream(s: dict[str, Tensor], n: str, modes: tuple[str, ...], x: Tensor, join: str) -> tuple[Tensor, Tensor]:
    features: list[Tensor] = []
    y = x
    for j, mode in enumerate(modes):
        m = f"{n}.levels.{j}"
        squeezed = layer(s, f"{m}.0.conv1", bn(s, f"{m}.0.norm1", y).relu())
        y = torch.cat([y, layer(s, f"{m}.0.conv2", bn(s, f"{m}.0.norm2", squeezed).relu())], 1)
        y = torch.einsum("nihw,io->nohw", bn(s, f"{m}.1.norm", y).relu(), s[f"{m}.1.conv.weight"][:, :, 0, 0])
        y = F.avg_pool2d(y, 2) if mode == "D" else up(y) if mode == "U" else y
        features.append(y)
        if j in (3, 4):
            earlier = features[4 - j]
            y = torch.cat([y, earlier], 1) if join == "cat" else y + earlier
    return features[5], features[0]


def plain_pyramid(s: dict[str, Tensor], n: str, f: Tensor) -> Tensor:
    means = [
        up(F.leaky_relu(layer(s, f"{n}.scales.{k}", F.avg_pool2d(f, window)), 0.2), window)
        for k, window in enumerate((32, 16, 8, 4))
    ]
    return layer(s, f"{n}.refine", torch.cat([*means, f], 1)).tanh()


def plain_residual(s: dict[str, Tensor], n: str, x: Tensor, label: float) -> Tensor:
    ends = [plain_stream(s, f"{n}.streams.{k}", modes, x, "sum")[0] for k, modes in enumerate(RESIDUAL)]
    planes = torch.full_like(x[:, :1], label).repeat(1, 4, 1, 1)
    z = torch.cat([ends[0], x, ends[1], ends[2], planes], 1)
    return plain_pyramid(s, f"{n}.pyramid", F.leaky_relu(layer(s, f"{n}.refine", z), 0.2))


def plain_derain(s: dict[str, Tensor], x: Tensor, label: float) -> tuple[Tensor, Tensor]:
    ends = []
    for k, modes in enumerate(DERAIN):
        last, first = plain_stream(s, f"derain.streams.{k}", modes, x, "cat")
        detail = F.leaky_relu(layer(s, f"derain.details.{k}", first), 0.2)
        detail = up(detail)  # every first block halves the size
        ends.append(torch.cat([last, detail, detail, detail, detail, detail, x], 1))
    planes = torch.full_like(x[:, :1], label).repeat(1, 8, 1, 1)
    z = torch.cat([ends[0], x, ends[1], ends[2], planes], 1)
    assert z.shape[1] == 47
    rain = plain_pyramid(s, "derain.pyramid", F.leaky_relu(layer(s, "derain.refine", z), 0.2))
    clear = layer(s, "derain.refine_clear2", F.leaky_relu(layer(s, "derain.refine_clear1", x - rain), 0.2)).tanh()
    return rain, clear


@pytest.fixture
def network() -> DIDMDN:
    torch.manual_seed(0)
    made = limpid.build("did_mdn", **SMALL).double().eval()
    for name, parameter in made.named_parameters():  # scales and offsets that are not 1 and 0
        if "norm" in name:
            torch.nn.init.uniform_(parameter, 0.2, 1.2)
    assert isinstance(made, DIDMDN)
    return made


def image(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_its_networks_have_the_parameters_of_the_release() -> None:
    with torch.device("meta"):
        made = limpid.build("did_mdn")
    assert isinstance(made, DIDMDN)
    counts = [parameters(part) for part in (made.derain, made.density.residual, made.density.classifier)]
    assert counts == [365_236, 103_609, 65_501_084]
    assert made.density.classifier.linear1.in_features == 127_896


@pytest.mark.parametrize("label", [0, 2])
def test_it_is_its_table_of_layers(network: DIDMDN, label: int) -> None:
    x, s = image(32, 64), network.state_dict()
    with torch.no_grad():
        found = network.without_rain(x, torch.tensor([label]))
        rain, clear = plain_derain(s, 2 * x - 1, label)
        torch.testing.assert_close(found.restored, (clear + 1) / 2)
        torch.testing.assert_close(found.rain, rain / 2)
        heavy = plain_residual(s, "density.residual", 2 * x - 1, 0)
        torch.testing.assert_close(network.without_heavy_rain(x), x - heavy / 2)


def test_the_classifier_is_its_formula(network: DIDMDN) -> None:
    s, n = network.state_dict(), "density.classifier"
    x = 2 * image(14, 14) - 1
    with torch.no_grad():
        y = layer(s, f"{n}.conv2", bn(s, f"{n}.norm1", layer(s, f"{n}.conv1", x)).relu()).relu()
        y = y.reshape(1, 2, 2, 7, 2, 7).mean((3, 5)).flatten(1)
        y = (y @ s[f"{n}.linear1.weight"].T + s[f"{n}.linear1.bias"]).relu()
        expected = y @ s[f"{n}.linear2.weight"].T + s[f"{n}.linear2.bias"]
        torch.testing.assert_close(network.density.classifier(x), expected)


def test_the_likeliest_of_the_three_densities_decides(network: DIDMDN) -> None:
    x = image(32, 32)
    with torch.no_grad():
        for label in range(3):
            last = network.density.classifier.linear2
            last.weight.zero_()
            last.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 9.0]))  # the fourth is not used
            last.bias[label] = 1.0
            expected = network.without_rain(x, torch.tensor([label])).restored
            assert torch.equal(network(x), expected)


def test_tiles_are_given_the_density_of_the_whole_image() -> None:
    """A picture whose halves would be told apart is restored with one density, as the whole is."""
    torch.manual_seed(0)
    network = limpid.build("did_mdn", **SMALL).eval()
    seen: list[Tensor] = []
    derain = network.derain.forward
    network.derain.forward = lambda x, label: (seen.append(label), derain(x, label))[1]
    x = torch.cat([torch.full((1, 3, 48, 32), 0.9), torch.rand(1, 3, 48, 32)], 3)
    restore(network, x)
    Tiled(tile=32, overlap=8, blend=4, statistics=1.0)(network, x)
    assert len(seen) > 4
    assert {int(label) for label in seen} == {int(seen[0])}


def test_a_classifier_without_windows_or_classes_is_refused() -> None:
    with pytest.raises(UserError, match="side is at least 7"):
        limpid.build("did_mdn", side=6)
    with pytest.raises(UserError, match="classes 3"):
        limpid.build("did_mdn", classes=2)
