"""The maps that methods find, as pictures in [0, 1]."""

from __future__ import annotations

import torch
from torch import nn

import limpid
from limpid.inference import Adaptive, Tiled
from limpid.models import Restorer
from limpid.models.auxiliary_maps import auxiliary_maps
from limpid.priors.dcp import DCP

X = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))


def test_a_priors_maps_are_its_estimate() -> None:
    prior = DCP(patch=5, guided_radius=4)
    maps, estimate = auxiliary_maps(prior, X), prior.estimate(X)
    assert list(maps) == ["transmission", "scene_depth", "airlight"]
    torch.testing.assert_close(maps["transmission"], estimate.transmission)
    assert torch.equal(maps["scene_depth"].amax((1, 2, 3)), torch.ones(2))
    furthest = estimate.scene_depth.amax((1, 2, 3), keepdim=True)
    torch.testing.assert_close(maps["scene_depth"] * furthest, estimate.scene_depth)
    assert maps["airlight"].shape == X.shape
    torch.testing.assert_close(maps["airlight"][1, :, 7, 9], estimate.airlight[1])


def test_phi_is_a_share_of_the_most_it_can_be() -> None:
    network = limpid.build("aosr", channels=4).eval()
    phi = auxiliary_maps(network, X)["phi"]
    with torch.no_grad():
        exact = network(X).phi
    torch.testing.assert_close(phi, (exact / (1 / (1.6 - 1))).clamp(0, 1))
    assert phi.shape == X.shape


def test_dehazenet_has_no_depth_and_a_plain_network_no_maps() -> None:
    assert list(auxiliary_maps(limpid.build("dehazenet"), X)) == ["transmission", "airlight"]
    assert auxiliary_maps(nn.Conv2d(3, 3, 3, padding=1), X) == {}


def test_images_in_tiles_have_no_maps() -> None:
    system = Restorer(limpid.build("dehazenet"), "dehazenet", {})
    assert "transmission" in system.auxiliary_maps({"input": X})
    system.inference = Tiled(tile=16, overlap=4, blend=2)
    assert system.auxiliary_maps({"input": X}) == {}
    system.inference = Adaptive(largest=1e-4, tile=16, overlap=4, blend=2)
    assert system.auxiliary_maps({"input": X}) == {}
    system.inference = Adaptive(largest=1.0)
    assert "transmission" in system.auxiliary_maps({"input": X})
