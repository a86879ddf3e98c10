"""What holds for every operator: its contract, determinism, stacking, and refusal of wrong settings."""

import importlib.util

import numpy as np
import pytest

from limpid.data import degradations
from limpid.data.degradations import (
    Blur,
    CameraShake,
    Chain,
    DidHy,
    EightBit,
    FrameAverage,
    Haze,
    HybridDistortion,
    Jpeg,
    LowResolution,
    Noise,
    Rain,
    Sand,
    from_eight_bit,
    to_eight_bit,
    wmcp_haze,
)
from limpid.errors import UserError

OPERATORS = {
    "blur": Blur(),
    "noise": Noise(),
    "jpeg": Jpeg(),
    "low resolution": LowResolution(),
    "hybrid": HybridDistortion("any"),
    "rain": Rain(),
    "did_hy": DidHy(),
    "camera shake": CameraShake(frames=5),
    "moving things": CameraShake(frames=5, objects=2),
    "haze": Haze(),
    "dense haze": wmcp_haze("dense"),
    "sand": Sand(),
    "sand that scatters": Sand(model="scattering"),
    "chain": Chain([Blur(), Noise(), Jpeg()]),
}
DRAWING = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())


@pytest.fixture
def sample():
    rng = np.random.default_rng(0)
    coarse = rng.random((6, 8, 3), dtype=np.float32)
    return {
        "target": np.kron(coarse, np.ones((8, 8, 1), np.float32)),
        "depth": np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64),
        "name": "x",
    }


@DRAWING
def test_input_is_an_image_and_the_rest_is_kept(operator, sample):
    before = {key: np.copy(value) for key, value in sample.items()}
    degraded = operator(sample, np.random.default_rng(1))
    assert degraded["input"].shape == (48, 64, 3)
    assert degraded["input"].dtype == np.float32
    assert degraded["input"].min() >= 0
    assert degraded["input"].max() <= 1
    assert np.abs(degraded["input"] - sample["target"]).mean() > 1e-3
    assert "input" not in sample
    for key in before:
        np.testing.assert_array_equal(sample[key], before[key])
        np.testing.assert_array_equal(degraded[key], before[key])


@DRAWING
def test_the_generator_decides_every_bit(operator, sample):
    first, again, other = (operator(sample, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first.keys() == again.keys() == other.keys()
    assert first["input"].tobytes() == again["input"].tobytes()
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert first["input"].tobytes() != other["input"].tobytes()


@DRAWING
def test_operators_go_on_from_the_input_they_find(operator, sample):
    grey = np.full_like(sample["target"], 0.5)
    stacked = operator(sample | {"input": grey}, np.random.default_rng(2))["input"]
    alone = operator(sample | {"target": grey}, np.random.default_rng(2))["input"]
    np.testing.assert_array_equal(stacked, alone)


def test_every_operator_is_found_by_its_path():
    """A function of a module's name in the package would hide the module from configs."""
    for name in degradations.__all__:
        assert importlib.util.find_spec(f"limpid.data.degradations.{name}") is None


def test_a_chain_is_its_operators_one_after_the_other(sample):
    rng = np.random.default_rng(3)
    by_hand = sample
    for operator in (Blur(), Noise(), Jpeg()):
        by_hand = operator(by_hand, rng)
    chained = Chain([Blur(), Noise(), Jpeg()])(sample, np.random.default_rng(3))
    assert chained.keys() == by_hand.keys()
    np.testing.assert_array_equal(chained["input"], by_hand["input"])
    np.testing.assert_array_equal(Chain([])(sample, rng)["input"], sample["target"])


def test_eight_bits_are_those_of_a_file(sample):
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_eight_bit(from_eight_bit(levels)), levels)
    np.testing.assert_array_equal(to_eight_bit(np.float32([-1, 0.5 / 255, 1.49 / 255, 2])), [0, 1, 1, 255])
    rounded = EightBit()(sample, np.random.default_rng(0))["input"]
    assert np.abs(rounded - sample["target"]).max() <= 0.5 / 255 + 1e-7
    np.testing.assert_array_equal(rounded, np.float32(np.round(rounded * 255)) / np.float32(255))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Blur(sigma=(2, 1)), "sigma"),
        (lambda: Blur(size=20), "size"),
        (lambda: Noise(sigma=(0,)), "sigma"),
        (lambda: Jpeg(quality=(10, 101)), "quality"),
        (lambda: Jpeg(quality=(0, 50)), "quality"),
        (lambda: Jpeg(subsampling="4:1:1"), "subsampling"),
        (lambda: LowResolution(factors=(1,)), "factors"),
        (lambda: HybridDistortion("moderat"), "did you mean 'moderate'"),
        (lambda: HybridDistortion(patch=0), "patch"),
        (lambda: HybridDistortion(quality_edges=(100, 10)), "quality_edges"),
        (lambda: HybridDistortion(scales=(0.5, 1)), "scales"),
        (lambda: Rain("heavi"), "did you mean 'heavy'"),
        (lambda: Rain(angle=(-100, 0)), "angle"),
        (lambda: Rain(layers=0), "layers"),
        (lambda: Rain(blend="multiply"), "blend"),
        (lambda: Rain(veil=(0, 1.5)), "veil"),
        (lambda: CameraShake(frames=0), "frames"),
        (lambda: FrameAverage(gamma=0), "gamma"),
        (lambda: Sand(beta=(0.6, 0.3)), "beta"),
        (lambda: Sand(colours=[[0.5, 2.0, 0.1]]), "colours"),
        (lambda: Sand(depth="guess"), "depth"),
        (lambda: Sand(alpha=1.0), "alpha"),
        (lambda: wmcp_haze("medium"), "mild, moderate, dense"),
    ],
)
def test_wrong_settings_are_refused_by_name(make, named):
    with pytest.raises(UserError, match=named):
        make()
