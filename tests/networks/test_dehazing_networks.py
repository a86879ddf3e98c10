"""The dehazing networks of rfd's table 5, against their formulas written out plainly here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import limpid
from limpid.errors import UserError
from limpid.networks import dehazing_4k, mscnn
from limpid.networks.dcpdn import DCPDNDiscriminator
from limpid.networks.dehazing_4k import applied, rows, sliced
from limpid.networks.guided_filter import box_mean, fast_guided_filter, guided_filter


def built(name: str, **settings: object) -> nn.Module:
    """A network with weights and statistics that are drawn, none of them 0 or 1."""
    torch.manual_seed(0)
    network = limpid.build(name, **settings).eval()
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point() and value.ndim <= 1:
                value.add_(0.1 * torch.rand_like(value))
    return network


def image(height: int = 33, width: int = 38) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(5))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def layer(state: dict[str, Tensor], name: str, x: Tensor, **settings: int) -> Tensor:
    """A convolution of the state dict that keeps the size."""
    weight = state[f"{name}.weight"]
    padding = settings.pop("padding", settings.get("dilation", 1) * (weight.shape[-1] // 2))
    return F.conv2d(x, weight, state.get(f"{name}.bias"), padding=padding, **settings)


def normed(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    parts = (state[f"{name}.{part}"].view(1, -1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias"))
    mean, variance, weight, bias = parts
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def plain_gfn(s: dict[str, Tensor], x: Tensor, port: bool) -> list[Tensor]:
    def leaky(y: Tensor) -> Tensor:
        return torch.where(y > 0, y, 0.1 * y)

    def gates(scale: str, y: Tensor, dilation: int) -> Tensor:
        found = []
        for group in ("e1", "e2", "e3", "d1", "d2", "d3"):
            for k in range(2 if group == "d3" else 3):
                name = f"{scale}.{group}.{k}"
                if group[0] == "d" and k == 0:
                    y = F.conv_transpose2d(y, s[f"{name}.weight"], s[f"{name}.bias"], padding=1)
                else:
                    y = layer(s, name, y, dilation=dilation if group == "e1" or (group, k) == ("e2", 0) else 1)
                y = leaky(y)
            found.append(y)
        return leaky(layer(s, f"{scale}.gates", torch.cat(found, 1)))

    def up(name: str, y: Tensor) -> Tensor:
        y = F.conv_transpose2d(y, s[f"{name}.weight"], s[f"{name}.bias"], stride=2, padding=1)
        return y if port else leaky(y)

    derived = []
    for one in x:
        eight = one if port else (255 * one).round()
        means = [channel.mean() for channel in eight]
        grey = sum(means) / 3
        white = torch.stack([channel * grey / (m + 0.001) for channel, m in zip(eight, means, strict=True)])
        white = (white if port else white / 255).clamp(max=1)
        contrast = 2 * (0.5 + one.mean()) * (one - one.mean())
        derived.append(torch.cat([one, white, contrast, one ** (2 if port else 2.5)]))
    z = torch.stack(derived)
    outputs: list[Tensor] = []
    for scale, side, dilation, name in (("coarse", 4, 1, ""), ("middle", 2, 2, "to_middle"), ("fine", 1, 3, "to_fine")):
        small = F.max_pool2d(z, side)
        seen = torch.cat([up(name, outputs[-1]), small], 1) if outputs else small
        w = gates(scale, seen, dilation)
        outputs.append(w[:, :1] * small[:, 3:6] + w[:, 1:2] * small[:, 6:9] + w[:, 2:] * small[:, 9:])
    return outputs


@pytest.mark.parametrize("port", [False, True])
def test_gfn_is_its_formula(port: bool) -> None:
    form = {"gamma": 2, "activate_enlarged": False, "eight_bit_balance": False} if port else {}
    network = built("gfn", channels=6, widest=6 if port else 10, **form)
    x = image(28, 40)
    with torch.no_grad():
        output, expected = network(x), plain_gfn(network.state_dict(), x, port)
    for found, plain in zip(output.stages, expected, strict=True):
        close(found, plain)
    close(output.restored, expected[-1])


def test_the_port_of_gfn_has_its_parameters() -> None:
    port = limpid.build("gfn", widest=32, gamma=2, activate_enlarged=False, eight_bit_balance=False)
    assert sum(p.numel() for p in port.parameters()) == 498_831


def test_stages_of_gfn_have_the_sizes_that_a_loss_asks_for() -> None:
    for height, width in ((16, 17), (18, 19), (21, 22)):
        stages = limpid.build("gfn", channels=4, widest=4)(torch.rand(1, 3, height, width)).stages
        quarter, half = ((-(-height // k), -(-width // k)) for k in (4, 2))
        assert [tuple(stage.shape[-2:]) for stage in stages] == [quarter, half, (height, width)]


def plain_k(s: dict[str, Tensor], x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """K of FAMED-Net at the size of `x`, and what the three scales restore."""
    found, restored = [], []
    for number, scale in enumerate((1, 2, 4)):
        size = [(side - 1) // scale + 1 for side in x.shape[-2:]]
        small = x if scale == 1 else F.interpolate(x, size, mode="bilinear", align_corners=True)
        n = f"scales.{number}"

        def unit(k: int, y: Tensor, n: str = n) -> Tensor:
            return normed(s, f"{n}.norm{k}", layer(s, f"{n}.conv{k}", y)).relu()

        a = unit(1, small)
        p1 = F.max_pool2d(unit(2, a), 3, 1, 1)
        p2 = F.max_pool2d(unit(3, torch.cat([a, p1], 1)), 5, 1, 2)
        p3 = F.max_pool2d(unit(4, torch.cat([p1, p2], 1)), 7, 1, 3)
        k = layer(s, f"{n}.conv5", torch.cat([a, p1, p2, p3], 1)).relu()
        restored.append((k * small - k + 1).relu())
        found.append(F.interpolate(k, x.shape[-2:], mode="bilinear", align_corners=True))
    return layer(s, "fuse", torch.cat(found, 1)).relu(), restored


def test_famed_net_is_its_formula() -> None:
    network = built("famed_net", channels=5, side=None, guided_radius=0)
    x = image()
    with torch.no_grad():
        k, stages = plain_k(network.state_dict(), x)
        close(network(x), (k * x - k + 1).relu())
        for module in network.modules():
            module.training = not isinstance(module, nn.BatchNorm2d)
        output = network(x)
    for found, expected in zip(output.stages, [*reversed(stages), (k * x - k + 1).relu()], strict=True):
        close(found, expected)


def test_famed_net_finds_k_at_a_size_of_its_own() -> None:
    network = built("famed_net", channels=5, side=20, guided_radius=4, guided_subsampling=2)
    x = image(40, 30)
    with torch.no_grad():
        small = F.interpolate(x, (20, 15), mode="bicubic", antialias=True).clamp(0, 1)
        k, _ = plain_k(network.state_dict(), small)
        k = F.interpolate(k, (40, 30), mode="bicubic", antialias=True)
        guide = x.amax(1, keepdim=True)
        k = torch.cat([fast_guided_filter(guide, channel, 4, 1e-4, 2) for channel in k.split(1, 1)], 1)
        close(network(x), (k * x - k + 1).relu())


def plain_transmission(s: dict[str, Tensor], n: str, x: Tensor, official: bool, coarse: Tensor | None = None) -> Tensor:
    for k in range(3):
        x = layer(s, f"{n}.stages.{k}", x)
        x = x.relu() if official else x
        x = F.max_pool2d(x, 2).repeat_interleave(2, -1).repeat_interleave(2, -2)
        if official and k < 2:
            squares = F.pad(x.square(), (0, 0, 0, 0, 2, 2))
            near = torch.stack([squares[:, i : i + x.shape[1]] for i in range(5)]).sum(0)
            x = x / (1 + 2e-5 * near) ** 0.75
        if k == 0 and coarse is not None:
            x = torch.cat([coarse, x], 1)
    return torch.sigmoid(layer(s, f"{n}.head", x))


def test_the_port_of_mscnn_is_its_formula() -> None:
    network, x = built("mscnn"), image(64, 32)
    s = network.state_dict()
    with torch.no_grad():
        coarse = plain_transmission(s, "coarse", x, False)
        t = plain_transmission(s, "fine", x, False, coarse)
        output = network.estimate(x)
    close(output.coarse, coarse)
    close(output.transmission, t)
    close(output.restored, (x - 1) / t + 1)


def naive_box(values: np.ndarray, radius: int) -> np.ndarray:
    result = np.empty_like(values)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            window = values[max(0, i - radius) : i + radius + 1, max(0, j - radius) : j + radius + 1]
            result[i, j] = window.mean()
    return result


def test_official_mscnn_is_its_formula() -> None:
    network = built("mscnn", form="official")
    x = image(24, 31)
    with torch.no_grad():
        found = network.estimate(x)
    for number, one in enumerate(x):
        dark = np.empty((3, 24, 31), np.float32)
        for i in range(24):
            for j in range(31):
                dark[:, i, j] = one[:, max(0, i - 7) : i + 8, max(0, j - 7) : j + 8].amin((1, 2)).numpy()
        airlight = torch.from_numpy(dark.max((1, 2)))
        with torch.no_grad():
            t = plain_transmission(network.state_dict(), "fine", (one / airlight[:, None, None])[None], True)
        t = F.interpolate(t, (24, 31), mode="bicubic", antialias=True)[0, 0].double().numpy()
        r, g, b = one.double().numpy()
        grey = 0.2989 * r + 0.5870 * g + 0.1140 * b
        distance = (grey - float(airlight.double() @ torch.tensor([0.299, 0.587, 0.114]).double())) ** 2
        u = (distance + 0.1 / t) / (distance + 0.1)
        mean_grey, mean_u = naive_box(grey, 3), naive_box(u, 3)
        slope = (naive_box(grey * u, 3) - mean_grey * mean_u) / (naive_box(grey * grey, 3) - mean_grey**2 + 0.04)
        u = naive_box(slope, 3) * grey + naive_box(mean_u - slope * mean_grey, 3)
        t = np.clip(1 / u, 0.1, 0.9)
        A = airlight.double().numpy()[:, None, None]
        expected = (one.double().numpy() - A) / t + A
        np.testing.assert_allclose(found.restored[number].numpy(), expected, atol=1e-4)
        np.testing.assert_allclose(found.transmission[number, 0].numpy(), t, atol=1e-5)
        close(found.airlight[number], airlight)


def test_strips_of_mscnn_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = built("mscnn", form="official")
    x = image(101, 36)
    with torch.no_grad():
        whole = network.estimate(x).transmission
        monkeypatch.setattr(mscnn, "_STRIP", 32)
        close(network.estimate(x).transmission, whole)


def test_official_mscnn_takes_a_row_of_pixels() -> None:
    network, x = built("mscnn", form="official"), image(2, 40)
    x[..., 1, :] = x[..., 0, :]
    with torch.no_grad():
        for row in (x[..., :1, :], x[..., :1, :].transpose(2, 3)):
            restored = network(row)
            assert restored.shape == row.shape
            assert restored.isfinite().all()


def test_mscnn_in_training_gives_what_it_is_trained_on() -> None:
    for form in mscnn.FORMS:
        network = limpid.build("mscnn", form=form).train()
        output = network(image(32, 33))
        assert output.coarse.shape == output.transmission.shape == (2, 1, 32, 33)
        output.transmission.sum().backward()
        assert all(p.grad is None for p in network.coarse.parameters()), "the fine network learns from what is found"
        network(image(32, 33)).coarse.sum().backward()
        assert all(p.grad is not None for p in network.coarse.parameters())


@pytest.mark.parametrize("radius", [3, 64, 90])
def test_large_windows_have_the_means_of_small_ones(radius: int) -> None:
    values = torch.rand(1, 1, 70, 95, dtype=torch.float64)
    expected = torch.from_numpy(naive_box(values[0, 0].numpy(), radius))
    torch.testing.assert_close(box_mean(values, radius)[0, 0], expected)
    guide = torch.rand(1, 1, 70, 95)
    flat = torch.full((1, 1, 70, 95), 0.3)
    close(guided_filter(guide, flat, radius, 1e-3), flat)


def plain_pfdn(s: dict[str, Tensor], x: Tensor, blocks: int) -> Tensor:
    y = layer(s, "encoder.0", 2 * x - 1).relu()
    for k in (2, 4):
        y = layer(s, f"encoder.{k}", y, stride=2).relu()
    for b in range(blocks):
        n = f"blocks.{b}"
        f = layer(s, f"{n}.conv2", layer(s, f"{n}.conv1", y).relu())
        squeezed = (f.mean((2, 3)) @ s[f"{n}.squeeze.weight"][:, :, 0, 0].T).relu()
        factors = torch.sigmoid(squeezed @ s[f"{n}.excite.weight"][:, :, 0, 0].T)[:, :, None, None]
        g, offset = factors.chunk(2, 1)
        y = y + f * g + offset
    for k in (0, 2):
        y = F.conv_transpose2d(y, s[f"decoder.{k}.weight"], s[f"decoder.{k}.bias"], stride=2).relu()
    return (layer(s, "decoder.4", y).tanh() + 1) / 2


def test_pfdn_is_its_formula() -> None:
    network, x = built("pfdn", channels=8, blocks=2, reduction=4), image(32, 48)
    with torch.no_grad():
        close(network(x), plain_pfdn(network.state_dict(), x, 2))


SMALL_4K = {"channels": 2, "guide_channels": 3, "grid": 4, "grid_side": 16, "image_side": 32}


def plain_u_net(s: dict[str, Tensor], n: str, x: Tensor) -> Tensor:
    def double(name: str, y: Tensor) -> Tensor:
        for k in (0, 3):
            y = normed(s, f"{name}.{k + 1}", layer(s, f"{name}.{k}", y)).relu()
        return y

    levels = [double(f"{n}.inc", x)]
    for k in range(4):
        levels.append(double(f"{n}.down.{k}", F.max_pool2d(levels[-1], 2)))
    y = levels.pop()
    for k in range(4):
        skip = levels.pop()
        larger = F.interpolate(y, skip.shape[-2:], mode="bilinear", align_corners=True)
        y = double(f"{n}.up.{k}", torch.cat([skip, larger], 1))
    return torch.sigmoid(layer(s, f"{n}.pre", y))


def plain_4k(s: dict[str, Tensor], x: Tensor) -> Tensor:
    def resized(y: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(y, size, mode="bicubic", align_corners=True)

    def prelu(name: str, y: Tensor) -> Tensor:
        return torch.where(y > 0, y, s[f"{name}.weight"] * y)

    height, width = x.shape[-2:]
    pooled = F.adaptive_avg_pool2d(plain_u_net(s, "u_net", resized(x, (16, 16))), (16, 16))
    grid = pooled.reshape(len(x), 12, 4, 4, 4)
    first = resized(plain_u_net(s, "u_net_mini", resized(x, (32, 32))), (height, width))
    down, across = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    outputs = []
    for c in range(3):
        g = x[:, c : c + 1]
        for k in (0, 3):
            g = prelu(f"guides.{c}.{k + 2}", normed(s, f"guides.{c}.{k + 1}", layer(s, f"guides.{c}.{k}", g)))
        g = layer(s, f"guides.{c}.6", g).tanh()
        where = torch.stack([across.expand_as(g[:, 0]), down.expand_as(g[:, 0]), g[:, 0]], -1)[:, None]
        coefficients = F.grid_sample(grid, where, padding_mode="zeros", align_corners=True)[:, :, 0]
        z = prelu("p", layer(s, f"points.{c}", first))
        for k in range(3):
            row = coefficients[:, 4 * k : 4 * k + 4]
            outputs.append(sum(z[:, j] * row[:, j] for j in range(3)) + row[:, 3])
    o = prelu("offset.1", layer(s, "offset.0", torch.stack(outputs, 1)))
    o = prelu("offset.3", layer(s, "offset.2", o))
    q = prelu("factor.3", layer(s, "factor.2", prelu("factor.1", layer(s, "factor.0", o))))
    return prelu("p", q * x - o + 1)


def test_4k_dehazing_is_its_formula_in_strips_too(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = built("dehazing_4k", **SMALL_4K), image(53, 38)
    with torch.no_grad():
        expected = plain_4k(network.state_dict(), x)
        close(network(x), expected)
        monkeypatch.setattr(dehazing_4k, "_STRIP", 16)
        close(network(x), expected)


def test_a_grid_of_one_transform_is_that_transform_everywhere() -> None:
    transform = torch.rand(12)
    grid = transform.view(1, 12, 1, 1, 1).expand(2, 12, 4, 4, 4)
    guide, picture = 2 * torch.rand(2, 1, 6, 9) - 1, torch.rand(2, 3, 6, 9)
    matrix, offset = transform.view(3, 4)[:, :3], transform.view(3, 4)[:, 3]
    expected = torch.einsum("ij,njhw->nihw", matrix, picture) + offset.view(1, 3, 1, 1)
    close(applied(sliced(grid, guide, rows(6, guide)), picture), expected)


SMALL_DCPDN = {"stem": 8, "growth": 4, "blocks": [1, 2, 2], "decoder": 2, "airlight_channels": 2, "features": 5}


def plain_pyramid(s: dict[str, Tensor], n: str, f: Tensor) -> Tensor:
    means = []
    for k, window in enumerate((32, 16, 8, 4)):
        mean = F.leaky_relu(layer(s, f"{n}.scales.{k}", F.avg_pool2d(f, window)), 0.2)
        means.append(mean.repeat_interleave(window, -1).repeat_interleave(window, -2))
    return layer(s, f"{n}.refine", torch.cat([*means, f], 1)).tanh()


def plain_dcpdn(s: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the release gives of one image in training mode without dropout."""

    def bn(name: str, y: Tensor) -> Tensor:
        return F.batch_norm(y, None, None, s[f"{name}.weight"], s[f"{name}.bias"], training=True)

    def dense(n: str, y: Tensor) -> Tensor:
        squeezed = layer(s, f"{n}.conv1", bn(f"{n}.norm1", y).relu())
        return torch.cat([y, layer(s, f"{n}.conv2", bn(f"{n}.norm2", squeezed).relu())], 1)

    e = "transmission.encoder"
    y = bn(f"{e}.norm0", layer(s, f"{e}.conv0", x, stride=2)).relu()
    y = F.max_pool2d(y, 3, 2, 1)
    skips = []
    for b, layers in enumerate((1, 2, 2), 1):
        for k in range(1, layers + 1):
            y = dense(f"{e}.denseblock{b}.denselayer{k}", y)
        y = F.avg_pool2d(layer(s, f"{e}.transition{b}.conv", bn(f"{e}.transition{b}.norm", y).relu()), 2)
        skips.append(y)
    for k, skip in enumerate((None, skips[1], skips[0], None, None)):
        y = dense(f"transmission.decoder.{k}.0", y if skip is None else torch.cat([y, skip], 1))
        n = f"transmission.decoder.{k}.1"
        weight = s[f"{n}.conv.weight"][:, :, 0, 0]
        y = torch.einsum("nihw,io->nohw", bn(f"{n}.norm", y).relu(), weight)
        y = y.repeat_interleave(2, -1).repeat_interleave(2, -2)
    f = F.leaky_relu(layer(s, "transmission.refine", torch.cat([y, x], 1)), 0.2)
    t = plain_pyramid(s, "transmission.pyramid", f)

    levels = [F.conv2d(x, s["airlight.down.0.weight"], stride=2, padding=1)]
    for k in range(1, 8):
        a = F.conv2d(F.leaky_relu(levels[-1], 0.2), s[f"airlight.down.{k}.weight"], stride=2, padding=1)
        levels.append(bn(f"airlight.down_norms.{k - 1}", a))
    a = levels[7]
    for k in range(7, -1, -1):
        a = a if k == 7 else torch.cat([a, levels[k]], 1)
        a = F.conv_transpose2d(a.relu(), s[f"airlight.up.{k}.weight"], stride=2, padding=1)
        a = bn(f"airlight.up_norms.{k - 1}", a) if 0 < k < 7 else a
    A = F.leaky_relu(F.leaky_relu(a, 0.2).mean((2, 3), keepdim=True), 0.2)
    first = (x - A) / (t.abs() + 1e-10) + A
    f = F.leaky_relu(layer(s, "refine2", F.leaky_relu(layer(s, "refine1", torch.cat([first, x], 1)), 0.2)), 0.2)
    return plain_pyramid(s, "pyramid", f), t, A[:, :, 0, 0]


def test_dcpdn_is_its_formula_with_the_statistics_of_each_image() -> None:
    network = built("dcpdn", **SMALL_DCPDN).double()
    x = image(512, 512).double()[:1]
    with torch.no_grad():
        found, expected = network.estimate(x), plain_dcpdn(network.state_dict(), x)
    for one, plain in zip(found, expected, strict=True):
        close(one, plain)


def test_dcpdn_gives_the_same_picture_twice_and_drops_in_training_alone() -> None:
    for norm in ("instance", "batch"):
        network = limpid.build("dcpdn", **SMALL_DCPDN, norm=norm).eval()
        x = image(40, 50)
        with torch.no_grad():
            assert torch.equal(network(x), network(x))
            network.train()
            assert not torch.equal(network(x[:1]).airlight, network(x[:1]).airlight)


def test_the_discriminator_of_dcpdn_has_its_parameters() -> None:
    assert sum(p.numel() for p in DCPDNDiscriminator().parameters()) == 2_768_640
    assert DCPDNDiscriminator(4)(torch.rand(2, 6, 64, 64)).shape == (2, 1, 6, 6)
    assert DCPDNDiscriminator(4)(torch.rand(2, 6, 24, 30)).shape == (2, 1, 1, 1)
    with pytest.raises(UserError, match="at least 24 pixels a side, and this one is 30x23"):
        DCPDNDiscriminator(4)(torch.rand(2, 6, 23, 30))


def test_the_first_weights_of_famed_net_are_caffes() -> None:
    """Its release's "xavier" is Caffe's: uniform within sqrt(3 / n), n what goes into a layer, not what comes out."""
    torch.manual_seed(0)
    network = limpid.build("famed_net")
    for layer in (part for part in network.modules() if isinstance(part, nn.Conv2d)):
        bound = (3 / layer.in_channels) ** 0.5
        assert 0.8 * bound < float(layer.weight.detach().abs().max()) <= bound
        assert not layer.bias.any()  # type: ignore[union-attr]
