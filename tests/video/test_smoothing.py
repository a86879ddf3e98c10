"""What is found about whole frames, smoothed over time: closed forms, cuts, and how much less a video flickers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import limpid
from limpid.data.degradations.haze import scatter, transmission_from_depth
from limpid.data.scenes.photographs import PHOTOGRAPHS, crop_photograph, installed
from limpid.inference import Adaptive, Full, ImageStatistics, Inference, given, measured
from limpid.methods import Method, method
from limpid.video.settings import usual_settings
from limpid.video.smoothing import Smoother, difference, histograms, steady


def hazy(number: int, height: int = 120, width: int = 200) -> torch.Tensor:
    """A photograph `(3, H, W)` in haze."""
    photograph = [one for split in PHOTOGRAPHS for one in installed(split)][number]
    image, depth = crop_photograph(np.random.default_rng(0), photograph, height, width)
    hazed = scatter(image, transmission_from_depth(depth, 1.4)[..., None], 0.85)
    return torch.from_numpy(np.ascontiguousarray(hazed, np.float32)).permute(2, 0, 1)


def pan(image: torch.Tensor, frames: int, width: int = 140) -> list[torch.Tensor]:
    """Frames of a camera that moves by two pixels each time, with fresh noise of two grey levels."""
    generator = torch.Generator().manual_seed(0)
    crops = [image[:, :, 2 * number : 2 * number + width] for number in range(frames)]
    return [(crop + 2 / 255 * torch.randn(crop.shape, generator=generator)).clamp(0, 1) for crop in crops]


def test_a_step_is_followed_exponentially_whatever_the_frame_rate() -> None:
    image = torch.full((3, 16, 16), 0.5)
    for times in (np.arange(0, 2.01, 0.04), np.sort(np.random.default_rng(0).uniform(0, 2, 30))):
        smoother = Smoother(0.5, 0.08)
        smoother.begin(image, float(times[0]))
        assert smoother.update("airlight", torch.zeros(3)).tolist() == [0, 0, 0]
        for time in times[1:]:
            smoother.begin(image, float(time))
            found = smoother.update("airlight", torch.ones(3))
        assert found.tolist() == pytest.approx([1 - math.exp(-(times[-1] - times[0]) / 0.5)] * 3, abs=1e-6)
        assert smoother.cuts == 0


def test_zero_seconds_smooth_nothing_and_names_are_apart() -> None:
    smoother = Smoother(0.0, 0.08)
    for time in (0.0, 0.04):
        smoother.begin(torch.zeros(3, 16, 16), time)
        assert smoother.update("a", torch.tensor([time])).item() == pytest.approx(time)
    steady_one = Smoother(1e9, 0.08)
    for time, value in ((0.0, 1.0), (0.04, 5.0)):
        steady_one.begin(torch.zeros(3, 16, 16), time)
        one, other = steady_one.update("a", torch.tensor(value)), steady_one.update("b", torch.tensor(-value))
    assert (one.item(), other.item()) == (pytest.approx(1.0), pytest.approx(-1.0))


def test_a_cut_starts_anew_and_a_pan_does_not() -> None:
    one, other = hazy(0), hazy(3)
    smoother = Smoother(1e9, usual_settings().cut)
    for number, frame in enumerate([*pan(one, 10), *pan(other, 10)]):
        smoother.begin(frame, number / 25)
        found = smoother.update("number", torch.tensor(float(number)))
        assert found.item() == pytest.approx(0.0 if number < 10 else 10.0, abs=1e-3)
    assert smoother.cuts == 1


def test_the_difference_of_frames_is_how_far_brightness_moves() -> None:
    black, grey = torch.zeros(3, 64, 64), torch.full((3, 64, 64), 0.5)
    assert difference(histograms(black), histograms(black)) == 0
    assert difference(histograms(black), histograms(grey)) == pytest.approx(0.5)
    assert difference(histograms(grey), histograms(torch.ones(3, 64, 64))) == pytest.approx(0.5, abs=1 / 32)
    swapped = torch.cat([black[:, :32], grey[:, :32]], dim=1)
    assert difference(histograms(swapped), histograms(swapped.flip(1))) == pytest.approx(
        0.5
    )  # the same colours in other places
    assert difference(histograms(torch.rand(3, 2, 3)), histograms(torch.rand(3, 2, 3))) <= 1  # smaller than its blocks


def test_a_state_goes_on_to_the_same_bits() -> None:
    frames = pan(hazy(0), 12)
    whole, begun = Smoother(0.3, 0.08), Smoother(0.3, 0.08)

    def run(smoother: Smoother, numbers: range) -> list[list[float]]:
        found = []
        for number in numbers:
            smoother.begin(frames[number], number / 30)
            found.append(smoother.update("mean", frames[number].mean((1, 2))).tolist())
        return found

    expected = run(whole, range(12))
    run(begun, range(5))
    continued = Smoother(0.3, 0.08)
    continued.restore_state(begun.state())
    assert run(continued, range(5, 12)) == expected[5:]


@pytest.mark.parametrize("name", ["dcp", "wmcp"])
def test_a_prior_flickers_less_and_a_single_frame_stays_as_it_is(name: str) -> None:
    frames, one = pan(hazy(0), 16), method(name)

    def flicker(results: list[torch.Tensor]) -> float:
        return float(np.abs(np.diff([255 * float(result.mean()) for result in results])).mean())

    def restored(seconds: float) -> list[torch.Tensor]:
        smoother = Smoother(seconds, usual_settings().cut)
        steadied = steady(one, smoother)
        results = []
        for number, frame in enumerate(frames):
            smoother.begin(frame, number / 25)
            results.append(steadied.restore(frame[None])[0])
        return results

    alone, smoothed = restored(0.0), restored(usual_settings().smoothing)
    for frame, result in zip(frames, alone, strict=True):
        torch.testing.assert_close(result, one.restore(frame[None])[0], rtol=0, atol=0)
    torch.testing.assert_close(smoothed[0], alone[0], rtol=0, atol=0)
    assert flicker(smoothed) < flicker(alone) / 2


def test_what_finds_nothing_about_whole_frames_stays_as_it_is(tmp_path: Path) -> None:
    plain = Method("plain", torch.nn.Identity(), lambda network, x: network(x), "plain")
    assert steady(plain, Smoother(1.0, 0.08)) is plain


@pytest.mark.parametrize("way", [Adaptive(), Adaptive(0.005, 64, 16, 8), Full()])
def test_the_statistics_of_a_network_are_smoothed(way: Inference) -> None:
    """One frame is restored as alone; after a sudden change the old statistics still count."""
    torch.manual_seed(0)
    plain = Method("rfd_student", limpid.build("rfd_student", dim=16, groups=1, blocks=1).eval(), way, "plain")
    frames = [hazy(0, 96, 128), (hazy(0, 96, 128) * 0.97).clamp(0, 1)]
    smoother = Smoother(1e9, usual_settings().cut)
    one = steady(plain, smoother)
    results = []
    for number, frame in enumerate(frames):
        smoother.begin(frame, number / 25)
        results.append(one.restore(frame[None]))
    torch.testing.assert_close(results[0], plain.restore(frames[0][None]), rtol=0, atol=2 / 255)
    with given(plain.network, ImageStatistics(tuple(measured(plain.network, frames[0][None]).values))):
        expected = Full()(plain.network, frames[1][None])
    torch.testing.assert_close(results[1], expected, rtol=0, atol=2 / 255)
    assert len(smoother.state()["values"]) > 0
