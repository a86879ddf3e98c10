"""Whole images at another size before they are cut, and clear images that belong to none of the degraded ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.data.test_loading import Numbers

from limpid.data.cropping import Resize, resized
from limpid.data.datamodule import RestorationData, TrainingView
from limpid.data.degradations import imresize
from limpid.errors import UserError


@pytest.mark.parametrize(
    ("to", "size"),
    [
        ({"height": 25, "width": 30}, (25, 30)),
        ({"width": 10}, (6, 10)),
        ({"height": 24}, (24, 40)),
        ({"least": 18}, (18, 30)),
        ({"least": 8}, (12, 20)),
        ({"multiple": 8}, (16, 24)),
        ({"multiple": 9}, (9, 18)),
        ({"width": 10, "least": 9}, (9, 15)),
    ],
)
def test_whole_images_are_brought_to_a_size(to: Resize, size: tuple[int, int]) -> None:
    sample = Numbers().load(3, np.random.default_rng(0))
    changed = resized(sample, to)
    assert {value.shape[:2] for value in changed.values() if isinstance(value, np.ndarray)} == {size}
    np.testing.assert_allclose(changed["target"], np.clip(imresize(sample["target"], size=size), 0, 1))
    assert changed["name"] == "3"


@pytest.mark.parametrize("to", [{"side": 3}, {"width": 0}, {"width": 2.5}])
def test_a_size_that_is_none_is_refused(to: Any) -> None:
    with pytest.raises(UserError, match="may only name height, width, least, multiple, each in whole pixels"):
        resized(Numbers().load(0, np.random.default_rng(0)), to)


def test_images_are_cut_from_the_resized_whole() -> None:
    view = TrainingView(Numbers(height=40, width=60), 16, None, seed=1, resize={"width": 30})
    for epoch in range(5):
        window = view[(epoch, 2)]["target"]
        assert tuple(window.shape) == (3, 16, 16)
        steps = 100 * (window[1, :, 1:] - window[1, :, :-1])  # columns of the whole image from pixel to pixel
        np.testing.assert_allclose(steps[:, 2:-2], 2, atol=0.2)


def test_without_pairs_every_image_has_the_clear_image_of_another_beside_it() -> None:
    view = TrainingView(Numbers(), 8, None, seed=1, unpaired=True)
    others, apart = set(), []
    for epoch in range(40):
        sample = view[(epoch, 2)]
        assert "target" not in sample
        assert round(100 * float(sample["input"][2].min())) == 2
        others.add(round(100 * float(sample["clear"][2, 0, 0])))
        apart.append(float((sample["clear"][:2, 0, 0] - sample["input"][:2, 0, 0]).abs().max()) > 0.005)
        again = view[(epoch, 2)]
        assert all((again[key] == sample[key]).all() for key in ("input", "clear"))
    assert others == set(range(7))
    assert sum(apart) > 30, "windows of their own"


def test_the_data_module_passes_both_on() -> None:
    data = RestorationData(Numbers(), batch_size=3, crop=10, resize={"height": 10, "width": 10}, unpaired=True)
    batch = next(iter(data.train_dataloader()))
    assert batch["clear"].shape == batch["input"].shape == (3, 3, 10, 10)
    assert "target" not in batch
