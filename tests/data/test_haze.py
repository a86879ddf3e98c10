"""The atmospheric scattering model against its closed forms."""

import math

import numpy as np
import pytest
import torch

from limpid.data.degradations import Haze, scatter, transmission_from_depth
from limpid.errors import UserError


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    return {
        "target": rng.random((12, 17, 3), dtype=np.float32),
        "depth": rng.random((12, 17), dtype=np.float32),
        "name": "x",
    }


def test_transmission_is_beer_lambert():
    depth = np.array([0.0, 0.5, 1.0, 2.0], np.float32)
    expected = [math.exp(-1.3 * d) for d in depth]
    np.testing.assert_allclose(transmission_from_depth(depth, 1.3), expected, rtol=1e-6)
    assert transmission_from_depth(depth, 1.3).dtype == np.float32
    np.testing.assert_allclose(transmission_from_depth(torch.tensor(depth), 1.3), expected, rtol=1e-6)


def test_transmissions_of_two_layers_multiply():
    near, far = np.random.default_rng(0).random((2, 5, 5))
    both = transmission_from_depth(near + far, 0.9)
    np.testing.assert_allclose(both, transmission_from_depth(near, 0.9) * transmission_from_depth(far, 0.9))


def test_scatter_inverts():
    rng = np.random.default_rng(1)
    image, airlight = rng.random((8, 9, 3)), rng.uniform(0.7, 1, 3)
    transmission = rng.uniform(0.1, 1, (8, 9, 1))
    hazy = scatter(image, transmission, airlight)
    np.testing.assert_allclose((hazy - airlight * (1 - transmission)) / transmission, image, atol=1e-12)


def test_scatter_at_its_limits():
    image = np.random.default_rng(2).random((4, 4, 3))
    airlight = np.array([0.7, 0.8, 0.9])
    np.testing.assert_array_equal(scatter(image, np.ones((4, 4, 1)), airlight), image)
    np.testing.assert_array_equal(scatter(image, np.zeros((4, 4, 1)), airlight), np.broadcast_to(airlight, image.shape))
    np.testing.assert_allclose(scatter(image, np.full((4, 4, 1), 0.25), 0.8), image / 4 + 0.6)


def test_scatter_treats_tensors_as_arrays():
    rng = np.random.default_rng(3)
    image, transmission, airlight = rng.random((6, 7, 3)), rng.random((6, 7, 1)), rng.random(3)
    batch = scatter(
        torch.tensor(image).permute(2, 0, 1)[None],
        torch.tensor(transmission).permute(2, 0, 1)[None],
        torch.tensor(airlight)[None, :, None, None],
    )
    np.testing.assert_allclose(batch[0].permute(1, 2, 0).numpy(), scatter(image, transmission, airlight), rtol=1e-15)


def test_haze_follows_the_model_with_what_it_reports(sample):
    hazy = Haze(depth_scale=1.7, airlight_tint=0.05)(sample, np.random.default_rng(5))
    transmission = np.exp(-hazy["beta"] * sample["depth"].astype(np.float64))[..., None]
    expected = sample["target"] * transmission + hazy["airlight"] * (1 - transmission)
    np.testing.assert_allclose(hazy["input"], np.clip(expected, 0, 1), atol=1e-6)
    assert hazy["input"].dtype == np.float32
    assert hazy["input"].shape == sample["target"].shape
    assert isinstance(hazy["beta"], float)
    assert 0.6 * 1.7 <= hazy["beta"] <= 1.8 * 1.7


def test_haze_keeps_the_sample(sample):
    before = {key: np.copy(value) for key, value in sample.items()}
    hazy = Haze()(sample, np.random.default_rng(0))
    assert sample.keys() == before.keys()
    for key in before:
        np.testing.assert_array_equal(sample[key], before[key])
        np.testing.assert_array_equal(hazy[key], before[key])


def test_no_depth_means_no_haze(sample):
    hazy = Haze()(sample | {"depth": np.zeros((12, 17), np.float32)}, np.random.default_rng(0))
    np.testing.assert_array_equal(hazy["input"], sample["target"])


def test_far_away_only_airlight_is_left(sample):
    hazy = Haze(airlight=(0.8, 0.8))(sample | {"depth": np.full((12, 17), 1e4, np.float32)}, np.random.default_rng(0))
    np.testing.assert_allclose(hazy["input"], 0.8, atol=1e-7)


def test_beta_and_airlight_are_uniform_over_their_ranges(sample):
    small = {"target": sample["target"][:1, :1], "depth": sample["depth"][:1, :1]}
    rng, haze = np.random.default_rng(0), Haze()
    drawn = [haze(small, rng) for _ in range(4000)]
    for values, low, high in (
        ([d["beta"] for d in drawn], 0.6, 1.8),
        ([float(d["airlight"][0]) for d in drawn], 0.7, 1.0),
    ):
        assert low <= min(values)
        assert max(values) <= high
        # Kolmogorov's 99.9 % bound for 4000 uniform numbers.
        distance = np.abs(np.sort((np.array(values) - low) / (high - low)) - np.arange(0.5, 4000) / 4000)
        assert distance.max() < 1.95 / math.sqrt(4000)
    assert all(len(set(d["airlight"].tolist())) == 1 for d in drawn)


def test_tint_stays_near_the_brightness(sample):
    drawn = [Haze(airlight=(0.8, 0.8), airlight_tint=0.1)(sample, np.random.default_rng(i)) for i in range(50)]
    airlight = np.array([d["airlight"] for d in drawn])
    assert np.abs(airlight - 0.8).max() <= 0.1 + 1e-6
    assert airlight.std(axis=1).mean() > 0.02


def test_same_generator_state_gives_the_same_haze(sample):
    first, second = (Haze()(sample, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first["input"], second["input"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"beta": (1.8, 0.6)},
        {"beta": (-0.1, 0.6)},
        {"beta": (0.6,)},
        {"airlight": (0.7, 1.1)},
        {"airlight_tint": -0.1},
        {"depth_scale": 0.0},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Haze(**wrong)


def test_a_sample_without_depth_is_refused(sample):
    del sample["depth"]
    with pytest.raises(UserError, match="depth"):
        Haze()(sample, np.random.default_rng(0))
