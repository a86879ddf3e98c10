"""Every network of the registry: its parameter count, any size of image, and what is special about it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import limpid
from limpid.config.registry import registered
from limpid.errors import UserError
from limpid.inference import restored_image
from limpid.networks.aod_net import AODNet
from limpid.networks.ffa_net import FFANet
from limpid.profiling import parameter_count

#: One entry per network: its parameters at the registry's settings, as its paper's tables count them.
PARAMETERS = {
    "aod_net": 1_761,
    "ffa_net": 2_870_812,
    "rfd_student": 96_007,
    "fsrcnn": 24_683,
    "mc_fsrcnn": 38_427,
    "dsc_mc_fsrcnn": 26_451,
    "relu_mc_fsrcnn": 37_911,
    "dscbn_mc_fsrcnn": 27_837,
    "srresnet": 1_546_752,
    "drn_s": 4_804_065,
    "dehazenet": 8_305,
    "gca_net": 702_818,
    "grid_dehaze": 958_051,
    "msbdn": 31_353_061,
    "msbdn_rdff": 28_712_861,
    "fdr": 1_659_527,
    "dncnn": 669_376,
    "op_attention": 391_456,
    "deep_deblur": 11_721_321,
    "srn": 6_881_251,
    "rescan": 149_823,
    "spanet": 283_716,
    "mprnet": 3_637_249,
    "xydeblur": 4_918_627,
    "nlcl": 316_195,
    "mscnn": 8_014,
    "famed_net": 17_991,
    "gfn": 517_295,
    "pfdn": 11_268_611,
    "dehazing_4k": 34_547_655,
    "dcpdn": 12_439_726,
    "did_mdn": 65_969_929,
    "aosr": 4_297_230,
    "pix2pix_h": 54_413_955,
    "cycle_dehaze": 7_837_699,
    "epdn": 17_378_849,
    "refinednet": 65_794_116,
    "ssid": 9_231_491,
    "dehaze_flow": 39_291_664,
    "da_net": 54_591_388,
    "da_net_translators": 22_937_862,
    "deblurgan": 11_378_179,
    "deblurgan_v2": 35_840_099,
    "deblurgan_v2_mobilenet": 2_106_627,
    "derain_cycle_gan": 6_233_988,
    "rl_restore": 523_931,
    "res_unet": 719_076,
    "res_unet_coarse": 1_202_680,
    "res_unet_veil": 1_220_008,
    "rl_restore_tool": 21_827,
}
#: How many times the super-resolution networks enlarge at the registry's settings; every other network keeps the size.
SCALES = {
    "fsrcnn": 2,
    "mc_fsrcnn": 2,
    "dsc_mc_fsrcnn": 2,
    "relu_mc_fsrcnn": 2,
    "dscbn_mc_fsrcnn": 2,
    "srresnet": 4,
    "drn_s": 4,
}
#: Settings that make a large network quick to test.
SMALL: dict[str, dict[str, Any]] = {
    "ffa_net": {"dim": 16, "blocks": 1},
    "srresnet": {"blocks": 1},
    "drn_s": {"blocks": 1},
    "msbdn": {"blocks": 1},
    "msbdn_rdff": {"blocks": 1},
    "deep_deblur": {"blocks": 1},
    "fdr": {"phases": 2},
    "mprnet": {"channels": 8, "level_step": 4, "orsnet_step": 4, "orsnet_blocks": 1},
    "xydeblur": {"channels": 8, "blocks": 1},
    "aosr": {"channels": 8},
    "pix2pix_h": {"channels": 4},
    "ssid": {"channels": 4, "blocks": [1, 1, 1]},
    "rl_restore": {"tool_channels": 4, "sizes": ["light", "heavy"]},
    "cycle_dehaze": {"channels": 4, "blocks": 1, "side": 64},
    "deblurgan": {"channels": 4, "blocks": 1},
    "deblurgan_v2": {"width": 0.0625, "blocks": [1, 1], "pyramid_channels": 8, "head_channels": 4},
    "deblurgan_v2_mobilenet": {"width": 0.125, "pyramid_channels": 8, "head_channels": 4},
    "derain_cycle_gan": {"channels": 4, "attention_channels": 4, "attention_blocks": 1, "rounds": 2},
    "epdn": {"channels": 4, "enhancer_channels": 4},
    "refinednet": {"channels": 4, "levels": 5, "blocks": 1},
    "pfdn": {"channels": 8, "blocks": 2},
    "did_mdn": {"side": 16, "stem": 4, "classifier_channels": 2, "hidden": 4},
    "dcpdn": {"stem": 8, "growth": 4, "blocks": [1, 1, 1], "decoder": 2},
    "dehazing_4k": {"channels": 4, "guide_channels": 4, "grid": 4, "grid_side": 16, "image_side": 32},
    "dehaze_flow": {"channels": 4, "growth": 4, "blocks": 1, "kept": [0], "steps": 1, "hidden": 8, "attention": 2},
    "da_net": {"channels": 4},
    "res_unet": {"channels": [4, 4], "blocks": [1, 1]},
    "res_unet_coarse": {"channels": [4, 4], "blocks": [1, 1]},
    "res_unet_veil": {"channels": [4, 4], "blocks": [1, 1]},
    "da_net_translators": {"channels": 4, "blocks": 1},
}
#: Networks that divide by what may be near 0, so that rounding shows: they are compared in float64.
DIVIDING = {"dcpdn"}
#: Priors learn nothing; their own tests are in tests/priors.
PRIORS = {"dcp", "wmcp", "mof", "kim2020", "cbcs", "rop", "rop_plus", "gamma", "identity", "percentile_stretch"}
#: What says that a method whose use others restrict may be used.
NONFREE = {name: {"allow_nonfree": True} for name in ("rop", "rop_plus")}
#: What learns on each image anew, with its parameters on one of 460 x 620; tests/zero_shot has the tests.
ZERO_SHOT = {"zid": 42_950_552}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_every_network_of_the_registry_has_an_entry() -> None:
    assert set(registered()) - PRIORS - set(ZERO_SHOT) == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts(name: str) -> None:
    assert parameters(limpid.build(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", ZERO_SHOT)
def test_what_learns_on_each_image_counts_what_it_learns_there(name: str) -> None:
    network = limpid.build(name)
    assert parameters(network) == 0  # until it has an image
    assert parameter_count(network, 460, 620) == ZERO_SHOT[name]


@pytest.mark.parametrize("name", sorted(PRIORS))
def test_priors_keep_a_networks_contract(name: str) -> None:
    prior = limpid.build(name, **NONFREE.get(name, {}))
    assert parameters(prior) == 0
    x = torch.rand(2, 3, 61, 83)
    y = prior(x)
    assert y.shape == x.shape
    assert y.min() >= 0
    assert y.max() <= 1
    torch.testing.assert_close(prior(x[1:]), y[1:])


def test_the_released_ffa_net_has_19_blocks() -> None:
    assert parameters(limpid.build("ffa_net", blocks=19)) == 4_455_913


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("size", [(61, 83), (16, 16), (17, 40)])
def test_any_size_keeps_its_shape(name: str, size: tuple[int, int]) -> None:
    kind = torch.float64 if name in DIVIDING else torch.float32
    network = limpid.build(name, **SMALL.get(name, {})).eval().to(kind)
    with torch.no_grad():
        x = torch.rand(2, 3, *size, dtype=kind)
        y = restored_image(network(x))
        assert y.shape == (2, 3, *(SCALES.get(name, 1) * side for side in size))
        assert torch.isfinite(y).all()
        alone = restored_image(network(x[:1]))
        torch.testing.assert_close(alone, y[:1], rtol=1e-4, atol=1e-5)  # each image is treated alone


def test_aod_net_is_the_identity_where_k_is_one() -> None:
    network = AODNet()
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.conv5.bias.fill_(1.0)
        x = torch.rand(1, 3, 20, 30)
        torch.testing.assert_close(network(x), x)
        network.conv5.bias.fill_(2.0)  # J = K x - K + 1
        torch.testing.assert_close(network(x), (2 * x - 1).relu())


def test_ffa_net_without_weights_adds_nothing_to_its_input() -> None:
    network = FFANet(dim=16, groups=3, blocks=1)
    with torch.no_grad():
        for p in network.tail.parameters():
            p.zero_()
        x = torch.rand(1, 3, 20, 30)
        torch.testing.assert_close(network(x), x)
        mean, std = [0.64, 0.60, 0.58], [0.14, 0.15, 0.152]
        normalising = FFANet(dim=16, groups=3, blocks=1, mean=mean, std=std)
        for p in normalising.tail.parameters():
            p.zero_()
        expected = (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
        torch.testing.assert_close(normalising(x), expected)
    assert set(normalising.state_dict()) == set(network.state_dict()), "normalisation is a setting, not a weight"


def test_a_misspelt_network_or_setting_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'ffa_net'"):
        limpid.build("fa_net")
    with pytest.raises(UserError, match=r"blokcs is not an argument of .*; did you mean 'blocks'"):
        limpid.build("ffa_net", blokcs=3)
