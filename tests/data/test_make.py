"""Made sets: their layouts, their manifests, and that nothing but the seed decides what they hold."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.publishers import card, pixels, write

from limpid.commands import data
from limpid.data.check import check
from limpid.data.degradations import average_frames, scatter
from limpid.data.image_io import read_image
from limpid.data.make import Job, images, make, make_image, plan_jobs
from limpid.errors import CannotRun, UserError

SCENES = {"input": "scenes", "height": 72, "width": 96, "count": 2}
#: What is made, further words, the card that loads it below the output, and its splits.
SETS = [
    ("haze", {}, "reside_its", ["train"]),
    ("haze_levels", {}, "haze_made", ["beta_0207", "beta_0813", "beta_1418"]),
    ("sand", {"crop": 48}, "sand_synthetic", ["test"]),
    ("div2k_hybrid", {"scales": [1.0]}, "rl_restore", ["mild", "moderate", "severe"]),
    ("did_hy", {}, "did_hy_made", ["test"]),
    ("did_hy", {"split": "train"}, "did_hy_made", ["train"]),
    ("blur", {"frames": 0}, "gopro", ["test"]),
]


def content(folder: Path) -> dict[str, bytes]:
    """Every file but the lock."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }


def clean(folder: Path, count: int = 3, height: int = 40, width: int = 48) -> Path:
    for number in range(count):
        smooth = np.kron(pixels(f"{number}", height // 8, width // 8), np.ones((8, 8, 1), np.uint8))
        write(folder / f"{number}.png", smooth)
    return folder


def lines(job: Job) -> list[dict[str, Any]]:
    return [json.loads(line) for line in job.manifest.read_text().splitlines()]


@pytest.mark.parametrize(("name", "words", "loader", "splits"), SETS, ids=[f"{n}-{s[0]}" for n, _, _, s in SETS])
def test_the_card_loads_what_was_made(
    tmp_path: Path, name: str, words: dict[str, Any], loader: str, splits: list[str]
) -> None:
    jobs = plan_jobs(name, SCENES | words | {"output": str(tmp_path)}, "nowhere")
    assert [make(job) for job in jobs] == [2] * len(jobs)
    made = {split: card(loader, tmp_path, split=split) for split in splits}
    assert check(loader, made).problems == []
    for loaded in made.values():
        assert len(loaded) == 2
        sample = loaded.load(0, np.random.default_rng(0))
        assert sample["input"].shape == sample["target"].shape
        assert 0.005 < float(np.abs(sample["input"] - sample["target"]).mean()) < 0.6
    for job in jobs:
        header, *entries = lines(job)
        assert (header["seed"], header["count"], [entry["number"] for entry in entries]) == (0, 2, [0, 1])
        assert all((Path(job.folder) / file).is_file() for entry in entries for file in entry["files"])


def test_the_manifest_tells_how_an_image_was_made(tmp_path: Path) -> None:
    source = clean(tmp_path / "in")
    (tmp_path / "depth").mkdir()
    for number in range(3):
        depth = np.random.default_rng(number).uniform(1, 9, (40, 48)).astype(np.float32)
        np.save(tmp_path / f"depth/{number}.npy", depth)
    words = {"input": str(source), "depth": str(tmp_path / "depth"), "output": str(tmp_path / "out"), "count": 4}
    (job,) = plan_jobs("haze", words, "nowhere")
    make(job)
    _, *entries = lines(job)
    assert [entry["source"][0] for entry in entries] == ["0.png", "1.png", "2.png", "0.png"]
    last, folder = entries[3], Path(job.folder)
    assert last["files"] == [f"hazy/0_2_{last['airlight'][0]:.5f}.png", "clear/0.png"]
    both = (source / "0.png").read_bytes() + (tmp_path / "depth/0.npy").read_bytes()
    assert last["source_sha256"] == hashlib.sha256(both).hexdigest()
    depth = np.load(tmp_path / "depth/0.npy")
    transmission = np.exp(-last["beta"] * depth / depth.max())[..., None]
    again = scatter(read_image(source / "0.png"), transmission, np.array(last["airlight"], np.float32))
    np.testing.assert_allclose(read_image(folder / last["files"][0]), again, atol=0.51 / 255)


def test_neither_workers_nor_a_second_run_change_a_byte(tmp_path: Path) -> None:
    source = clean(tmp_path / "in", 4)
    found = []
    for output, workers in (("one", 1), ("three", 3)):
        words = {"input": str(source), "output": str(tmp_path / output), "count": 7, "crop": 32, "depth": "stand_in"}
        (job,) = plan_jobs("sand", words, "nowhere")
        assert make(job, workers) == 7
        found.append(content(tmp_path / output))
        assert make(job, workers) == 0
        assert content(tmp_path / output) == found[-1]
    assert found[0] == found[1]
    assert len(found[0]) == 8
    (other,) = plan_jobs("sand", words | {"output": str(tmp_path / "seed"), "seed": 1}, "nowhere")
    make(other)
    assert content(tmp_path / "seed")["sand_synthetic/000001.png"] != found[0]["sand_synthetic/000001.png"]


def test_an_interrupted_run_goes_on_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = clean(tmp_path / "in", 4)
    words = {"input": str(source), "output": str(tmp_path / "whole")}
    (whole,) = plan_jobs("blur", words, "nowhere")
    make(whole)
    (job,) = plan_jobs("blur", words | {"output": str(tmp_path / "out")}, "nowhere")
    real, room = images.write_image, [5]

    def full(path: Path, picture: Any) -> None:
        room[0] -= 1
        if room[0] < 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"\x89PNG half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, picture)

    monkeypatch.setattr(images, "write_image", full)
    with pytest.raises(UserError, match=r"The disk is full, so \S+ could not be written; free some space and give the"):
        make(job)
    assert not [name for name in content(tmp_path / "out") if images.BEGUN in name]
    assert not job.manifest.exists()
    first = Path(job.folder) / "test/0/blur/000001.png"
    (Path(job.folder) / f"{images.BEGUN}9-x.png").write_bytes(b"of a killed run")
    kept = first.stat().st_mtime_ns
    part = job.manifest.with_suffix(".part")
    part.write_text(part.read_text() + '{"cut sho')
    monkeypatch.setattr(images, "write_image", real)
    assert make(job) == 2
    assert first.stat().st_mtime_ns == kept
    assert content(tmp_path / "out") == content(tmp_path / "whole")
    first.unlink()
    assert make(job) == 1, "what was removed is made again"
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_what_was_made_otherwise_is_not_mixed_with(tmp_path: Path) -> None:
    source = clean(tmp_path / "in")
    words = {"input": str(source), "output": str(tmp_path / "out")}
    (job,) = plan_jobs("blur", words, "nowhere")
    make(job)
    (more,) = plan_jobs("blur", words | {"count": 5}, "nowhere")
    assert make(more) == 2
    with pytest.raises(UserError, match=r"holds 5 images of the split test already, more than --count 3"):
        make(job)
    for change in ({"seed": 1}, {"roll": 2.0}, {"crop": 32}):
        (other,) = plan_jobs("blur", words | change, "nowhere")
        with pytest.raises(UserError, match="made with other settings"):
            make(other)
    clean(source, 4)
    with pytest.raises(UserError, match="made with other settings"):
        make(more)


def test_frames_are_averaged_as_gopro_averages_them(tmp_path: Path) -> None:
    shots = [f"{number:03}" for number in range(7)]
    for video in ("a", "b"):
        for shot in shots:
            write(tmp_path / f"in/{video}/{shot}.png", pixels(video + shot))
    words = {"input": str(tmp_path / "in"), "output": str(tmp_path / "out"), "frames": 3}
    (job,) = plan_jobs("blur", words, "nowhere")
    assert make(job) == 4
    assert [entry["source"] for entry in lines(job)[1:]] == [
        [f"{shot}.png" for shot in group] for group in (shots[:3], shots[3:6])
    ] * 2
    frames = [read_image(tmp_path / f"in/b/{shot}.png") for shot in shots[3:6]]
    home = Path(job.folder) / "test/b"
    np.testing.assert_array_equal(read_image(home / "sharp/000004.png"), frames[1])
    np.testing.assert_allclose(read_image(home / "blur/000004.png"), average_frames(frames, 2.2), atol=0.51 / 255)
    with pytest.raises(UserError, match="5 images were asked for, but the frames make only 4"):
        make(plan_jobs("blur", words | {"count": 5}, "nowhere")[0])


def test_did_hy_keeps_the_rain_of_its_pairs(tmp_path: Path) -> None:
    rainy, dry = pixels("rain", 64, 64), pixels("dry", 64, 64)
    write(tmp_path / "DID-MDN/DID-MDN-test/1.png", np.concatenate([rainy, dry], 1))
    (job,) = plan_jobs("did_hy", {"input": "did_mdn:test", "output": str(tmp_path / "out")}, str(tmp_path))
    entry = make_image(job, 0)
    assert "rain_level" not in entry
    made = read_image(Path(job.folder) / entry["files"][0])
    np.testing.assert_array_equal(made[:, 64:], dry / np.float32(255))
    (job,) = plan_jobs(
        "did_hy", {"input": str(clean(tmp_path / "in", 1)), "output": str(tmp_path / "o")}, str(tmp_path)
    )
    assert make_image(job, 0)["rain_level"] in ("light", "medium", "heavy")


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("hase", {}, r"There is no make 'hase'; did you mean 'haze'"),
        ("haze", {}, r"lacks --input; give a folder"),
        ("haze", {"input": "HERE"}, r"needs the depth of every image; give --depth FOLDER"),
        ("haze", {"input": "scenes"}, r"Scenes have no end; say how many with --count"),
        ("haze", {"input": "scenes", "count": 1, "betas": 1}, r"no setting 'betas'; did you mean 'beta'"),
        ("haze", {"input": "scenes", "count": 1, "beta": [2, 1]}, r"haze's beta is \[2, 1\]"),
        ("haze", {"input": "scenes", "count": 1, "seed": -1}, r"seed of `limpid data make haze` is -1"),
        ("haze", {"input": "scenes", "count": 1, "frames": 3}, r"averages no frames"),
        ("div2k_hybrid", {"input": "scenes", "count": 1, "split": "mid"}, r"no split 'mid'; there are mild"),
    ],
)
def test_what_was_asked_wrongly_is_said_before_anything_is_made(
    tmp_path: Path, name: str, words: dict[str, Any], said: str
) -> None:
    words = {k: str(clean(tmp_path / "in")) if v == "HERE" else v for k, v in words.items()}
    with pytest.raises(UserError, match=said):
        plan_jobs(name, words, str(tmp_path))


def test_sources_that_are_absent_or_too_small(tmp_path: Path) -> None:
    (job,) = plan_jobs("blur", {"input": str(tmp_path / "none"), "output": str(tmp_path / "out")}, "nowhere")
    with pytest.raises(CannotRun, match="not there"):
        make(job)
    jobs = plan_jobs("div2k_hybrid", {"input": str(clean(tmp_path / "in")), "output": str(tmp_path / "out")}, "nowhere")
    with pytest.raises(UserError, match="smaller than the hybrid distortion's patch of 63"):
        make(jobs[0])


def test_degraded_photographs_without_references_are_no_source(tmp_path: Path) -> None:
    write(tmp_path / "haze_real/a.png", pixels("a", 40, 48))
    (job,) = plan_jobs("blur", {"input": "haze_real", "output": str(tmp_path / "out")}, str(tmp_path))
    with pytest.raises(UserError, match="The set haze_real has no clean images to degrade"):
        make(job)


def test_the_verb_makes_a_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = clean(tmp_path / "in")
    arguments = ["make", "blur", "--input", str(source), "--data-root", str(tmp_path), "--count", "2"]
    arguments += ["--length", "3.0", "5.0"]
    assert data.run(arguments) == 0
    assert "blur test: 2 images made in" in capsys.readouterr().out
    assert len(card("gopro", tmp_path / "made", split="test")) == 2
    header = json.loads((tmp_path / "made/GOPRO_Large/manifest-test.jsonl").read_text().splitlines()[0])
    assert (header["degradation"]["length"], header["seed"]) == ([3.0, 5.0], 0)
    with pytest.raises(UserError, match="`limpid data make` lacks NAME"):
        data.run(["make"])
    with pytest.raises(UserError, match="write `--count 2` in place of 'count=2'"):
        data.run(["make", "blur", "count=2"])
    with pytest.raises(UserError, match="workers is 0"):
        data.run([*arguments, "--workers", "0"])
