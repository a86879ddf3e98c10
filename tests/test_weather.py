"""What is wrong with a photograph, and what suits it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from limpid.errors import UserError
from limpid.hints import refuse_unknown
from limpid.weather import STATISTICS, guess, statistics, weathers

SIZE = 256


def clear() -> np.ndarray:
    """Patches of many colours with fine texture."""
    rng = np.random.default_rng(0)
    patches = cv2.resize(rng.random((12, 12, 3), np.float32), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
    return np.clip(patches * (0.7 + 0.3 * rng.random((SIZE, SIZE, 1), np.float32)), 0, 1)


def veiled(colour: tuple[float, float, float]) -> np.ndarray:
    return (0.25 * clear() + 0.75 * np.array(colour)).astype(np.float32)


def rainy() -> np.ndarray:
    image = cv2.GaussianBlur(clear(), (0, 0), 1.2)
    rng = np.random.default_rng(1)
    for x, y in rng.integers(0, SIZE - 20, (500, 2)):
        image[y : y + 20, x] += 0.3
    return image.clip(0, 1)


MADE = {
    "clear": clear(),
    "haze": veiled((0.85, 0.86, 0.88)),
    "sand": veiled((0.8, 0.6, 0.35)),
    "blur": cv2.GaussianBlur(clear(), (0, 0), 3),
    "rain": rainy(),
}


@pytest.mark.parametrize("name", MADE)
def test_made_weather_is_seen(name: str) -> None:
    found = guess(MADE[name].astype(np.float32))
    assert found.weather == name, statistics(MADE[name])


def test_the_size_of_a_photograph_changes_the_guess_little() -> None:
    small = veiled((0.85, 0.86, 0.88))
    large = cv2.resize(small, (1500, 1500), interpolation=cv2.INTER_LINEAR)
    for name in ("dark_channel", "contrast", "cast", "cast_everywhere"):
        assert statistics(large)[name] == pytest.approx(statistics(small)[name], abs=0.03)


def test_statistics_of_a_flat_picture_are_known() -> None:
    flat = statistics(np.full((40, 60, 3), (0.6, 0.5, 0.4), np.float32))
    assert set(flat) == set(STATISTICS)
    assert flat["dark_channel"] == pytest.approx(0.4)
    assert flat["contrast"] == pytest.approx(0, abs=1e-3)
    assert flat["cast"] == pytest.approx(0.2 / 0.5, rel=1e-4)
    assert flat["cast_everywhere"] == 1


def test_tiny_and_narrow_photographs_are_judged_too() -> None:
    for shape in ((1, 1, 3), (1, 700, 3), (700, 2, 3)):
        guess(np.full(shape, 0.5, np.float32))


def test_a_folder_of_ones_own_changes_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf" / "weather"
    folder.mkdir(parents=True)
    text = "words: []\npriors: [dcp]\nprefer: []\norder: 0\nlimits: {{{}: [null, 1000.0]}}\n"
    (folder / "smoke.yaml").write_text(text.format("contrast"))
    monkeypatch.chdir(tmp_path)
    found = guess(clear())
    assert (found.weather, weathers()["smoke"].priors) == ("smoke", ("dcp",))
    assert found.why.endswith("below 1000")
    (folder / "smoke.yaml").write_text(text.format("contrast").replace("1000.0", "2000.0"))
    assert guess(clear()).why.endswith("below 2000")  # a changed file is read again
    (folder / "dust.yaml").write_text(text.format("contrst"))
    with pytest.raises(UserError, match=r"dust.yaml limits 'contrst', but there are only the statistics"):
        weathers()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("order: first", "order is 'first', but it must be int or null."),
        ("words: [no]", "words[0] is false, but it must be text."),
        ("limits: {contrast: [1]}", "limits.contrast is [1], but it must be a list of 2."),
        ("limits: {contrast: [low, 1]}", "limits.contrast[0] is 'low', but it must be float or null."),
    ],
)
def test_a_broken_file_of_a_weather_is_named(
    line: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "conf" / "weather" / "dust.yaml"
    file.parent.mkdir(parents=True)
    kept = {"words": "[]", "priors": "[]", "prefer": "[]", "order": "0", "limits": "{}"}
    key, _, value = line.partition(": ")
    file.write_text("".join(f"{name}: {text}\n" for name, text in {**kept, key: value}.items()))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        weathers()
    assert str(caught.value) == f"{file} is no description of a weather: {sentence}"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("haze", "for haze there are "),
        ("Dehazing", "for haze there are "),
        ("de-rain", "for rain there are mprnet"),
        ("sandstorm", "for sand there are aosr"),
        ("deblur", "nothing here takes away blur well enough"),
        ("rfd_student_scenes", "ckpt=zoo:rfd_student_scenes"),
        ("DCP", "did you mean 'dcp'"),
        ("RFD-Student", "did you mean 'rfd_student'"),
        ("wmcp-em", "did you mean 'wmcp'"),
        ("wmpc", "did you mean 'wmcp'"),
        ("best.ckpt", "no file of that name is there"),
        ("qqq", "limpid predict without model lists"),
    ],
)
def test_names_that_people_type_get_a_hint(name: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        refuse_unknown(name, ["dcp", "wmcp", "rfd_student", "aosr"])
