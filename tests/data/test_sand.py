"""The sand-dust scattering model of AOSR-Net, its integrated variable, and the library of colours."""

import numpy as np
import pytest

from limpid.data.degradations import (
    Sand,
    integrated_variable,
    load_sand_colours,
    restored_from_phi,
    sand_scatter,
    stand_in_depth,
)
from limpid.data.degradations.sand_colours import colour_library, estimate_sand_colour, is_sandy
from limpid.data.image_io import list_images, read_image
from limpid.errors import UserError


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    return {
        "target": rng.random((14, 19, 3), dtype=np.float32),
        "depth": rng.random((14, 19), dtype=np.float32) * 7,
        "name": "x",
    }


def test_equation_2_and_its_inverse_4():
    rng = np.random.default_rng(1)
    clear, transmission, colour = rng.random((5, 6, 3)), rng.uniform(0.5, 1, (5, 6, 1)), rng.random(3)
    sandy = sand_scatter(clear, transmission, colour)
    np.testing.assert_allclose(sandy, colour + (clear - (1 - colour)) * transmission)
    np.testing.assert_allclose((sandy - colour) / transmission + (1 - colour), clear)


def test_limits_of_the_model():
    clear, colour = np.random.default_rng(2).random((4, 4, 3)), np.array([0.8, 0.6, 0.3])
    np.testing.assert_allclose(sand_scatter(clear, np.ones((4, 4, 1)), colour), clear + 2 * colour - 1)
    np.testing.assert_allclose(sand_scatter(clear, np.zeros((4, 4, 1)), colour), np.broadcast_to(colour, clear.shape))
    np.testing.assert_allclose(sand_scatter(clear, np.ones((4, 4, 1)), [0.5] * 3), clear)  # grey is its own complement


def test_equation_6_collapses_where_the_control_coefficient_is_one():
    rng = np.random.default_rng(3)
    clear, transmission, colour = rng.random((6, 7, 3)), rng.uniform(0.55, 1, (6, 7, 1)), rng.uniform(0.4, 0.6, 3)
    sandy = sand_scatter(clear, transmission, colour)
    as_printed = (sandy - colour + transmission * ((1 - colour) - 1)) / (transmission * (sandy - 1.6))
    np.testing.assert_allclose(integrated_variable(clear, sandy), as_printed, rtol=1e-6)


def test_the_triple_is_exact(sample):
    for seed in range(5):
        triple = Sand()(sample, np.random.default_rng(seed))
        np.testing.assert_allclose(restored_from_phi(triple["phi"], triple["input"]), sample["target"], atol=1e-6)
        assert triple["phi"].dtype == triple["input"].dtype == np.float32
        assert triple["phi"].min() >= 0
        assert triple["phi"].max() <= 1 / 0.6 + 1e-6


def test_input_follows_the_model_with_what_is_reported(sample):
    sandy = Sand(depth="sample")(sample, np.random.default_rng(4))
    assert 0.3 <= sandy["beta"] <= 0.6
    relative = sample["depth"] / sample["depth"].max()
    expected = sand_scatter(
        sample["target"].astype(np.float64), np.exp(-sandy["beta"] * relative)[..., None], sandy["sand_colour"]
    )
    np.testing.assert_allclose(sandy["input"], np.clip(expected, 0, 1), atol=1e-6)
    assert any(np.array_equal(sandy["sand_colour"], colour) for colour in load_sand_colours())


def test_scattering_is_haze_with_a_colour(sample):
    sandy = Sand(beta=(1, 2), depth="sample", model="scattering")(sample, np.random.default_rng(4))
    transmission = np.exp(-sandy["beta"] * sample["depth"] / sample["depth"].max())[..., None]
    expected = sample["target"] * transmission + sandy["sand_colour"] * (1 - transmission)
    np.testing.assert_allclose(sandy["input"], expected, atol=1e-6)
    with pytest.raises(UserError, match="model is 'fog', but it must be deviation or scattering"):
        Sand(model="fog")


def test_colours_and_attenuation_are_drawn_over_their_ranges(sample):
    small = {"target": sample["target"][:2, :2], "depth": sample["depth"][:2, :2]}
    sand, rng = Sand(colours=[[0.7, 0.5, 0.3], [0.6, 0.5, 0.4]]), np.random.default_rng(0)
    drawn = [sand(small, rng) for _ in range(1000)]
    betas = np.array([one["beta"] for one in drawn])
    assert betas.mean() == pytest.approx(0.45, abs=0.01)
    assert betas.std() == pytest.approx(0.3 / np.sqrt(12), rel=0.1)
    assert np.mean([one["sand_colour"][0] > 0.65 for one in drawn]) == pytest.approx(0.5, abs=0.06)


def test_depth_where_the_sample_has_none(sample):
    del sample["depth"]
    with pytest.raises(UserError, match="stand_in"):
        Sand(depth="sample")(sample, np.random.default_rng(0))
    guessed = Sand(depth="stand_in")(sample, np.random.default_rng(0))
    told = Sand(depth="sample")(sample | {"depth": stand_in_depth(sample["target"])}, np.random.default_rng(0))
    np.testing.assert_allclose(guessed["input"], told["input"], atol=1e-6)
    np.testing.assert_array_equal(guessed["input"], Sand()(sample, np.random.default_rng(0))["input"])
    flat = Sand()(sample | {"depth": np.zeros((14, 19), np.float32)}, np.random.default_rng(0))
    assert np.isfinite(flat["input"]).all()


def test_the_estimate_inverts_the_model_on_grey_scenes():
    rng = np.random.default_rng(5)
    grey = np.full((8, 8, 3), 0.4, np.float32)
    for _ in range(10):
        colour = rng.uniform(0.2, 0.8, 3).astype(np.float32)
        sandy = sand_scatter(grey, np.full((8, 8, 1), 0.8, np.float32), colour)
        np.testing.assert_allclose(estimate_sand_colour(sandy), colour, atol=1e-6)


def test_the_library_holds_sandy_colours():
    colours = load_sand_colours()
    assert len(colours) >= 30
    assert ((colours[:, 0] > colours[:, 1]) & (colours[:, 1] > colours[:, 2])).all()
    assert (np.diff(colours[:, 0] - colours[:, 2]) >= -2e-3).all()  # in order, as rounded to three decimals
    assert not colours.flags.writeable


def test_a_library_skips_what_is_not_sandy_and_what_is_there_already():
    sandy, grey, blue = (
        np.broadcast_to(np.float32(c), (4, 4, 3)) for c in ([0.7, 0.5, 0.3], [0.5] * 3, [0.3, 0.5, 0.7])
    )
    assert [is_sandy(image) for image in (sandy, grey, blue)] == [True, False, False]
    assert colour_library([sandy, grey, blue, sandy]).shape == (1, 3)
    assert colour_library([grey]).shape == (0, 3)


def test_made_sandstorms_have_the_mean_colour_of_real_ones(real_data):
    photographs = [
        image for file in sorted((real_data / "sand_real").rglob("*.jpg"))[::2] if is_sandy(image := read_image(file))
    ]
    clear = [read_image(file) for file in list_images(real_data / "CBSD68")[:16]]
    if not photographs or not clear:
        pytest.skip("needs sand_real and CBSD68")
    rng = np.random.default_rng(0)
    made = np.mean([Sand()({"target": image}, rng)["input"].mean(axis=(0, 1)) for image in clear], axis=0)
    real = np.mean([image.mean(axis=(0, 1)) for image in photographs], axis=0)
    assert np.abs(made - real).max() < 0.12
    assert made[0] > made[1] > made[2]
