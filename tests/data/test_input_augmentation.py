"""Changes of the input alone: what they leave, what they draw, and that DeblurGAN-v2's can all be made."""

from __future__ import annotations

import albumentations
import numpy as np
import pytest
from tests.specs import config

from limpid.config import instantiate
from limpid.data.augmentations import InputAugmentation


def sample(side: int = 64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.random((side, side, 3), dtype=np.float32) for name in ("input", "target")}


def test_the_input_changes_alone_and_as_the_generator_draws() -> None:
    dropout = albumentations.CoarseDropout((3, 3), (25, 25), (25, 25), p=1.0)
    operator, given = InputAugmentation(dropout), sample(128)
    before = given["input"].copy()
    first, again, other = (operator(given, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(given["input"], before)
    assert np.array_equal(first["target"], given["target"])
    assert np.array_equal(first["input"], again["input"])
    assert not np.array_equal(first["input"], other["input"])
    holes = (first["input"] == 0).all(-1).sum()
    assert 25 * 25 <= holes <= 3 * 25 * 25


@pytest.mark.parametrize("number", range(7))
def test_each_of_deblurgan_v2s_changes_is_one(number: int) -> None:
    plain = config("fdr/table3/inception_resnet")["data"]["input_noise"]["transform"]["transforms"][number]
    operator, given = InputAugmentation(instantiate.construct(plain, "data.input_noise")), sample()
    changed = operator(given, np.random.default_rng(3))["input"]
    assert changed.dtype == np.float32
    assert changed.shape == given["input"].shape
    assert 0 <= changed.min() <= changed.max() <= 1
    assert not np.array_equal(changed, given["input"])


def test_the_changes_of_the_pair_change_both_alike() -> None:
    plain = config("fdr/table3/inception_resnet")["data"]["augment"]
    assert [entry["_target_"].rpartition(".")[2] for entry in plain["transforms"]] == [
        "HorizontalFlip", "Affine", "Transpose", "OpticalDistortion", "ElasticTransform",
    ]  # fmt: skip
    image = sample()["input"]
    for entry in plain["transforms"]:
        transform = instantiate.construct(entry, "data.augment")
        changed = albumentations.Compose([transform], additional_targets={"target": "image"}, seed=1)(
            image=image, target=image.copy()
        )
        assert np.array_equal(changed["image"], changed["target"])
        assert not np.array_equal(changed["image"], image)
