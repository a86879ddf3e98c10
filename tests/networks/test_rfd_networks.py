"""The networks of Rich Feature Distillation's tables: what each must do if it is wired as its paper says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import limpid
from limpid.errors import UserError
from limpid.inference import restored_image
from limpid.networks.dehazenet import DehazeNet, brightest_of_lowest, guided_filter, hold_inside
from limpid.networks.drn import DRN, MeanShift
from limpid.networks.feature_hooks import forward_with_features
from limpid.networks.fsrcnn import FSRCNN
from limpid.networks.gca_net import GCANet, ResidualBlock, SharedConvolution, edges
from limpid.networks.grid_dehaze import GridDehazeNet
from limpid.networks.msbdn import MSBDN, FeatureFusion, HalfFusion, ResidualDenseBlock
from limpid.networks.padding import pad_to_multiple
from limpid.networks.srresnet import SRResNet
from limpid.priors import filters

SMALL = {
    "fsrcnn": {},
    "dscbn_mc_fsrcnn": {},
    "srresnet": {"blocks": 1, "channels": 16},
    "drn_s": {"blocks": 1},
    "dehazenet": {},
    "gca_net": {"channels": 8},
    "grid_dehaze": {"channels": 4, "growth": 4},
    "msbdn": {"channels": 4, "blocks": 1, "level_blocks": 1},
    "msbdn_rdff": {"channels": 4, "blocks": 1, "level_blocks": 1},
}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def zero(*modules: nn.Module) -> None:
    with torch.no_grad():
        for module in modules:
            for p in module.parameters():
                p.zero_()


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_learns_in_mixed_precision(name: str) -> None:
    torch.manual_seed(0)
    network = limpid.build(name, **SMALL[name]).to(memory_format=torch.channels_last)
    x = torch.rand(2, 3, 33, 35).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        y = network(x)
    images = [restored_image(y), *getattr(y, "smaller", ())]
    torch.stack([image.float().square().mean() for image in images]).sum().backward()
    for key, p in network.named_parameters():
        if p.requires_grad:
            assert p.grad is not None, key
            assert torch.isfinite(p.grad).all(), key


# FSRCNN and its forms ------------------------------------------------------------------------------------------------


def test_each_colour_has_a_branch_of_its_own() -> None:
    torch.manual_seed(0)
    network = limpid.build("mc_fsrcnn", scale=3)
    x = torch.rand(2, 3, 11, 9)

    def part(name: str, colour: int) -> Tensor:
        return network.get_parameter(name).chunk(3)[colour]

    def branch(colour: int) -> Tensor:
        """One single-channel FSRCNN on one colour, by its definition."""
        features = x[:, colour : colour + 1]
        for layer in ("extract", "shrink", *(f"mapping.{i}" for i in range(4)), "expand"):
            weight = part(f"{layer}.0.weight", colour)
            features = F.conv2d(features, weight, part(f"{layer}.0.bias", colour), padding=weight.shape[-1] // 2)
            features = F.prelu(features, part(f"{layer}.1.weight", colour))
        weight, bias = part("upsample.0.weight", colour), network.get_parameter("upsample.0.bias")[colour : colour + 1]
        return F.conv_transpose2d(features, weight, bias, stride=3, padding=4, output_padding=2)

    torch.testing.assert_close(network(x), torch.cat([branch(colour) for colour in range(3)], 1), rtol=1e-4, atol=1e-6)
    assert parameters(network) == 3 * 12_809


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_deconvolution_puts_each_pixel_at_the_head_of_its_square(scale: int) -> None:
    network = FSRCNN(scale, multi_channel=True, features=1, shrunk=1, mappings=2)
    zero(network)
    with torch.no_grad():
        for p in network.parameters():
            if p.ndim == 4:
                p[..., p.shape[-2] // 2, p.shape[-1] // 2] = 1.0
        x = torch.rand(2, 3, 10, 12)
        y = network(x)
    torch.testing.assert_close(y[..., ::scale, ::scale], x)
    torch.testing.assert_close(y.sum(), x.sum())
    assert parameters(FSRCNN(scale)) == 24_683, "the count does not depend on the scale"


def test_separable_and_normalised_counts_are_the_printed_ones() -> None:
    plain, separable = parameters(FSRCNN(multi_channel=True)), parameters(FSRCNN(multi_channel=True, separable=True))
    assert separable == 3 * 8_817
    assert 1 - separable / plain == pytest.approx(0.3115, abs=5e-4)  # rfd section 5.1
    network = limpid.build("dscbn_mc_fsrcnn")
    statistics = sum(b.numel() for name, b in network.named_buffers() if "running" in name)
    assert parameters(network) + statistics == 29_571  # 29.57K of rfd table 3
    with pytest.raises(UserError, match="activation='gelu'"):
        FSRCNN(activation="gelu")


# Taps ----------------------------------------------------------------------------------------------------------------


def test_features_of_teacher_and_student_are_reached_by_name() -> None:
    teacher, student = limpid.build("dsc_mc_fsrcnn"), limpid.build("rfd_student", blocks=1)
    x = torch.rand(2, 3, 16, 20)
    output, features = forward_with_features(teacher, x, ["extract", "mapping", "mapping.3", "expand", "output"])
    assert {tap: tuple(f.shape) for tap, f in features.items()} == {
        "extract": (2, 168, 16, 20),
        "mapping": (2, 36, 16, 20),
        "mapping.3": (2, 36, 16, 20),
        "expand": (2, 168, 16, 20),
        "output": (2, 3, 32, 40),
    }
    torch.testing.assert_close(features["mapping"], features["mapping.3"])
    torch.testing.assert_close(teacher.upsample(features["expand"]), output)
    taps = ["head", "groups.0", "groups.2", "fusion", "output"]
    output, features = forward_with_features(student, x, taps)
    assert list(features) == taps
    assert {f.shape[1] for tap, f in features.items() if tap != "output"} == {16}
    torch.testing.assert_close(output, student(x))
    features["fusion"].square().mean().backward()
    assert student.head.weight.grad is not None, "gradients flow through features"
    assert not any(module._forward_hooks for network in (teacher, student) for module in network.modules())
    with pytest.raises(UserError, match="no part 'group.1' in FFANet"):
        forward_with_features(student, x, ["group.1"])
    with pytest.raises(UserError, match="'groups' of FFANet did not run"):
        forward_with_features(student, x, ["groups"])


def test_a_compiled_network_gives_the_features_of_each_call() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 3))
    network.compile(backend="eager")
    first, second = torch.rand(2, 1, 3, 8, 8)
    network(first)  # the code that is compiled here knows of no taps
    for x in (first, second):
        output, features = forward_with_features(network, x, ["0"])
        torch.testing.assert_close(features["0"], network[0](x))
        torch.testing.assert_close(output, network[2](features["0"].relu()))


# SRResNet and DRN ----------------------------------------------------------------------------------------------------


def test_srresnet_keeps_its_head_around_the_blocks() -> None:
    network = SRResNet(channels=8, blocks=2).eval()
    zero(network.middle[1])
    x = torch.rand(1, 3, 16, 18)
    with torch.no_grad():
        torch.testing.assert_close(network(x), network.tail(network.upsample(network.head(x))))
    assert parameters(SRResNet(scale=2)) == 1_546_752 - 64 * 256 * 9  # one doubling less
    with pytest.raises(UserError, match="scale=3"):
        SRResNet(scale=3)


def test_drn_gives_the_mean_colour_where_its_tails_give_nothing() -> None:
    network = DRN(blocks=1, mean=(0.1, 0.2, 0.3))
    zero(network.tails)
    result = network(torch.rand(1, 3, 16, 17))
    assert [tuple(image.shape[-2:]) for image in (result.restored, *result.smaller)] == [(64, 68), (32, 34), (16, 17)]
    for image in (result.restored, *result.smaller):
        torch.testing.assert_close(image, torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1).expand_as(image))
    frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
    assert frozen == 24, "the two shifts by the mean colour"
    shifts = nn.Sequential(MeanShift((1.0, 2.0, 3.0), -1), MeanShift((1.0, 2.0, 3.0), 1))
    x = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(shifts(x), x)


def test_a_level_of_drn_acts_on_its_own_scale_and_finer_ones_only() -> None:
    torch.manual_seed(0)
    network = DRN(blocks=1).eval()
    x = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        before = network(x)
        for p in network.up[1].parameters():
            p.add_(0.1)
        after = network(x)
        torch.testing.assert_close(after.smaller, before.smaller)
        assert (after.restored - before.restored).abs().max() > 1e-4
        for p in network.up[0].parameters():
            p.add_(0.1)
        last = network(x)
    torch.testing.assert_close(last.smaller[1], before.smaller[1])
    assert (last.smaller[0] - before.smaller[0]).abs().max() > 1e-4
    assert parameters(DRN(scale=2)) == 606_378
    with pytest.raises(UserError, match="scale=6"):
        DRN(scale=6)


# GCANet --------------------------------------------------------------------------------------------------------------


def test_edges_are_mean_differences_to_four_neighbours() -> None:
    image = torch.rand(2, 3, 5, 6)
    expected = torch.zeros(2, 1, 5, 6)
    for i in range(5):
        for j in range(6):
            for k, m in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= k < 5 and 0 <= m < 6:
                    expected[:, 0, i, j] += (image[:, :, i, j] - image[:, :, k, m]).abs().mean(1) / 4
    torch.testing.assert_close(edges(image), expected)


def test_shared_filters_start_as_the_identity_and_fill_the_gaps_of_dilation() -> None:
    x = torch.rand(2, 3, 9, 9)
    torch.testing.assert_close(SharedConvolution(3)(x), x)
    block = ResidualBlock(1, dilation=4)
    block.norm1 = block.norm2 = nn.Identity()  # their statistics would see the whole image
    impulse = torch.zeros(1, 1, 65, 65)
    impulse[0, 0, 32, 32] = 1.0
    with torch.no_grad():
        for conv in (block.conv1, block.conv2):
            conv.weight.fill_(1.0)
        gridded = block(impulse)[0, 0] > 0
        assert gridded.sum() == 5**2, "two dilated convolutions reach every fourth pixel only"
        assert gridded[24:41:4, 24:41:4].all()
        for smooth in (block.smooth1, block.smooth2):
            smooth.weight.fill_(1.0)
        smoothed = block(impulse)[0, 0] > 0
    assert smoothed.sum() == 29**2, "twice 2 x 4 of dilation and 2 x 3 of smoothing, and the centre"
    assert smoothed[18:47, 18:47].all()
    assert isinstance(ResidualBlock(1, dilation=1).smooth1, nn.Identity)


def test_gca_net_adds_to_its_input_what_its_gates_let_through() -> None:
    torch.manual_seed(0)
    network = GCANet(channels=8).eval()
    x = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        levels = []
        network.encoder.register_forward_hook(lambda m, i, o: levels.append(o))
        for position in (3, 6):
            network.blocks[position].register_forward_hook(lambda m, i, o: levels.append(o))
        network.gate.weight.zero_()
        network.gate.bias.copy_(torch.tensor([0.5, -2.0, 3.0]))
        y = network(x)
        mixed = 0.5 * levels[0] - 2.0 * levels[1] + 3.0 * levels[2]
        torch.testing.assert_close(y, x + network.decoder(mixed) / 255)
        network.residual = False
        torch.testing.assert_close(network(x), network.decoder(mixed).clamp_min(0) / 255)
        network.residual = True
        zero(network.decoder[-1])
        torch.testing.assert_close(network(x), x)
    raw = sum(p.numel() for name, p in GCANet().named_parameters() if "smooth" in name)
    assert raw == 348


# GridDehazeNet -------------------------------------------------------------------------------------------------------


def test_fusion_weights_are_used_exactly_where_streams_meet() -> None:
    torch.manual_seed(0)
    network = GridDehazeNet()
    with torch.no_grad():
        network.tail.bias.fill_(1.0)  # so that the last ReLU lets everything through
    network(torch.rand(1, 3, 17, 18)).square().mean().backward()
    used = network.attention.grad.ne(0)
    width = [16, 32, 64]
    for row in range(3):
        for column in range(6):
            meet = (0 < column < 3 and row > 0) or (column >= 3 and row < 2)
            assert used[row, column, :, : width[row]].any() == meet, (row, column)
            assert not used[row, column, :, width[row] :].any()
    fixed = GridDehazeNet(attention=False)
    assert sum(p.numel() for p in fixed.parameters() if p.requires_grad) == 955_747  # the 0.956M of rfd


def test_without_the_streams_across_the_first_row_stands_alone() -> None:
    torch.manual_seed(0)
    network = GridDehazeNet().eval()
    x = torch.rand(1, 3, 21, 23)
    with torch.no_grad():
        network.attention[:, :, 1] = 0
        row = network.pre(network.head(2 * x - 1))
        for column in range(5):
            row = network.along[f"0_{column}"](row)
        torch.testing.assert_close(network(x), network.tail(network.post(row)).relu())
        network.attention[:, :, 1] = 1
        network.attention[0, :, 0] = 0  # the first row is now fed from below alone
        before = network(x)
        zero(*(network.along[f"0_{column}"] for column in range(2, 5)))
        torch.testing.assert_close(network(x), before)


# MSBDN ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [(4, 8, 16), (16, 8, 4)])
def test_fusion_leaves_features_that_agree_with_every_level(channels: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    fusion = FeatureFusion(channels)
    for back in fusion.back:
        nn.init.zeros_(back[0].bias)
    features = torch.rand(2, channels[0], 8, 12)
    near = fusion.away[0](features)
    far = fusion.away[1](near)
    torch.testing.assert_close(fusion(features, [far, near]), features)
    assert (fusion(features, [far, near + 1]) - features).abs().max() > 0
    assert (fusion(features, [far + 1, near]) - features).abs().max() > 0


def test_a_residual_dense_block_shows_every_layer_all_before_it() -> None:
    torch.manual_seed(0)
    block = ResidualDenseBlock(2, layers=2)
    x = torch.rand(1, 2, 5, 6)
    first = F.relu(F.conv2d(x, block.dense[0].weight, padding=1))
    second = F.relu(F.conv2d(torch.cat([x, first], 1), block.dense[1].weight, padding=1))
    torch.testing.assert_close(block(x), x + F.conv2d(torch.cat([x, first, second], 1), block.join.weight))
    assert parameters(ResidualDenseBlock(16)) == 9 * 16 * 16 * (1 + 2 + 3 + 4) + 5 * 16 * 16


def test_half_of_the_channels_is_fused_and_the_other_half_refined() -> None:
    torch.manual_seed(0)
    fuse = HalfFusion([8, 4])
    features, other = torch.rand(1, 8, 4, 6), torch.rand(1, 4, 8, 12)
    result = fuse(features, [other])
    torch.testing.assert_close(result[:, :4], fuse.fusion(features[:, :4], [other[:, :2]]))
    torch.testing.assert_close(result[:, 4:], fuse.dense(features[:, 4:]))


def test_msbdn_strengthens_operates_and_subtracts() -> None:
    torch.manual_seed(0)
    network = MSBDN(channels=4, blocks=1, level_blocks=1).eval()
    for fusion in (*network.encoder_fusion, *network.decoder_fusion):
        zero(fusion.back)  # no correction
    for blocks in (*network.encode, network.blocks, *network.decode):
        for block in blocks.blocks:
            zero(block.conv2)  # blocks then double what they are given
    x = torch.rand(1, 3, 48, 64)
    with torch.no_grad():
        features, skips = network.head(x), []
        for down in network.down:
            skips.append(2 * features)
            features = down(2 * features)
        features = 2 * (2 * features) - features
        for up in network.up:
            skip = skips.pop()
            below = F.interpolate(up(features), skip.shape[-2:], mode="bilinear")
            features = 2 * (skip + below) - below
        torch.testing.assert_close(network(x), network.tail(features))


def test_padding_reflects_and_repeats_where_it_cannot() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4)
    padded = pad_to_multiple(x, 4)
    assert padded.shape == (1, 1, 4, 4)
    torch.testing.assert_close(padded[..., 3, :], x[..., 1, :])
    torch.testing.assert_close(pad_to_multiple(x, 8)[..., :3, 4:], x[..., :, 3:].expand(1, 1, 3, 4))
    assert pad_to_multiple(x, 1) is x
    assert pad_to_multiple(x, 4, least=12).shape == (1, 1, 12, 12)


# DehazeNet -----------------------------------------------------------------------------------------------------------


def test_the_transmission_is_held_to_its_bounds() -> None:
    torch.manual_seed(0)
    network = DehazeNet()
    with torch.no_grad():
        found: list[Tensor] = []
        network.regress.register_forward_hook(lambda m, i, o: found.append(o))
        image = torch.rand(2, 3, 24, 20)
        network.transmission(image)
        network.regress.bias.sub_(found[0].median()).mul_(1_000)  # half of the values lie below zero
        network.regress.weight.mul_(1_000)
        transmission = network.transmission(image)
    assert transmission.shape == (2, 1, 24, 20)
    assert transmission.min() == 0
    assert transmission.max() == 1


def test_a_saturated_transmission_can_come_back() -> None:
    values = torch.tensor([-0.5, -0.5, 0.3, 0.3, 1.5, 1.5], requires_grad=True)
    held = hold_inside(values, 0.0, 1.0)
    torch.testing.assert_close(held, values.detach().clamp(0, 1))
    (held * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])).sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([0.0, -1.0, 1.0, -1.0, 1.0, 0.0]))  # a step goes against it


def test_layers_of_dehazenet_in_closed_form() -> None:
    network = DehazeNet(guided_radius=0)
    zero(network)
    with torch.no_grad():
        for i in range(16):  # filter i gives i + 1 times the red channel
            network.extract.weight[i, 0, 2, 2] = i + 1
        for i, layer in enumerate((network.map3, network.map5, network.map7)):
            layer.weight[0, i, layer.weight.shape[2] // 2, layer.weight.shape[3] // 2] = 1.0
        network.regress.weight[0, [0, 16, 32], 2, 2] = torch.tensor([0.1, 0.01, 0.001])
        network.regress.bias.fill_(0.2)
        x = torch.full((1, 3, 30, 30), 0.5)
        x[0, 0, 15, 15] = 0.6
        t = network.transmission(x)[0, 0]
    # The largest of each four filters is the fourth: 4, 8 and 12 times 0.1, spread over 7x7 pixels.
    expected = torch.full((30, 30), 0.2)
    expected[12:19, 12:19] += 0.4 * 0.1 + 0.8 * 0.01 + 1.2 * 0.001
    torch.testing.assert_close(t, expected)


def test_dehazenet_mirrors_at_borders() -> None:
    """Its transmission is that of filters applied to images which NumPy continued by `symmetric`."""
    torch.manual_seed(1)
    network = DehazeNet(features=8, scales=2)
    x = torch.rand(1, 3, 18, 21)

    def filtered(planes: Tensor, layer: nn.Conv2d, before: int, after: int) -> Tensor:
        sides = ((0, 0), (0, 0), (before, after), (before, after))
        return F.conv2d(torch.from_numpy(np.pad(planes.numpy(), sides, mode="symmetric")), layer.weight, layer.bias)

    with torch.no_grad():
        features = filtered(x - 0.5, network.extract, 2, 2).unflatten(1, (2, 4)).amax(2)
        maps = [
            filtered(features, layer, i, i) for i, layer in ((1, network.map3), (2, network.map5), (3, network.map7))
        ]
        extremum = F.max_pool2d(torch.cat(maps, 1), 7, stride=1, padding=3)
        expected = filtered(extremum, network.regress, 2, 3)
        assert 0 < expected.min() < expected.max() < 1
        torch.testing.assert_close(network.transmission(x), expected)


def test_dehazenet_inverts_the_haze_model() -> None:
    torch.manual_seed(0)
    network = DehazeNet()
    zero(network)
    with torch.no_grad():
        network.regress.bias.fill_(0.4)
        clear, airlight = torch.rand(2, 3, 20, 22), torch.tensor([[0.9, 0.8, 0.95], [1.0, 1.0, 0.7]])
        clear[:, :, 3, 4] = airlight  # a pixel that is all haze is the brightest there is
        hazy = 0.4 * clear.clamp(max=0.7) + 0.6 * airlight[:, :, None, None]
        hazy[:, :, 3, 4] = airlight
        found = network.estimate(hazy)
        torch.testing.assert_close(found.airlight, airlight)
        torch.testing.assert_close(found.transmission, torch.full((2, 1, 20, 22), 0.4), rtol=1e-4, atol=1e-4)
        expected = clear.clamp(max=0.7)
        expected[:, :, 3, 4] = airlight
        torch.testing.assert_close(found.restored, expected, rtol=1e-3, atol=1e-3)
        network.regress.bias.fill_(-1.0)  # no transmission at all: the floor keeps the result finite
        a = airlight[:, :, None, None]
        torch.testing.assert_close(network(hazy), (hazy - a) / network.transmission_floor + a, rtol=1e-4, atol=1e-4)


def test_the_airlight_is_the_brightest_of_the_haziest_pixels() -> None:
    image = torch.rand(2, 3, 10, 10)
    transmission = torch.rand(2, 1, 10, 10)
    grey = image.mean(1, keepdim=True)
    colours = brightest_of_lowest(image, grey, transmission, share=0.1)
    for n in range(2):
        lowest = transmission[n].flatten().argsort()[:10]
        pixel = lowest[grey[n].flatten()[lowest].argmax()]
        torch.testing.assert_close(colours[n], image[n].flatten(1)[:, pixel])


def test_the_guided_filter_is_the_one_of_the_priors() -> None:
    guide, source = torch.rand(2, 1, 40, 33), torch.rand(2, 1, 40, 33)
    for radius in (3, 50):
        ours, theirs = guided_filter(guide, source, radius, 1e-3), filters.guided_filter(guide, source, radius, 1e-3)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
