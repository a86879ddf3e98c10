"""MPRNet, XYDeblur, NLCL, PatchGAN, pix2pix, AOSR-Net, VGG-19: exact sizes, and what each must do whatever its weights."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

import limpid
from limpid.errors import UserError
from limpid.networks.aosr import AOSRNet, Mixup, integrated_variable, post_restoring
from limpid.networks.frozen import Frozen
from limpid.networks.mprnet import Lift, MPRNet, _resize
from limpid.networks.patchgan import PatchGAN
from limpid.networks.pix2pix import Pix2pixGenerator
from limpid.networks.vgg import IMAGENET_MEAN, IMAGENET_STD, VGGFeatures
from limpid.networks.xydeblur import XYDeblur


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture
def narrow() -> MPRNet:
    torch.manual_seed(0)
    return MPRNet(channels=8, level_step=4, orsnet_step=4, orsnet_blocks=1).eval()


@pytest.mark.parametrize(
    ("channels", "level_step", "orsnet_step", "count"),
    [(40, 20, 16, 3_637_249), (80, 48, 32, 15_741_025), (96, 48, 32, 20_127_073)],
)
def test_mprnet_has_its_authors_three_sizes(channels: int, level_step: int, orsnet_step: int, count: int) -> None:
    network = limpid.build("mprnet", channels=channels, level_step=level_step, orsnet_step=orsnet_step)
    assert parameters(network) == count


def test_mprnet_has_one_slope_and_no_bias(narrow: MPRNet) -> None:
    names = list(narrow.state_dict())
    assert [name for name in names if not name.endswith(".weight")] == ["slope"]
    assert narrow.slope.shape == (1,)
    assert len(names) == len(list(narrow.parameters())), "each parameter is stored once"
    assert copy.deepcopy(narrow).slope is not narrow.slope


def test_mprnets_stages_add_to_the_input(narrow: MPRNet) -> None:
    with torch.no_grad():
        for layer in (narrow.tail, *(a.to_image for a in narrow.attentions)):
            layer.weight.zero_()
        x = torch.rand(1, 3, 19, 30)
        output = narrow(x)
    assert len(output.stages) == 3
    assert output.restored is output.stages[-1]
    for stage in output.stages:
        torch.testing.assert_close(stage, x)


def test_mprnets_first_stage_sees_quarters_and_the_second_halves(narrow: MPRNet) -> None:
    x = torch.rand(1, 3, 32, 48)
    changed = x.clone()
    changed[..., 16:, 24:] = torch.rand(1, 3, 16, 24)  # the lower right quarter
    names = ["stage1.encoder.level1", "stage1.decoder.level1", "stage2.encoder.level1", "stage2.decoder.level1"]
    with torch.no_grad():
        before, after = narrow(x, features=names), narrow(changed, features=names)
        alone = narrow.encoders[0](narrow.shallow[0](x[..., :16, 24:], narrow.slope), narrow.slope)[0]
    same = {name: (before.features[name] == after.features[name]).all(1)[0] for name in names}
    assert same["stage1.encoder.level1"][:16].all()
    assert same["stage1.encoder.level1"][16:, :24].all()
    assert same["stage1.decoder.level1"][:16].all()
    assert not same["stage1.decoder.level1"][16:, :24].any()
    assert same["stage2.encoder.level1"][:16].all()
    assert not same["stage2.decoder.level1"][:16].all()
    torch.testing.assert_close(before.features["stage1.encoder.level1"][..., :16, 24:], alone)


def test_mprnets_features_have_names_and_leave_the_image_as_it_is(narrow: MPRNet) -> None:
    x = torch.rand(2, 3, 32, 24)
    with torch.no_grad():
        plain, output = narrow(x), narrow(x, features=MPRNet.FEATURES)
    torch.testing.assert_close(plain.restored, output.restored)
    assert plain.features == {}
    shapes = {1: (2, 8, 32, 24), 2: (2, 12, 16, 12), 3: (2, 16, 8, 6)}
    for name, feature in output.features.items():
        assert feature.shape == ((2, 12, 32, 24) if name == "stage3.orsnet" else shapes[int(name[-1])]), name
    assert len(output.features) == 13
    with pytest.raises(ValueError, match=r"no features \['stage2.level3'\]"):
        narrow(x, features=["stage2.level3"])


def test_every_parameter_of_mprnet_learns_from_its_last_stage(narrow: MPRNet) -> None:
    narrow(torch.rand(1, 3, 16, 16)).restored.square().sum().backward()
    idle = [name for name, p in narrow.named_parameters() if p.grad is None or not p.grad.any()]
    assert [name for name in idle if "attention." not in name] == []  # the ReLU of so narrow an attention may be off
    assert all(p.grad is not None for p in narrow.parameters())


def test_mprnet_may_convolve_before_it_enlarges() -> None:
    lift = Lift([4, 6, 8], 2, 5).double()
    x = torch.rand(1, 8, 5, 7, dtype=torch.float64)
    enlarged_first = x
    for conv in lift.convs[:2]:
        enlarged_first = conv(_resize(enlarged_first, 2.0))
    torch.testing.assert_close(lift(x), lift.convs[2](enlarged_first))


def test_xydeblur_sums_both_orientations_of_one_decoder() -> None:
    network = XYDeblur(channels=4, blocks=1)
    x = torch.rand(1, 3, 12, 20)
    seen: list[list[torch.Tensor]] = []
    network.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        restored = network(x)
        upright, turned = seen
        for a, b in zip(upright, turned, strict=True):
            torch.testing.assert_close(b, a.transpose(2, 3).flip(2))
        second = network.decoder(turned).flip(2).transpose(2, 3)
        torch.testing.assert_close(restored, network.decoder(upright) + second + x)
        network.decoder.tail.weight.zero_()
        network.decoder.tail.bias.fill_(0.125)
        torch.testing.assert_close(network(x), x + 0.25)


def test_nlcl_works_in_minus_one_to_one() -> None:
    network = limpid.build("nlcl")
    with torch.no_grad():
        network.tail[-1].weight.zero_()
        network.tail[-1].bias.fill_(0.5)
        torch.testing.assert_close(network(torch.rand(1, 3, 16, 16)), torch.full((1, 3, 16, 16), 0.75))


def test_patchgan_counts() -> None:
    assert parameters(PatchGAN()) == 2_764_737
    assert parameters(PatchGAN(image_channels=6, norm="batch")) == 2_768_705


def test_patchgan_judges_patches_of_70_pixels() -> None:
    network = PatchGAN(channels=4, norm="none", weight_std=0.5).double()
    x = torch.rand(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    scores = network(x)
    assert scores.shape == (1, 1, 14, 14)
    scores[0, 0, 7, 7].backward()
    assert x.grad is not None
    rows, columns = x.grad.abs().sum((0, 1)).nonzero(as_tuple=True)
    assert int(rows.max() - rows.min()) + 1 == int(columns.max() - columns.min()) + 1 == 70


def test_patchgan_needs_24_pixels_and_says_so() -> None:
    network = PatchGAN(channels=4)
    assert network(torch.rand(1, 3, 24, 24)).shape == (1, 1, 1, 1)
    with pytest.raises(UserError, match=r"at least 24 pixels a side; this one is 30x23: give a larger data.crop"):
        network(torch.rand(1, 3, 23, 30))
    with pytest.raises(ValueError, match="norm is 'group'"):
        PatchGAN(norm="group")


def test_pix2pix_stays_in_range_and_drops_three_levels_in_training_only() -> None:
    network = Pix2pixGenerator(channels=2)
    assert sum(isinstance(module, nn.Dropout) for module in network.modules()) == 3
    x = torch.rand(2, 3, 20, 300)
    with torch.no_grad():
        assert (network(x) != network(x)).any()
        network.eval()
        y = network(x)
        assert (network(x) == y).all()
        assert y.shape == x.shape
        assert y.min() >= 0
        assert y.max() <= 1


@pytest.mark.parametrize(("channels", "count"), [(64, 4_297_230), (32, 1_079_566), (16, 272_526)])
def test_aosr_net_has_its_three_widths(channels: int, count: int) -> None:
    network = AOSRNet(channels)
    assert parameters(network) == count
    assert sum(isinstance(module, nn.PReLU) for module in network.modules()) == 9  # 4 + 2 + 3
    assert parameters(AOSRNet(channels, mixup=None)) == count - 2


def test_aosr_nets_two_outputs_obey_equation_5() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 3, 18, 21)
    for arm in ("phi", "restored"):
        output = AOSRNet(channels=4, estimates=arm)(x)
        torch.testing.assert_close(output.restored, output.phi * (x - 1.6) + 1.0)
    assert output._fields == ("phi", "restored")
    other = AOSRNet(channels=4, control_alpha=2.0, control_beta=0.5)(x)
    torch.testing.assert_close(other.restored, other.phi * (x - 2.0) + 0.5)
    with pytest.raises(ValueError, match="estimates is 'both'"):
        AOSRNet(estimates="both")
    with pytest.raises(ValueError, match="two numbers"):
        AOSRNet(mixup=[-1.0])


def test_aosr_nets_mixups_start_at_their_factors() -> None:
    shallow, deep = torch.rand(2, 4, 5), torch.rand(2, 4, 5)
    torch.testing.assert_close(Mixup(0.0)(shallow, deep), (shallow + deep) / 2)
    share = 1 / (1 + math.e)  # sigmoid(-1) = 0.269 of the shallow features
    torch.testing.assert_close(Mixup(-1.0)(shallow, deep), share * shallow + (1 - share) * deep)
    factors = [mixup.factor for mixup in AOSRNet(channels=4).mixups]
    assert [round(float(f.detach().sigmoid()), 3) for f in factors] == [0.269, 0.354]
    mixup = Mixup(-1.0)
    mixup(shallow, deep).sum().backward()
    assert mixup.factor.grad is not None


def test_with_beta_1_the_airlight_and_the_transmission_cancel_from_phi() -> None:
    generator = torch.Generator().manual_seed(0)
    clear, transmission = torch.rand(2, 3, 40, 40, generator=generator, dtype=torch.float64)
    airlight = torch.tensor([0.8, 0.6, 0.3], dtype=torch.float64).view(3, 1, 1)
    t = 0.55 + 0.45 * transmission
    complement, alpha = 1 - airlight, 1.6
    sandy = airlight + (clear - complement) * t  # equation 2
    assert sandy.max() < alpha
    phi = (sandy - airlight + t * (complement - 1.0)) / (t * (sandy - alpha))  # equation 6
    torch.testing.assert_close(phi, (1 - clear) / (alpha - sandy), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(post_restoring(phi, sandy), clear, rtol=1e-9, atol=1e-9)
    # The image that a file holds is clipped: there only `integrated_variable` restores the clear image.
    clipped = sandy.clamp(0, 1)
    assert (clipped != sandy).double().mean() > 0.05
    exact = integrated_variable(clear, sandy)
    torch.testing.assert_close(post_restoring(exact, clipped), clear, rtol=1e-9, atol=1e-9)
    assert (post_restoring(phi, clipped) - clear).abs().max() > 0.01
    assert exact.min() >= 0
    assert exact.max() <= 5 / 3


#: The convolutions of torchvision's `vgg19().features`: index, channels in, channels out.
TORCHVISION = (
    *((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), (12, 256, 256), (14, 256, 256)),
    *((16, 256, 256), (19, 256, 512), (21, 512, 512), (23, 512, 512), (25, 512, 512), (28, 512, 512)),
    *((30, 512, 512), (32, 512, 512), (34, 512, 512)),
)


def test_vgg19_has_torchvisions_state_dict() -> None:
    with torch.device("meta"):
        network = VGGFeatures(["relu5_4"])
        shallow = VGGFeatures(["relu2_1", "relu1_2"])
    expected = {}
    for index, channels_in, channels_out in TORCHVISION:
        expected[f"features.{index}.weight"] = (channels_out, channels_in, 3, 3)
        expected[f"features.{index}.bias"] = (channels_out,)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == expected
    assert parameters(network) == 20_024_384
    assert list(shallow.state_dict()) == list(expected)[:6]
    with pytest.raises(ValueError, match="must be some of conv1_1"):
        VGGFeatures(["fc6"])


def test_vgg19_gives_the_activations_after_the_named_layers() -> None:
    network = VGGFeatures(["relu1_1", "relu2_1"])
    x = torch.rand(1, 3, 16, 18)
    normalised = (x - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    f = network.features
    with torch.no_grad():
        first = f[0](normalised).relu()
        second = f[5](nn.functional.max_pool2d(f[2](first).relu(), 2)).relu()
        activations = network(x)
        torch.testing.assert_close(activations["relu1_1"], first)
        torch.testing.assert_close(activations["relu2_1"], second)
        network.normalise = False
        torch.testing.assert_close(network(x)["relu1_1"], f[0](x).relu())


def test_vgg19_draws_the_same_weights_for_a_seed() -> None:
    a, b, c = (VGGFeatures(["relu1_2"]) for _ in range(3))
    before = torch.get_rng_state()
    a.draw(1), b.draw(1), c.draw(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(a.features[2].weight, b.features[2].weight)
    assert not torch.equal(a.features[2].weight, c.features[2].weight)
    assert abs(float(a.features[2].weight.detach().std()) - math.sqrt(2 / (9 * 64))) < 1e-3


def test_a_frozen_network_is_used_but_belongs_to_nobody() -> None:
    class Holder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.Linear(2, 2)
            self.teacher = Frozen(nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)))

    holder = Holder()
    assert set(holder.state_dict()) == {"own.weight", "own.bias"}
    assert parameters(holder) == parameters(holder.own)
    holder.double().train()
    held = holder.teacher.module
    assert not held.training
    assert all(p.dtype is torch.float64 and not p.requires_grad for p in held.parameters())
    assert held[1].running_mean.dtype is torch.float64
    x = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    holder.teacher(x).sum().backward()
    assert x.grad is not None
    twin = copy.deepcopy(holder)
    assert twin.teacher.module is not held
    assert holder.to("meta").teacher.module[0].weight.is_meta
    assert not twin.teacher.module[0].weight.is_meta
