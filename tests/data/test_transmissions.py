"""Transmission and airlight as training targets: of made haze, and as RESIDE ships them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import albumentations
import numpy as np
import pytest
import torch
from tests.data.publishers import card, picture, pixels, write

from limpid.data.cache import cached
from limpid.data.datamodule import RestorationData, TrainingView
from limpid.data.datasets import PairedByName
from limpid.errors import UserError
from limpid.runs.resolve import resolve

RNG = np.random.default_rng(0)


def its(root: Path, **changes: Any) -> PairedByName:
    made: PairedByName = card("reside_its", root, **{"transmission": "trans", **changes})
    return made


def publish(root: Path) -> None:
    """Two scenes in the layout of ITS, one with its border, two hazy images each."""
    for scene, border in (("1", 10), ("2", 0)):
        picture(root, f"RESIDE/ITS/clear/{scene}.png", 30 + 2 * border, 40 + 2 * border)
        for k, airlight in ((1, "0.90179"), (2, "0.8")):
            picture(root, f"RESIDE/ITS/hazy/{scene}_{k}_{airlight}.png", 30, 40)
            write(
                root / f"RESIDE/ITS/trans/{scene}_{k}.png",
                pixels(f"t{scene}{k}", 30 + 2 * border, 40 + 2 * border)[..., 0],
            )


def test_a_batch_of_made_haze_obeys_the_model_of_scattering_after_crops_and_turns() -> None:
    data = resolve(["data=scenes", "budget=smoke"]).config["data"]
    from limpid.config import instantiate

    module: RestorationData = instantiate.construct(data, "data")
    module.steps = 2
    for batch in module.train_dataloader():
        transmission, airlight = batch["transmission"], batch["airlight"]
        assert transmission.shape == (2, 1, 48, 48)
        assert airlight.shape == (2, 3)
        torch.testing.assert_close(
            transmission[:, 0], torch.exp(-batch["beta"][:, None, None] * batch["depth"][:, 0]).float()
        )
        hazy = batch["target"] * transmission + airlight[:, :, None, None] * (1 - transmission)
        torch.testing.assert_close(batch["input"], hazy.clamp(0, 1))


@pytest.mark.parametrize("cache", [False, True])
def test_transmission_and_airlight_of_its(tmp_path: Path, cache: bool) -> None:
    publish(tmp_path)
    images = its(tmp_path)
    view = cached(images, tmp_path / "cache", 1) if cache else images
    assert len(view) == 4
    for _ in range(2):  # the second time from the cache
        sample = view.load(0, RNG)
        assert sample["name"] == "1_1_0.90179"
        assert sample["airlight"].dtype == np.float32
        np.testing.assert_allclose(sample["airlight"], [0.90179] * 3)
        levels = sample["transmission"] if cache else np.rint(255 * sample["transmission"])
        np.testing.assert_array_equal(levels, pixels("t11", 50, 60)[10:-10, 10:-10, 0])
    turned = TrainingView(view, 16, albumentations.D4(p=1.0), 0)[(0, 3)]
    assert turned["transmission"].shape == (1, 16, 16)
    np.testing.assert_allclose(turned["airlight"], [0.8] * 3)
    known = pixels("t22", 30, 40)[..., 0]
    cut = np.rint(255 * turned["transmission"][0].numpy())
    windows = np.lib.stride_tricks.sliding_window_view(known, (16, 16)).reshape(-1, 16, 16)
    alike = [np.rot90(mirrored, k) for k in range(4) for mirrored in (cut, cut[:, ::-1])]
    assert sum(int((windows == one).all((1, 2)).sum()) for one in alike) == 1


def test_its_is_read_without_transmissions_unless_they_are_asked_for(tmp_path: Path) -> None:
    publish(tmp_path)
    sample = its(tmp_path, transmission=None).load(0)
    assert set(sample) == {"input", "target", "name", "airlight"}
    config = resolve(["data=reside_its_transmission", "budget=smoke"]).config["data"]
    assert (config["train"]["transmission"], config["val"]["transmission"]) == ("trans", None)


def test_a_transmission_that_is_not_there_is_named(tmp_path: Path) -> None:
    publish(tmp_path)
    (tmp_path / "RESIDE/ITS/trans/1_2.png").unlink()
    its(tmp_path).load(0)
    with pytest.raises(UserError, match=r"1_2_0\.8\.png has no transmission 1_2 in .*trans; complete the set"):
        its(tmp_path).load(1)
    with pytest.raises(UserError, match="transmission_name '{number}' of the set reside_its asks for 'number'"):
        its(tmp_path, transmission_name="{number}").load(0)


def test_an_airlight_that_is_no_number_is_named(tmp_path: Path) -> None:
    picture(tmp_path, "RESIDE/ITS/clear/1.png")
    picture(tmp_path, "RESIDE/ITS/hazy/1_1_0.9.1.png")
    with pytest.raises(
        UserError, match=r"The airlight '0\.9\.1' in the name 1_1_0\.9\.1 of the set reside_its is no number"
    ):
        its(tmp_path, transmission=None).load(0)
