"""`limpid figure` and `limpid demo` as a user runs them, and the numbers behind the figure."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image

from limpid.cli import status
from limpid.data.degradations.haze import scatter, transmission_from_depth
from limpid.figures.patch_size import by_patch, deviation
from limpid.metrics import psnr
from limpid.priors.wmcp import WMCP


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIMPID_DATA", raising=False)


def sample() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 3, 24, 30, generator=generator), torch.linspace(0, 1, 30).expand(1, 1, 24, 30)


def test_the_study_measures_what_it_says() -> None:
    image, depth = sample()
    hazy = scatter(image, transmission_from_depth(depth, 1.1), 0.9)
    level = by_patch([(image, depth)], 1.1, 0.9, [3, 9])
    assert level.psnr[9] == pytest.approx(float(psnr(WMCP(smallest_patch=9, largest_patch=9)(hazy), image)))
    assert level.chosen_psnr == pytest.approx(float(psnr(WMCP()(hazy), image)))
    assert deviation([(image, depth)], 1.1, 0.9) == pytest.approx(255 * float(hazy.double().std(correction=0)))


def test_haze_narrows_the_spread_of_values() -> None:
    values = [deviation([sample()], beta, 0.9) for beta in (0.2, 0.8, 1.4)]
    assert values == sorted(values, reverse=True)


def test_a_figure_comes_with_its_numbers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        status(
            [
                "figure",
                "wmcp/patch_size",
                *["--count", "1", "--patches", "3", "5", "--betas", "0.5", "1", "--output", "f"],
            ]
        )
        == 0
    )
    assert capfd.readouterr().out.split() == ["f/patch_size.png", "f/patch_size.csv", "f/deviation.csv"]
    with (tmp_path / "f" / "patch_size.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["haze"], row["patch"]) for row in rows[:3]] == [("mild", "3"), ("mild", "5"), ("moderate", "3")]
    assert Image.open(tmp_path / "f" / "patch_size.png").size[0] > 800


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["wmcp/patchsize"], "There is no figure 'wmcp/patchsize'; did you mean 'wmcp/patch_size'?"),
        (["wmcp/patch_size", "--cuont", "3"], "does not take '--cuont'; did you mean '--count'?"),
        (
            ["wmcp/patch_size", "--count", "many"],
            "--count of `limpid figure wmcp/patch_size` is 'many', but it must be a",
        ),
        (["wmcp/patch_size", "--patches", "4"], "The patches are [4], but each must be odd"),
        (["wmcp/patch_size", "patches=[3,5]"], "takes flags: write `--patches 3 5` in place of 'patches=[3,5]'."),
        (["wmcp/patch_size", "--images", "nyu_detph"], "There is no set 'nyu_detph'; did you mean 'nyu_depth'?"),
        (["wmcp/patch_size", "--images", "sots_indoor"], "The set sots_indoor is not one of clean images"),
        (["wmcp/patch_size", "--images", "nyu_depth", "--data-root", "none"], "(the data root none does not exist)"),
    ],
)
def test_mistakes_get_one_sentence(words: list[str], sentence: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert status(["figure", *words]) == 2
    assert sentence in capfd.readouterr().err


def test_the_demo_ends_with_one_picture(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "my friend's photos").mkdir()
    Image.new("RGB", (40, 30), (150, 140, 130)).save(tmp_path / "my friend's photos" / "it's.jpg")
    assert status(["demo", "--photos", "my friend's photos", "--output", "out"]) == 0
    assert "look at out/look.jpg" in capfd.readouterr().out
    assert Image.open("out/look.jpg").size[0] > 900
    assert (tmp_path / "out" / "restored_photos" / "wmcp" / "it's.jpg").is_file()
    assert (tmp_path / "out" / "restored" / "dcp" / "coffee.png").is_file()
    assert status(["demo", "photos=x"]) == 2
    assert "write `--photos x` in place of 'photos=x'." in capfd.readouterr().err
