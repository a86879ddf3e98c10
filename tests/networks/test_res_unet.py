"""ResUNet: what it begins as, its two forms of result, its borders, and how far it looks."""

import pytest
import torch

from limpid.errors import UserError
from limpid.inference.receptive_field import receptive_radius
from limpid.networks.res_unet import ResUNet, Up


@pytest.mark.parametrize("affine", [False, True])
def test_it_begins_as_the_identity_at_any_size(affine: bool) -> None:
    network = ResUNet((4, 6, 8), (1, 1, 1), affine=affine)
    for size in ((1, 1), (7, 20), (33, 16)):
        x = torch.rand(2, 3, *size)
        torch.testing.assert_close(network(x), x)


def test_a_gain_and_an_offset_undo_a_veil() -> None:
    network = ResUNet((4, 4), (1, 1), affine=True)
    assert network.gain is not None
    transmission, airlight = 0.4, 0.9
    with torch.no_grad():
        network.gain.bias.fill_(1 / transmission - 1)
        network.offset.bias.fill_(airlight * (1 - 1 / transmission))
    clear = torch.rand(1, 3, 12, 20)
    torch.testing.assert_close(network(clear * transmission + airlight * (1 - transmission)), clear)


def test_a_flat_image_has_no_frame() -> None:
    torch.manual_seed(0)
    network = ResUNet((4, 6), (1, 2)).double()
    with torch.no_grad():
        network.offset.weight.normal_()
        restored = network(torch.full((1, 3, 24, 32), 0.4, dtype=torch.float64))
    change = restored.unfold(2, 4, 4).unfold(3, 4, 4)  # squares of the coarser level, within which pixels differ
    torch.testing.assert_close(change, change[:, :, :1, :1].expand_as(change))
    assert (restored - 0.4).abs().max() > 1e-3


def test_up_doubles_the_size() -> None:
    assert Up(6, 4)(torch.rand(1, 6, 5, 7)).shape == (1, 4, 10, 14)


def test_it_looks_no_further_than_its_levels_reach() -> None:
    torch.manual_seed(0)
    network = ResUNet((4, 4), (1, 1), unshuffle=2)
    with torch.no_grad():
        network.offset.weight.normal_()
    radius = receptive_radius(network)
    assert radius is not None
    # In squares: 1 of the head, 2 of the finer blocks, 1 of the way down, then 2 steps of two squares, 2 and 1 again.
    assert 2 * 6 < radius <= 2 * (1 + 2 + 1 + 2 * 2 + 2 + 2 + 1) + 2


def test_levels_need_both_numbers() -> None:
    with pytest.raises(UserError, match="2 numbers of channels and 3 of blocks"):
        ResUNet((4, 4), (1, 1, 1))
