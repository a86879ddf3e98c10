"""`limpid predict` with videos: one, a folder of them, what is done already, and what is refused."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limpid.cli import status

av = pytest.importorskip("av", reason="needs PyAV: pip install 'limpid[video]'")

sys.path.append(str(Path(__file__).parents[1] / "video"))

import clips  # noqa: E402


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["limpid"])


def refused(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """What `limpid predict WORDS` says when it refuses."""
    capfd.readouterr()
    assert status(["predict", *words]) == 2
    return capfd.readouterr().err.strip()


FAST = ("video.preset=ultrafast",)


def test_a_video_is_restored_once_and_knows_its_method(capfd: pytest.CaptureFixture[str]) -> None:
    clips.make(Path("clip.mp4"), sound=("aac",))
    words = ("input=clip.mp4", "output=out/clear.mp4", *FAST)
    assert status(["predict", "model=dcp", *words]) == 0
    assert re.fullmatch(r"12 frames restored in \d+ s: out/clear.mp4\n", capfd.readouterr().out)
    assert [path.name for path in Path("out").iterdir()] == ["clear.mp4"]
    assert clips.packets(Path("out/clear.mp4")) == clips.packets(Path("clip.mp4"))
    before = Path("out/clear.mp4").read_bytes()
    assert status(["predict", "model=dcp", *words]) == 0
    assert "0 restored, 1 skipped that exists (overwrite=true replaces it)" in capfd.readouterr().out
    says = refused(capfd, "model=wmcp", *words)
    assert "is there, made by another method (Limpid 0.1.0, dcp); give another output, or overwrite=true" in says
    assert "another method" in refused(capfd, "model=dcp", "strength=0.5", *words)
    assert Path("out/clear.mp4").read_bytes() == before
    assert status(["predict", "model=wmcp", "overwrite=true", *words]) == 0
    assert Path("out/clear.mp4").read_bytes() != before


def test_a_folder_of_videos_goes_through_several_methods(capfd: pytest.CaptureFixture[str]) -> None:
    Path("trip/day").mkdir(parents=True)
    clips.make(Path("trip/a.mp4"), frames=3)
    clips.make(Path("trip/day/b.ts"))
    Path("trip/cut.mp4").write_bytes(Path("trip/a.mp4").read_bytes()[:500])
    for _ in range(2):
        says = refused(capfd, "model=[dcp,wmcp]", "input=trip", "output=trip/clear", *FAST)
        assert "cut.mp4 cannot be read as a video" in says
    found = sorted(str(path.relative_to("trip/clear")) for path in Path("trip/clear").rglob("*.*"))
    assert found == ["dcp/a.mp4", "dcp/day/b.ts.mkv", "wmcp/a.mp4", "wmcp/day/b.ts.mkv"]
    assert status(["predict", "model=dcp", "input=trip/a*.mp4", "output=other", *FAST]) == 0
    assert [path.name for path in Path("other").iterdir()] == ["a.mp4"]


def test_beside_photographs_videos_are_left_out_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    Path("trip").mkdir()
    clips.make(Path("trip/a.mp4"), frames=2)
    Image.fromarray(clips.picture(0)).save("trip/b.png")
    assert status(["predict", "model=dcp", "input=trip", "output=clear"]) == 0
    assert "left out: 1 .mp4" in capfd.readouterr().out


def test_an_animated_gif_becomes_a_video(capfd: pytest.CaptureFixture[str]) -> None:
    frames = [Image.fromarray(clips.picture(5 * number)) for number in range(4)]
    frames[0].save("moving.gif", save_all=True, append_images=frames[1:], duration=[100, 200, 300, 100])
    assert status(["predict", "model=dcp", "input=moving.gif", "output=moving.mp4", *FAST]) == 0
    assert [float(time) for time in clips.times(Path("moving.mp4"))] == [0, 0.1, 0.3, 0.6]


def test_each_video_may_choose_its_method(capfd: pytest.CaptureFixture[str]) -> None:
    grey = [np.clip(clips.picture(0) / 8 + 170, 0, 255).astype(np.uint8)] * 2
    clips.make(Path("clip.mp4"), images=grey, pts=[0, 3600])
    assert status(["predict", "model=auto", "input=clip.mp4", "output=clear", *FAST]) == 0
    assert "clip.mp4: haze (" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("input=gone.mp4", "output=a.mp4"), "There is no file gone.mp4"),
        (("output=clear.webm",), "clear.webm cannot be written: a video becomes one of .mp4, .m4v, .mov, .mkv"),
        (("output=clip.mp4", "overwrite=true"), "would be written over it"),
        (("output=a.mp4", "video.crf=abc"), "video.crf is 'abc', but it must be float"),
        (("output=a.mp4", "video.preset=fats"), "did you mean 'fast'"),
        (("output=a.mp4", "video.smoothing=-1"), "video.smoothing is -1, but it must be at least 0"),
        (("output=a.mp4", "compare=true"), "compare works with photographs"),
        (("output=a.mp4", "video=null"), "is set to null"),
        (("output=a.mp4", "megapixels=0.001"), "more than 0.001 megapixels"),
    ],
)  # fmt: skip
def test_what_is_mistyped_is_said(capfd: pytest.CaptureFixture[str], words: tuple[str, ...], says: str) -> None:
    clips.make(Path("clip.mp4"), frames=2)
    assert says in refused(capfd, "model=dcp", "input=clip.mp4", *words)
    assert [path.name for path in Path().iterdir()] == ["clip.mp4"]


def test_several_videos_need_a_folder(capfd: pytest.CaptureFixture[str]) -> None:
    clips.make(Path("a.mp4"), frames=2)
    clips.make(Path("b.mp4"), frames=2)
    says = refused(capfd, "model=dcp", "input=*.mp4", "output=clear.mp4")
    assert says.startswith("output=clear.mp4 looks like a file, but input is no single video")
    assert not Path("clear.mp4").exists()
