"""Which image comes when, and in what shape: samplers, crops, augmentation, the datamodule."""

from __future__ import annotations

from collections import Counter
from typing import Any

import albumentations
import numpy as np
import pytest
import torch
from tests.specs import config
from torch.utils.data import DataLoader

from limpid.config.compose import compose
from limpid.data.augmentations import Saturation
from limpid.data.cropping import random_crop, random_resized_crop
from limpid.data.datamodule import EvaluationView, RestorationData, TrainingView
from limpid.data.degradations import HalfNormalNoise, imresize
from limpid.data.sampling import StepSampler, StridedSampler
from limpid.errors import CannotRun, UserError


class Numbers:
    """Images whose pixels tell where they come from: red is the row, green the column, blue the index."""

    name, domain, expected = "numbers", "none", None

    def __init__(self, count: int = 7, height: int = 12, width: int = 20) -> None:
        self.count, self.height, self.width = count, height, width

    def __len__(self) -> int:
        return self.count

    def load(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        rows, columns = np.indices((self.height, self.width), np.float32)
        target = np.stack([rows / 100, columns / 100, np.full_like(rows, index / 100)], -1)
        return {
            "input": target + np.float32(rng.random() / 1000),
            "target": target,
            "depth": rows / 100,
            "name": str(index),
        }

    def why_missing(self) -> str | None:
        return None


def test_the_training_order_is_a_permutation_of_every_epoch() -> None:
    sampler = StepSampler(images=7, batch_size=3, steps=21, seed=4)
    pairs = [pair for batch in sampler for pair in batch]
    assert len(sampler) == 21
    assert Counter(pairs) == Counter((epoch, i) for epoch in range(9) for i in range(7))
    orders = {tuple(i for e, i in pairs if e == epoch) for epoch in range(9)}
    assert len(orders) > 1, "epochs differ"
    assert [p for b in StepSampler(7, 3, 21, seed=5) for p in b] != pairs, "seeds differ"


def test_starting_in_the_middle_goes_on_as_if_nothing_had_happened() -> None:
    whole = list(StepSampler(images=7, batch_size=3, steps=21, seed=4))
    assert list(StepSampler(images=7, batch_size=3, steps=21, start=13, seed=4)) == whole[13:]


def test_processes_share_each_step_without_overlap() -> None:
    one = list(StepSampler(images=10, batch_size=4, steps=6))
    two = [list(StepSampler(images=10, batch_size=4, steps=6, rank=rank, world=2)) for rank in (0, 1)]
    assert [a + b for a, b in zip(*two, strict=True)] == one
    accumulated = list(StepSampler(images=10, batch_size=2, steps=12))
    assert [a + b for a, b in zip(accumulated[::2], accumulated[1::2], strict=True)] == one
    with pytest.raises(UserError, match=r"A step's 4 images .* 3 processes; set trainer.devices=2, or data.batch_size"):
        StepSampler(images=10, batch_size=4, steps=6, world=3)


@pytest.mark.parametrize("images", [1, 31, 499])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_sees_every_image_once(images: int, world: int) -> None:
    each = [list(StridedSampler(images, rank, world)) for rank in range(world)]
    assert sorted(i for seen in each for i in seen if i >= 0) == list(range(images))
    assert all(each), "a process without images has one that does not count"


def test_crops_cut_all_maps_alike_and_stay_inside() -> None:
    rng = np.random.default_rng(0)
    corners = set()
    for _ in range(200):
        cut = random_crop(Numbers().load(3, rng), 8, rng)
        top, left = (round(float(cut["target"][0, 0, c]) * 100) for c in (0, 1))
        corners.add((top, left))
        np.testing.assert_array_equal(cut["depth"], cut["target"][..., 0])
        assert cut["input"].shape == (8, 8, 3)
    assert {c[0] for c in corners} == set(range(5))
    assert {c[1] for c in corners} == set(range(13))
    with pytest.raises(UserError, match=r"Image 3 is 20x12, smaller than the training crop of 13; set data.crop=12"):
        random_crop(Numbers().load(3, rng), 13, rng)


def test_augmentation_turns_images_and_maps_together_and_depends_on_seed_epoch_and_index_alone() -> None:
    view = TrainingView(Numbers(), 8, albumentations.D4(p=1.0), seed=1)
    turned = set()
    for epoch in range(40):
        sample = view[(epoch, 2)]
        rows = sample["target"][0]
        np.testing.assert_array_equal(sample["depth"][0], rows)
        turned.add((bool(rows[0, 0] < rows[-1, 0]), bool(rows[0, 0] < rows[0, -1])))
        assert sample["input"].shape == (3, 8, 8)
        assert (sample["epoch"], sample["index"]) == (epoch, 2)
    assert len(turned) > 2
    again = TrainingView(Numbers(), 8, albumentations.D4(p=1.0), seed=1)
    torch.testing.assert_close(again[(5, 2)]["input"], view[(5, 2)]["input"], rtol=0, atol=0)
    other = TrainingView(Numbers(), 8, albumentations.D4(p=1.0), seed=2)
    assert any(not torch.equal(other[(e, 2)]["input"], view[(e, 2)]["input"]) for e in range(3))


def test_batches_do_not_depend_on_the_number_of_workers() -> None:
    def batches(workers: int) -> list[torch.Tensor]:
        data = RestorationData(train=Numbers(), batch_size=3, crop=8, augment=albumentations.D4(), workers=workers)
        assert data.plan(max_steps=4, max_epochs=None) == 4
        loader: DataLoader[Any] = data.train_dataloader()
        return [batch["input"] for batch in loader]

    for one, two in zip(batches(0), batches(2), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_evaluation_is_the_same_in_every_run_and_can_be_cut_short() -> None:
    view = EvaluationView(Numbers(), None)
    torch.testing.assert_close(view[3]["input"], EvaluationView(Numbers(), None)[3]["input"], rtol=0, atol=0)
    assert (len(view), len(EvaluationView(Numbers(), 2)), len(EvaluationView(Numbers(), 100))) == (7, 2, 7)


def test_the_length_of_a_run() -> None:
    data = RestorationData(train=Numbers(7), batch_size=3)
    assert data.plan(None, 3) == 7  # 21 images in batches of 3
    assert data.plan(None, 1) == 3  # an epoch's last batch runs into the next epoch
    assert data.plan(5, 3) == 5
    assert data.plan(-1, 3, world=3) == 7  # a step is the same on three processes
    with pytest.raises(UserError, match="how long"):
        data.plan(None, None)


@pytest.mark.parametrize("count", [0, -2])
def test_fewer_than_one_test_image_is_refused(count: int) -> None:
    with pytest.raises(UserError, match=rf"data.test_images is {count}, but at least 1 image of each set is tested"):
        RestorationData(test={"numbers": Numbers()}, test_images=count)
    [loader] = RestorationData(test={"numbers": Numbers()}, test_images=3).test_dataloader()
    assert len(loader.dataset) == 3  # type: ignore[arg-type]


def test_absent_sets_are_named_and_only_matter_when_none_is_left() -> None:
    class Absent(Numbers):
        def why_missing(self) -> str | None:
            return "The set gone is not there."

    data = RestorationData(train=Numbers(), val=Absent(), test={"here": Numbers(), "gone": Absent()})
    assert data.require(training=True) == ["The set gone is not there."]
    assert list(data.test) == ["here"]
    assert data.val is None
    hint = r"add data=scenes to the command, or use limpid\.data\.Recipe\('scenes'\) in Python"
    with pytest.raises(CannotRun, match=hint):
        RestorationData(test={"gone": Absent()}).require(training=False)
    with pytest.raises(CannotRun, match="The set gone"):
        RestorationData(train=Absent(), test={"here": Numbers()}).require(training=True)
    with pytest.raises(CannotRun, match="nothing to train on"):
        RestorationData(test={"here": Numbers()}).require(training=True)


def test_whole_images_of_different_sizes_cannot_be_batched() -> None:
    class Growing(Numbers):
        def load(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
            return Numbers(height=10 + index).load(index, rng)

    data = RestorationData(train=Growing(), batch_size=2)
    data.plan(1, None)
    with pytest.raises(UserError, match="different sizes"):
        next(iter(data.train_dataloader()))


def test_resized_windows_have_the_asked_area_and_the_asked_side() -> None:
    """Of a ramp, the step between pixels of the result says how large its window was."""
    rng = np.random.default_rng(0)
    sample = {key: value for key, value in Numbers(height=120, width=200).load(3, rng).items() if key != "depth"}
    areas, ratios = [], []
    for _ in range(60):
        cut = random_resized_crop(sample, 32, {"area": [0.4, 0.5], "ratio": [0.75, 1.3333]}, rng)
        rows, columns = cut["target"][..., 0] * 100, cut["target"][..., 1] * 100
        assert cut["input"].shape == cut["target"].shape == (32, 32, 3)
        height = (rows[20, 16] - rows[10, 16]) / 10 * 32
        width = min((columns[16, 20] - columns[16, 10]) / 10 * 32, 200) if columns.max() < 99 else None
        if width is not None:
            areas.append(height * width / (120 * 200))
            ratios.append(width / height)
    assert areas
    assert 0.38 < min(areas) <= max(areas) < 0.52
    assert 0.7 < min(ratios) <= max(ratios) < 1.4


def test_windows_of_scaled_images_are_as_large_as_the_scale_says() -> None:
    """Of a ramp, the step between pixels of the result is that of the scale; what does not fit is left out."""
    rng = np.random.default_rng(0)
    sample = {key: value for key, value in Numbers(height=70, width=200).load(3, rng).items() if key != "depth"}

    def steps(scales: list[float], draws: int = 30) -> set[float]:
        found = set()
        for _ in range(draws):
            cut = random_resized_crop(sample, 32, {"scales": scales}, rng)
            assert cut["input"].shape == cut["target"].shape == (32, 32, 3)
            rows = cut["target"][..., 0] * 100
            found.add(round(float(rows[20, 16] - rows[10, 16]) / 10, 1))
        return found

    assert steps([0.5, 0.8, 1.0]) == {2.0, 1.2, 1.0}  # 32 / 0.8 is 40 pixels
    assert steps([0.25, 1.0]) == {1.0}, "128 pixels are more than 70"
    with pytest.raises(UserError, match="is 200x70, smaller than the training crop of 128"):
        random_resized_crop(sample, 32, {"scales": [0.25]}, rng)
    for scales in ([], [0.0], [1.5]):
        with pytest.raises(UserError, match="must name factors above 0 and up to 1"):
            random_resized_crop(sample, 32, {"scales": scales}, rng)
    with pytest.raises(UserError, match="names area, but it must name area and ratio, or scales"):
        random_resized_crop(sample, 32, {"area": [1.0, 1.0]}, rng)


def test_a_whole_square_is_only_resampled() -> None:
    sample = Numbers(height=24, width=24).load(0, np.random.default_rng(0))
    cut = random_resized_crop(sample, 12, {"area": [1.0, 1.0], "ratio": [1.0, 1.0]}, np.random.default_rng(0))
    np.testing.assert_allclose(cut["target"], np.clip(imresize(sample["target"], size=(12, 12)), 0, 1))
    np.testing.assert_allclose(cut["depth"], imresize(sample["depth"], size=(12, 12)))
    metres = random_resized_crop(
        sample | {"depth": 40 * sample["depth"]},
        12,
        {"area": [1.0, 1.0], "ratio": [1.0, 1.0]},
        np.random.default_rng(0),
    )["depth"]
    np.testing.assert_allclose(metres, 40 * cut["depth"], rtol=1e-5, atol=1e-6)
    assert metres.max() > 1


def test_saturation_is_multiplied_alike_in_all_images() -> None:
    colour = np.zeros((4, 4, 3), np.float32) + np.float32([0.6, 0.4, 0.5])
    compose = albumentations.Compose([Saturation([1.5, 1.5])], additional_targets={"target": "image"})
    turned = compose(image=colour, target=colour.copy())
    np.testing.assert_allclose(turned["image"], turned["target"])
    # S = 1 - 0.4 / 0.6 = 1/3, times 1.5 is 1/2: V stays 0.6, the least becomes 0.3, the middle keeps its place.
    np.testing.assert_allclose(turned["image"][0, 0], [0.6, 0.3, 0.45], atol=1e-5)


def test_noise_falls_on_the_input_alone_after_augmentation() -> None:
    plain = TrainingView(Numbers(), 8, albumentations.D4(p=1.0), seed=1)
    noisy = TrainingView(Numbers(), 8, albumentations.D4(p=1.0), seed=1, input_noise=HalfNormalNoise(2.0))
    differences, sigmas = [], []
    for epoch in range(30):
        a, b = plain[(epoch, 2)], noisy[(epoch, 2)]
        torch.testing.assert_close(a["target"], b["target"], rtol=0, atol=0)
        differences.append(float((a["input"][2] - b["input"][2]).std()) * 255)  # blue is away from 0 and 1
        sigmas.append(b["noise_sigma"])
    np.testing.assert_allclose(differences, sigmas, rtol=0.4, atol=0.05)
    assert 0 < np.mean(sigmas) < 4  # its expectation is 2 sqrt(2 / pi) = 1.6


@pytest.mark.parametrize("place", ["fdr/table4/rescan", "fdr/table3/srn"])
def test_rows_whose_release_does_not_augment(place: str) -> None:
    assert config(place)["data"]["augment"] is None


def test_rain_is_never_turned_sideways() -> None:
    for name in (
        "rain1400",
        "rain100h",
        "rain100l",
        "did_mdn",
        "did_hy",
        "spa",
        "scenes_rain",
        "uni_removal_synthetic",
    ):
        assert compose([f"data={name}"]).config["data"]["augment"]["_target_"] == "albumentations.HorizontalFlip"


def test_the_releases_of_spanet_and_deep_deblur() -> None:
    spanet = config("fdr/table4/spanet")
    assert (spanet["data"]["crop"], spanet["data"]["augment"], spanet["network"]["directional"]) == (256, None, False)
    assert spanet["data"]["resized_crop"] == {"area": [0.8, 1.0], "ratio": [0.75, 1.3333]}
    deblur = config("fdr/table3/deep_deblur")["data"]
    names = [transform["_target_"].rpartition(".")[2] for transform in deblur["augment"]["transforms"]]
    assert names == ["D4", "ChannelShuffle", "Saturation"]
    assert deblur["input_noise"]["scale"] == 2.0
    assert deblur["train"]["splits"]["train"]["input"] == "train/*/blur_gamma"
    assert deblur["test"]["gopro"]["splits"]["test"]["input"] == "test/*/blur"


def test_wmcps_aod_net_is_trained_by_its_own_recipe() -> None:
    for table in ("table1", "table2"):
        row = config(f"wmcp/{table}/aod_net")
        assert row["optimizer"]["_target_"] == "torch.optim.SGD"
        assert (row["optimizer"]["lr"], row["optimizer"]["momentum"], row["optimizer"]["weight_decay"]) == (
            1e-3,
            0.9,
            1e-4,
        )
        assert (row["data"]["batch_size"], row["trainer"]["max_epochs"]) == (8, 10)
