"""Tiles know of the whole image what the network would have found of it: no seam is left, with trained weights too."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import limpid
from limpid import zoo
from limpid.data.scenes import Scenes
from limpid.errors import ResultWarning, UserError
from limpid.inference import (
    Adaptive,
    Full,
    ImageStatistics,
    Inference,
    Tiled,
    given,
    measured,
    receptive_radius,
    restore,
)
from limpid.inference.statistics import continued
from limpid.networks.channels_last import GlobalAvgPool


class LooksEverywhere(nn.Module):
    """Local but for a mean that is taken twice in a pass, one of PyTorch's own, and both kinds of normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 3, 1)
        self.mean, self.usual = GlobalAvgPool(), nn.AdaptiveAvgPool2d(1)
        self.plain, self.affine = nn.InstanceNorm2d(6), nn.InstanceNorm2d(6, affine=True)
        nn.init.normal_(self.affine.weight)
        nn.init.normal_(self.affine.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = self.plain(self.first(x)).relu()
        features = features * self.mean(features) + self.mean(features.square())
        features = self.affine(features) * self.usual(features).sigmoid()
        return torch.sigmoid(self.second(features))


def scene(height: int, width: int) -> Tensor:
    """A drawn scene in even haze, `(1, 3, H, W)`."""
    image = Scenes("test", 1, height, width, photograph_share=0).load(0)["target"]
    return 0.6 * torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None] + 0.36


@pytest.fixture
def looks_everywhere() -> nn.Module:
    torch.manual_seed(0)
    return LooksEverywhere().eval()


def test_a_part_with_the_statistics_of_the_whole_is_that_part_of_the_whole(looks_everywhere: nn.Module) -> None:
    x = torch.rand(2, 3, 40, 60)
    whole = restore(looks_everywhere, x)
    statistics = measured(looks_everywhere, x)
    assert len(statistics.values) == 5, "one of each look: two normalisations, three means"
    part = x[..., 5:20, 30:50]
    with given(looks_everywhere, statistics):
        for _ in range(2):
            torch.testing.assert_close(restore(looks_everywhere, part), whole[..., 5:20, 30:50], rtol=0, atol=1e-6)
    assert (restore(looks_everywhere, part) - whole[..., 5:20, 30:50]).abs().max() > 0.01, "its own, once outside"


def test_statistics_are_gone_after_an_error(looks_everywhere: nn.Module) -> None:
    x = torch.rand(1, 3, 20, 20)
    before = restore(looks_everywhere, x)
    with pytest.raises(ZeroDivisionError), given(looks_everywhere, measured(looks_everywhere, x / 2)):
        raise ZeroDivisionError
    assert torch.equal(restore(looks_everywhere, x), before)
    assert all(not layer._forward_hooks and not layer._forward_pre_hooks for layer in looks_everywhere.modules())


def test_what_is_found_can_be_adjusted_in_the_same_pass(looks_everywhere: nn.Module) -> None:
    dark, bright = torch.rand(1, 3, 16, 16) / 2, torch.rand(1, 3, 16, 16)
    statistics = measured(looks_everywhere, dark)
    with given(looks_everywhere, statistics):
        expected = restore(looks_everywhere, bright)
    numbers = []

    def of_the_dark_one(number: int, value: Tensor) -> Tensor:
        numbers.append(number)
        return statistics.values[number]

    for way in (Adaptive(), Tiled(64, 8, 4)):
        torch.testing.assert_close(way(looks_everywhere, bright, adjust=of_the_dark_one), expected)
    tiled = Tiled(8, 2, 2)(looks_everywhere, bright, adjust=of_the_dark_one)
    torch.testing.assert_close(tiled, expected, rtol=0, atol=1e-6)
    assert numbers == 3 * [0, 1, 2, 3, 4]


def test_tiles_equal_the_whole_for_what_looks_everywhere_by_means(looks_everywhere: nn.Module) -> None:
    x = scene(70, 90)
    tiled = Tiled(32, 8, 4)(looks_everywhere, x)
    torch.testing.assert_close(tiled, Full()(looks_everywhere, x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["rfd_student", "op_attention", "gca_net"])
def test_networks_declare_where_they_look_at_the_whole_image(name: str) -> None:
    torch.manual_seed(0)
    sizes = {"gca_net": {"dilations": [2, 1], "gated": [1]}, "op_attention": {"groups": 1, "head_blocks": 1}}
    network = limpid.build(name, **sizes.get(name, {})).eval()
    assert receptive_radius(network, 160) is None
    with given(network, measured(network.float(), torch.rand(1, 3, 160, 160))):
        radius = receptive_radius(network, 160)
    assert radius is not None
    assert radius < 79


def seams(network: nn.Module, x: Tensor, adaptive: Adaptive, reference: Adaptive | None = None) -> tuple[float, float]:
    """How far tiles are from a reference, the whole image, in grey levels, and how far that differs across any seam.

    A seam is where the next tile begins to weigh, and where the one before has ceased to: there the differences of
    neighbouring pixels to the whole image are compared.
    """
    tiles = adaptive.tiled
    whole = (reference or Adaptive(largest=1e6, margin=tiles.margin))(network, x)
    difference = 255 * (adaptive(network, x) - whole)
    steps = []
    for dim in (-2, -1):
        for span in tiles.spans(x.shape[dim]):
            for place in (span.first, span.first + tiles.blend):
                if 0 < place < x.shape[dim]:
                    pair = difference.narrow(dim, place - 1, 2)
                    steps.append((pair.select(dim, 1) - pair.select(dim, 0)).abs().max().item())
    return difference.abs().max().item(), max(steps)


@pytest.mark.parametrize("name", [name for name, card in zoo.cards().items() if card.at_hand])
def test_trained_weights_leave_no_seam(name: str) -> None:
    network = limpid.load(f"zoo:{name}")
    adaptive = Adaptive(largest=0.03, tile=128, overlap=64, blend=16, margin=32)
    worst, across = seams(network, scene(200, 240), adaptive)
    assert across < 2
    assert worst < 5, "statistics of a picture of 0.03 megapixels are not those of a larger one; at 1 they are"


@pytest.mark.slow
@pytest.mark.parametrize("megapixels", [3, 12])
@pytest.mark.parametrize("name", [name for name, card in zoo.cards().items() if card.default and card.at_hand])
def test_trained_weights_leave_no_seam_in_photographs(name: str, megapixels: int) -> None:
    """At 12 megapixels the whole needs tens of gigabytes, so tiles are compared with others whose seams lie elsewhere."""
    side = (megapixels * 1e6 / 6) ** 0.5
    x = F.interpolate(scene(512, 768), (int(2 * side), int(3 * side)), mode="bicubic").clamp(0, 1)
    reference = Adaptive(tile=896, overlap=192, margin=32) if megapixels > 4 else None
    worst, across = seams(limpid.load(f"zoo:{name}"), x, Adaptive(margin=32), reference)
    print(f"{name} at {megapixels} megapixels: {worst:.2f} levels from the reference, {across:.2f} across seams")
    assert across < 2


def test_a_network_that_looks_everywhere_without_saying_so_is_told_of() -> None:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.scale + 0.1 - x.mean((2, 3), keepdim=True) / 10

    even, uneven = torch.full((1, 3, 20, 60), 0.5), torch.linspace(0, 1, 60).expand(1, 3, 20, 60)
    tiled = Tiled(32, 8, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiled(Silent(), even)
    with pytest.warns(ResultWarning, match="differ by 10 grey levels where they meet.*pools_over_image"):
        tiled(Silent(), uneven)


def test_a_photograph_looks_alike_at_two_sizes_where_the_card_says_the_size_of_the_training() -> None:
    card = zoo.find("aosr_photographs")
    network, large = limpid.load(f"zoo:{card.name}"), scene(600, 800)
    small = F.interpolate(large, (300, 400), mode="area")

    def difference(way: Adaptive) -> float:
        shrunk = F.interpolate(way(network, large), (300, 400), mode="area")
        return 255 * float((shrunk - way(network, small)).square().mean().sqrt())

    usual = Adaptive(margin=32)
    assert difference(usual.at(0.05)) < 0.5 * difference(usual)


def test_a_prior_too_can_restore_at_a_size() -> None:
    class Darker(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            sizes.append(x.shape[-2] * x.shape[-1])
            return 0.5 * x

    sizes: list[int] = []
    x = scene(100, 150)
    difference = 255 * (Adaptive(restore_at=0.006, epsilon=1e-6)(Darker(), x) - 0.5 * x).abs()
    assert difference.mean() < 0.1
    assert difference.max() < 1
    assert sizes == [63 * 95], "the nearest to 6,000 pixels"


@pytest.mark.parametrize("name", [name for name, card in zoo.cards().items() if card.default and card.at_hand])
def test_no_frame_is_left_at_the_border(name: str) -> None:
    """An even picture stays even up to its border, where a network sees its reflection and not black."""
    network = limpid.load(f"zoo:{name}")
    even = torch.tensor([0.6, 0.55, 0.5]).view(1, 3, 1, 1).expand(1, 3, 120, 150)
    restored = 255 * Adaptive(margin=32)(network, even)
    inside = restored[..., 60:61, 75:76]
    assert (restored - inside).abs().max() < 2


def test_mprnet_divides_no_image_that_is_restored_for_the_eye() -> None:
    network = limpid.build("mprnet", channels=8, level_step=4, orsnet_step=4, orsnet_blocks=1).eval()
    even = torch.full((1, 3, 64, 64), 0.5)
    divided, undivided = Full()(network, even), Adaptive(margin=32)(network, even)
    middle = (..., slice(24, 40), slice(24, 40))
    assert divided[middle].std(dim=(2, 3)).max() > 10 * undivided[middle].std(dim=(2, 3)).max()
    assert network.divides_image, "it divides again afterwards, as the paper evaluates"


def test_half_precision_gives_float32_near_it() -> None:
    network, x = limpid.load("aosr"), scene(64, 96)
    exact, half = Adaptive(margin=8)(network, x), Adaptive(margin=8, precision="bf16")(network, x)
    assert half.dtype == torch.float32
    assert 0 < (255 * (half - exact)).abs().max() < 4
    assert torch.equal(Adaptive(margin=8, precision=32)(network, x), exact)
    with pytest.raises(UserError, match="precision is '16', but it must be one of 32, bf16"):
        Adaptive(precision="16")


def test_statistics_go_on_to_full_size_as_they_changed_between_two_sizes() -> None:
    def found(value: float, variance: float) -> ImageStatistics:
        moments = torch.tensor([value, variance]).view(2, 1, 1, 1, 1)
        return ImageStatistics((torch.full((1, 1, 1, 1), value), moments))

    full = continued(found(0.5, 0.2), found(0.4, 0.1), steps=2)
    torch.testing.assert_close(full.values[0].item(), 0.7)
    torch.testing.assert_close(full.values[1].flatten(), torch.tensor([0.7, 0.4]))
    assert continued(found(0.5, 0.2), found(0.5, 0.9), steps=2).values[1][1].item() == pytest.approx(0.05)


@pytest.mark.parametrize("way", [Tiled(64, 16, 4), Adaptive(largest=0.01, tile=64, overlap=16, blend=4), Full()])
def test_threads_do_not_reach_into_each_others_images(way: Inference) -> None:
    """A network is changed for the image that goes through it in tiles; those of other threads wait."""
    torch.manual_seed(0)
    network = LooksEverywhere().eval()
    images = [torch.rand(1, 3, 150, 200) * share for share in (0.1, 0.3, 0.6, 1.0)]
    alone = [way(network, image) for image in images]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda image: way(network, image), images * 4))
    for number, restored in enumerate(together):
        torch.testing.assert_close(restored, alone[number % 4], rtol=0, atol=1e-6)
