"""Sets that cannot be scored are refused before a training, by their files and by every metric."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from limpid.data.datamodule import RestorationData
from limpid.data.datasets import Images, PairedByName
from limpid.errors import UserError
from limpid.metrics import MetricProtocol
from limpid.runs.scorable import refuse_unscorable

METRICS = {name: MetricProtocol(id=name, metric=name) for name in ("psnr", "ssim", "piqe")}


def picture(file: Path, height: int = 48, width: int = 64) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    cv2.imwrite(str(file), pixels)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        for folder in ("input", "target"):
            picture(tmp_path / "set" / folder / f"{name}.png")
    return tmp_path / "set"


def data(folder: Path, **more: object) -> RestorationData:
    made = PairedByName(
        name="mine", domain="haze", root=folder.parent, roots=[folder.name], input="input", target="target", pair="(?P<target>.+)"
    )  # fmt: skip
    return RestorationData(test={"mine": made}, **more)  # type: ignore[arg-type]


def why(made: RestorationData) -> str:
    with pytest.raises(UserError) as raised:
        refuse_unscorable(made, METRICS)
    return str(raised.value)


def test_a_sound_set_passes_and_only_the_images_that_are_tested_are_looked_at(pairs: Path) -> None:
    refuse_unscorable(data(pairs), METRICS)
    (pairs / "input" / "c.png").write_bytes(b"no image")
    refuse_unscorable(data(pairs, test_images=2), METRICS)


def test_files_that_are_missing_damaged_or_cut_short_are_named(pairs: Path) -> None:
    file = pairs / "target" / "b.png"
    whole = file.read_bytes()
    for content in (b"", b"no image", whole[: len(whole) // 2]):
        file.write_bytes(content)
        said = why(data(pairs))
        assert said.startswith(f"The test set mine cannot be scored: {file} is")
    file.unlink()
    assert "have no reference" in why(data(pairs))


def test_pairs_of_two_sizes_and_images_too_small_for_a_metric_are_named(pairs: Path) -> None:
    picture(pairs / "input" / "b.png", 40, 64)
    assert "b.png" in why(data(pairs))
    picture(pairs / "input" / "b.png", 6, 9)
    picture(pairs / "target" / "b.png", 6, 9)
    assert why(data(pairs)).startswith("The test set mine cannot be scored: image b, ssim: SSIM")


def test_images_without_a_target_are_scored_by_the_metrics_that_need_none(pairs: Path) -> None:
    picture(pairs / "input" / "b.png", 15, 40)
    images = Images(name="real", domain="haze", root=pairs, roots=["input"])
    made = RestorationData(val=images)
    assert why(made) == (
        "The validation set real cannot be scored: image b, piqe: PIQE needs images of at least 16x16 pixels, but this "
        "one is 15x40; leave the metric out or give larger images."
    )
    refuse_unscorable(made, {name: METRICS[name] for name in ("psnr", "ssim")})
