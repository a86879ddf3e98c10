"""Rain: the streak's form, the density of a layer, the blends, and how strong the levels come out."""

import numpy as np
import pytest

from limpid.data.degradations import Rain, blend_rain, imresize, streak, streak_layer


@pytest.fixture(scope="module")
def image():
    coarse = np.random.default_rng(0).random((20, 30, 3), dtype=np.float32)
    return np.clip(imresize(coarse, 8), 0, 1) * np.float32(0.8)  # 160 x 240


def test_a_streak_is_a_line_of_its_length_and_width():
    kernel = streak(20, 1.5, 0).astype(np.float64)
    middle = kernel.shape[0] // 2, kernel.shape[1] // 2
    assert kernel.shape[0] % 2 == kernel.shape[1] % 2 == 1
    assert kernel.argmax() == np.ravel_multi_index(middle, kernel.shape)
    assert kernel[middle[0] + 10, middle[1]] == pytest.approx(kernel.max() / 2)  # half its brightness
    assert kernel[middle[0] + 20, middle[1]] == pytest.approx(0, abs=1e-12)
    # The sum is the integral of both profiles: length along, sqrt(2 pi) w across (the pixel's width cancels).
    assert kernel.sum() == pytest.approx(20 * np.sqrt(2 * np.pi) * 1.5, rel=2e-3)
    np.testing.assert_array_equal(kernel, kernel[::-1, ::-1])


@pytest.mark.parametrize("angle", [-40, -10, 0, 25, 90])
def test_a_streak_leans_by_its_angle(angle):
    kernel = streak(24, 1.0, angle).astype(np.float64)
    y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]] - np.array(kernel.shape)[:, None, None] // 2
    moments = [[(kernel * p * q).sum() for q in (x, y)] for p in (x, y)]
    direction = np.linalg.eigh(moments)[1][:, 1]
    lean = np.degrees(np.arctan2(-direction[0], direction[1]))  # the upper end to the right is positive
    assert (lean - angle + 90) % 180 - 90 == pytest.approx(0, abs=0.3)


def test_thin_streaks_are_lines_and_not_dots():
    for angle in (0, 7, 20):
        kernel = streak(30, 0.2, angle)
        along = kernel[5:-5].max(axis=1)  # the brightest pixel of each row follows the line
        smooth = np.convolve(along, np.ones(5) / 5, mode="valid")
        assert np.abs(along[2:-2] / smooth - 1).max() < 0.6
    assert streak(30, 0.2, 0).max() < streak(30, 0.6, 0).max() < 1


def test_a_layer_is_as_dense_as_asked():
    kernel = streak(12, 0.8, 10)
    layers = [streak_layer((150, 200), kernel, 0.4, np.random.default_rng(i)) for i in range(6)]
    brightness = 0.2 + 0.8 / 3  # mean of 0.2 + 0.8 u^2
    assert np.mean(layers) == pytest.approx(0.4 * brightness, rel=0.05)
    # Edges get no less rain than the middle.
    border = np.mean([np.r_[layer[:3].ravel(), layer[-3:].ravel()] for layer in layers])
    assert border == pytest.approx(0.4 * brightness, rel=0.25)


def test_blends(image):
    streaks = np.random.default_rng(1).random(image.shape[:2], dtype=np.float32)
    screen, additive = (blend_rain(image, streaks, blend) for blend in ("screen", "additive"))
    np.testing.assert_allclose(screen, image + streaks[..., None] * (1 - image), atol=1e-6)
    np.testing.assert_allclose(additive, np.minimum(image + streaks[..., None], 1), atol=1e-6)
    for blend in ("screen", "additive"):
        np.testing.assert_array_equal(blend_rain(image, np.zeros_like(streaks), blend), image)


@pytest.mark.parametrize("blend", ["screen", "additive"])
def test_rain_is_what_it_reports(image, blend):
    rainy = Rain("medium", veil=(0.3, 0.3), veil_brightness=0.7, blend=blend)(
        {"target": image}, np.random.default_rng(2)
    )
    behind = image * 0.7 + 0.7 * 0.3
    np.testing.assert_allclose(rainy["input"], blend_rain(behind, rainy["streaks"], blend), atol=1e-6)
    assert 0.35 <= rainy["rain_coverage"] <= 0.65
    assert -25 <= rainy["rain_angle"] <= 25


def test_denser_levels_are_further_away(image):
    psnr = {}
    for level in ("light", "medium", "heavy"):
        made = [Rain(level)({"target": image}, np.random.default_rng(i))["input"] for i in range(12)]
        psnr[level] = np.mean([-10 * np.log10(np.square(one - image).mean()) for one in made])
    assert psnr["light"] > psnr["medium"] + 2 > psnr["heavy"] + 4


def test_any_level_draws_all_three(image):
    drawn = {Rain()({"target": image[:40, :40]}, np.random.default_rng(i))["rain_level"] for i in range(30)}
    assert drawn == {"light", "medium", "heavy"}
