"""RL-Restore's hybrid distortions: bins, classes, order, patches, and how strong they come out."""

import itertools

import numpy as np
import pytest
import yaml

from limpid.data.degradations import (
    Chain,
    DidHy,
    HybridDistortion,
    Rain,
    add_gaussian_noise,
    bin_combinations,
    code_jpeg,
    distort,
    gaussian_blur,
    imresize,
    patch_corners,
)
from limpid.data.image_io import list_images, read_image
from limpid.errors import UserError
from limpid.paths import shipped

THREE_SCALES = (1, 2 / 3, 1 / 3)


def psnr(a, b):
    return -10 * np.log10(np.square(a.astype(np.float64) - b).mean())


@pytest.fixture(scope="module")
def image():
    coarse = np.random.default_rng(0).random((17, 26, 3), dtype=np.float32)
    return np.clip(imresize(coarse, 12), 0, 1)  # 204 x 312


def test_classes_are_sums_of_bins():
    # Number of ordered triples within 1..10 of each sum, from the generating function (x + ... + x^10)^3.
    per_sum = np.convolve(np.convolve(np.ones(10, int), np.ones(10, int)), np.ones(10, int))
    for low, high in ((9, 11), (12, 17), (18, 20), (1, 28)):
        combinations = bin_combinations(low, high)
        assert len(combinations) == len(set(combinations)) == per_sum[low - 1 : high].sum()
        assert {sum(kmn) - 2 for kmn in combinations} == set(range(low, high + 1))
    assert len(bin_combinations(1, 28)) == 1000


@pytest.mark.parametrize(("level", "low", "high"), [("mild", 9, 11), ("moderate", 12, 17), ("severe", 18, 20)])
def test_strengths_lie_in_the_bins_of_the_level(level, low, high):
    tiny, rng = {"target": np.full((8, 8, 3), 0.5, np.float32)}, np.random.default_rng(0)
    operator = HybridDistortion(level)
    drawn = [operator(tiny, rng) for _ in range(1500)]
    edges = np.array([100, 80, 60, 50, 40, 35, 30, 25, 20, 15, 10])
    for one in drawn:
        k, m = (int(np.floor(value)) for value in (one["blur_sigma"] / 0.5, one["noise_sigma"] / 5))
        assert 0 <= k < 10
        assert 0 <= m < 10
        n = one["severity"] + 2 - (k + 1) - (m + 1)  # the third bin follows
        assert 1 <= n <= 10
        assert edges[n] <= one["jpeg_quality"] <= edges[n - 1]
        assert low <= one["severity"] <= high
    # Combinations, not sums, are equally likely.
    all_of_them = bin_combinations(low, high)
    for severity in range(low, high + 1):
        share = sum(sum(kmn) - 2 == severity for kmn in all_of_them) / len(all_of_them)
        measured = np.mean([one["severity"] == severity for one in drawn])
        assert measured == pytest.approx(share, abs=4 * np.sqrt(share / 1500))


def test_order_is_blur_noise_jpeg(image):
    result = distort(image, 1.5, 20, 40, np.random.default_rng(4))
    expected = code_jpeg(add_gaussian_noise(gaussian_blur(image, 1.5), 20, np.random.default_rng(4)), 40)
    np.testing.assert_array_equal(result, expected)


def test_the_blur_may_reach_twice_as_far():
    tiny, rng = {"target": np.full((8, 8, 3), 0.5, np.float32)}, np.random.default_rng(0)
    widths = [HybridDistortion("any", blur_most=10)(tiny, rng)["blur_sigma"] for _ in range(300)]
    assert 9.5 < max(widths) <= 10


@pytest.mark.parametrize("stride", [48, 1])
def test_a_patch_is_cut_from_the_distorted_image(image, stride):
    sample = {"target": image, "depth": image[..., 0], "name": "x"}
    for seed in range(6):
        patch = HybridDistortion("any", noise_most=0, patch=63, stride=stride)(sample, np.random.default_rng(seed))
        assert patch["input"].shape == patch["target"].shape == (63, 63, 3)
        np.testing.assert_array_equal(patch["depth"], patch["target"][..., 0])
        whole = distort(image, patch["blur_sigma"], 0, patch["jpeg_quality"], np.random.default_rng(0))
        corners = [c for c in patch_corners(*image.shape[:2], 63, stride) if (image[c] == patch["target"][0, 0]).all()]
        at = [(y, x) for y, x in corners if np.array_equal(image[y : y + 63, x : x + 63], patch["target"])]
        assert len(at) == 1
        top, left = at[0]
        np.testing.assert_array_equal(patch["input"], whole[top : top + 63, left : left + 63])


def test_patches_lie_on_the_grid():
    corners = patch_corners(204, 312, 63, 96)
    assert corners == list(itertools.product((0, 96), (0, 96, 192)))
    assert patch_corners(62, 200, 63, 96) == []


@pytest.mark.parametrize("group", ["dataset", "make"])
def test_patches_of_div2k_are_those_of_rl_restore(group):
    """At 1/2, 1/3 and 1/4 with stride 56: about the printed 249,344 patches of 750 photographs."""
    card = yaml.safe_load((shipped("conf") / group / "div2k_hybrid.yaml").read_text(encoding="utf-8"))
    degradation = card["degradation"]
    scales = card.get("scales") or degradation["scales"]
    np.testing.assert_allclose(scales, [1 / 2, 1 / 3, 1 / 4])

    def patches(width, height):
        sides = [(round(height * scale), round(width * scale)) for scale in scales]
        return [len(patch_corners(*side, degradation["patch"], degradation["stride"])) for side in sides]

    assert patches(2040, 1356) == [18 * 11, 12 * 7, 8 * 5]  # the commonest size
    assert patches(2040, 1404) == [18 * 12, 12 * 8, 8 * 6]
    assert 750 * sum(patches(2040, 1356)) == 241_500 < 249_344 < 270_000 == 750 * sum(patches(2040, 1404))


def test_scales_are_cumulative_and_weighted_by_area(image):
    operator = HybridDistortion("mild", scales=THREE_SCALES)
    samples = [operator({"target": image[:60, :90]}, np.random.default_rng(i)) for i in range(150)]
    sizes = [one["target"].shape[:2] for one in samples]
    assert set(sizes) == {(60, 90), (40, 60), (20, 30)}
    assert sizes.count((60, 90)) / 150 == pytest.approx(9 / 14, abs=0.12)
    assert sizes.count((20, 30)) / 150 == pytest.approx(1 / 14, abs=0.07)
    smallest = samples[sizes.index((20, 30))]
    twice = imresize(np.clip(imresize(image[:60, :90], 2 / 3), 0, 1), 1 / 2)
    np.testing.assert_allclose(smallest["target"], np.clip(twice, 0, 1), atol=1e-6)


def test_an_image_below_the_patch_is_refused():
    with pytest.raises(UserError, match="patch of 63"):
        HybridDistortion(patch=63)({"target": np.zeros((62, 80, 3), np.float32), "name": "x"}, np.random.default_rng(0))


def test_did_hy_is_rain_below_hybrid_distortion(image):
    made = DidHy(Rain("heavy"), "severe")({"target": image}, np.random.default_rng(1))
    by_hand = Chain([Rain("heavy"), HybridDistortion("severe")])({"target": image}, np.random.default_rng(1))
    np.testing.assert_array_equal(made["input"], by_hand["input"])
    assert {"streaks", "rain_level", "blur_sigma", "noise_sigma", "jpeg_quality"} <= made.keys()


def test_levels_are_as_strong_as_the_authors_patches(real_data):
    """Mean PSNR falls from mild to severe and is near that of the authors' own patches, three of each class."""
    authors, made = {}, {}
    folder = real_data / "hybrid_RL-Restore" / "test"
    images = [read_image(file)[:240, :240] for file in list_images(real_data / "CBSD68")[:20]]
    if not folder.is_dir() or not images:
        pytest.skip("needs hybrid_RL-Restore and CBSD68")
    for level in ("mild", "moderate", "severe"):
        inputs, targets = (list_images(folder / f"{level}_{part}") for part in ("in", "gt"))
        authors[level] = np.mean([psnr(read_image(a), read_image(b)) for a, b in zip(inputs, targets, strict=True)])
        operator, rng = HybridDistortion(level, scales=THREE_SCALES, patch=63, stride=8), np.random.default_rng(0)
        samples = [operator({"target": image}, rng) for image in images for _ in range(6)]
        made[level] = np.mean([psnr(one["input"], one["target"]) for one in samples])
    assert made["mild"] > made["moderate"] > made["severe"]
    for level, value in authors.items():
        assert made[level] == pytest.approx(value, abs=3), level
