"""Whole, padded and tiled inference: the same image wherever they can be, and told apart where they cannot."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.networks.test_networks import PARAMETERS, SCALES, SMALL
from torch import Tensor, nn
from torch.nn import functional as F

import limpid
from limpid.errors import UserError
from limpid.inference import Adaptive, Full, Padded, Tiled, receptive_radius, restore


class Seen(nn.Module):
    """Returns its input and remembers the sizes it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append((x.shape[-2], x.shape[-1]))
        return x


@pytest.mark.parametrize(("length", "tile", "overlap", "blend"), [(100, 32, 8, 4), (33, 32, 16, 16), (500, 64, 20, 2)])
def test_shares_of_tiles_sum_to_one_at_every_pixel(length: int, tile: int, overlap: int, blend: int) -> None:
    total = torch.zeros(length)
    spans = list(Tiled(tile, overlap, blend).spans(length))
    for span in spans:
        assert span.stop - span.start <= tile
        assert span.start % (tile - overlap) == 0
        total[span.first : span.last] += span.shares
    torch.testing.assert_close(total, torch.ones(length))
    assert (spans[0].start, spans[-1].stop) == (0, length)
    assert all(b.start - a.start == tile - overlap for a, b in pairwise(spans))


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    tile=st.integers(8, 40),
    overlap=st.integers(1, 20),
    seed=st.integers(0, 5),
)
def test_tiles_put_an_image_together_again(height: int, width: int, tile: int, overlap: int, seed: int) -> None:
    overlap = min(overlap, tile // 2)
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    seen = Seen()
    torch.testing.assert_close(Tiled(tile, overlap, blend=2 - overlap % 2)(seen, x), x)
    assert all(h <= tile and w <= tile for h, w in seen.sizes)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(20, 90), width=st.integers(20, 90), radius=st.integers(1, 5), blend=st.integers(1, 4))
def test_tiles_equal_the_whole_where_the_overlap_covers_the_receptive_field(
    height: int, width: int, radius: int, blend: int
) -> None:
    kernel = torch.rand(3, 1, 2 * radius + 1, 2 * radius + 1, generator=torch.Generator().manual_seed(radius))
    kernel /= kernel.sum((2, 3), keepdim=True)

    class Blur(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, kernel, padding=radius, groups=3)

    x = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height))
    tiled = Tiled(2 * (2 * radius + blend), 2 * radius + blend, blend)
    torch.testing.assert_close(tiled(Blur(), x), Full()(Blur(), x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(PARAMETERS.keys() - SCALES))
def test_every_network_in_tiles(name: str) -> None:
    """Equal within 1e-5 where a network looks no further than the overlap; one that looks everywhere is near."""
    torch.manual_seed(0)
    network = limpid.build(name, **SMALL.get(name, {})).eval()
    radius = receptive_radius(network, 64)  # sooner than at 96, where it is known already
    if radius is None:
        radius = receptive_radius(network, 96)
    network.float()
    x = torch.rand(1, 3, 96, 288 if radius is not None else 64)
    with torch.no_grad():
        whole = restore(network, x)
    assert whole.shape == x.shape
    if radius is None:
        return  # it looks further than half of 96 pixels, or everywhere: benchmarks/tiles.py measures what that does
    context = -(-radius // 16) * 16
    overlap = 2 * context + 16
    step = max(32, -(-overlap // 32) * 32)
    tiled = Tiled(step + overlap, overlap, 16)
    assert len(list(tiled.spans(288))) > 1 or radius > 60
    torch.testing.assert_close(tiled(network, x), whole, rtol=0, atol=1e-5)


def test_the_receptive_radius_of_known_networks() -> None:
    class Look(nn.Module):
        def __init__(self, radius: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 2 * radius + 1, padding=radius)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)

    assert receptive_radius(Look(4), 32) == 4
    assert receptive_radius(nn.Identity(), 32) == 0
    torch.manual_seed(0)
    aod_net = limpid.build("aod_net")
    for parameter in aod_net.parameters():
        parameter.data.abs_()  # no ReLU is dead, so that every path counts
    assert receptive_radius(aod_net, 64) == 1 // 2 + 3 // 2 + 5 // 2 + 7 // 2 + 3 // 2
    assert receptive_radius(limpid.build("rfd_student"), 64) is None, "channel attention averages over the image"


def test_padding_reflects_and_is_cut_away() -> None:
    x = torch.rand(1, 3, 21, 30)
    seen = Seen()
    torch.testing.assert_close(Padded(16)(seen, x), x)
    assert seen.sizes == [(32, 32)]
    tiny = Seen()
    torch.testing.assert_close(Padded(16)(tiny, x[..., :3, :3]), x[..., :3, :3])
    assert tiny.sizes == [(16, 16)]


def test_adaptive_inference_cuts_only_large_images_of_what_learns() -> None:
    adaptive = Adaptive(largest=0.01, tile=64, overlap=16, blend=4)
    learns = Seen()
    adaptive(learns, torch.rand(1, 3, 99, 99))
    assert learns.sizes == [(99, 99)]
    learns = Seen()
    adaptive(learns, torch.rand(1, 3, 101, 101))
    assert learns.sizes[0] == (64, 64), "with nothing that looks at the whole image, no pass is spent on statistics"
    wide = Seen()
    wide.largest_megapixels = 0.005
    assert adaptive.in_tiles(wide, 99, 99)
    adaptive(wide, torch.rand(1, 3, 99, 99))
    assert wide.sizes[0] == (64, 64), "it says how much may go through at once"
    prior = Seen()
    del prior.unused
    adaptive(prior, torch.rand(1, 3, 101, 101))
    assert prior.sizes == [(101, 101)]
    narrow = Seen()
    assert adaptive(narrow, torch.rand(1, 3, 1, 40)).shape == (1, 3, 1, 40)
    assert narrow.sizes == [(16, 40)], "networks take sides of 16 pixels and more"


def test_a_network_that_looks_far_is_given_tiles_that_share_more() -> None:
    near, far = Seen(), Seen()
    far.least_overlap = 24
    x = torch.rand(1, 3, 40, 100)
    for network in (near, far):
        torch.testing.assert_close(Tiled(48, 8, 4)(network, x), x)
    assert [width for _, width in near.sizes] == [48, 48, 20]
    assert [width for _, width in far.sizes] == [48, 48, 48, 28]
    far.least_overlap, far.sizes = 1000, []
    torch.testing.assert_close(Tiled(32, 9, 3)(far, x[:, :, :30]), x[:, :, :30])
    assert [width for _, width in far.sizes][:2] == [32, 32], "half a tile is the most"


def test_results_are_clamped_float32_on_the_images_own_device() -> None:
    class Wild(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x - 0.5).to(torch.bfloat16) * 9

    restored = Full()(Wild(), torch.rand(1, 3, 20, 20))
    assert restored.dtype == torch.float32
    assert restored.min() == 0
    assert restored.max() == 1


def test_tiles_of_a_network_that_enlarges_are_refused() -> None:
    with pytest.raises(UserError, match="use inference=full"):
        Tiled(32, 8, 4)(limpid.build("fsrcnn"), torch.rand(1, 3, 40, 40))


@pytest.mark.parametrize(("tile", "overlap", "blend"), [(32, 17, 1), (32, 8, 9), (32, 8, 3), (32, 8, 0)])
def test_tiles_that_cannot_be_laid_are_refused(tile: int, overlap: int, blend: int) -> None:
    with pytest.raises(UserError, match="cannot be laid"):
        Tiled(tile, overlap, blend)


def test_a_padding_mode_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UserError, match="'mirror'"):
        Padded(16, "mirror")
