"""Videos: frames counted and timed, sound to the byte, rotation, colours, what is damaged, and going on after an interruption."""

from __future__ import annotations

import dataclasses
import gc
import json
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from limpid.errors import CannotRun, UserError
from limpid.inference import Full
from limpid.methods import Method, method
from limpid.priors.trivial import Identity
from limpid.video.settings import VideoSettings, usual_settings

av = pytest.importorskip("av", reason="needs PyAV: pip install 'limpid[video]'")

import clips  # noqa: E402

from limpid.video import restore as restore_module  # noqa: E402
from limpid.video import restore_video  # noqa: E402
from limpid.video.clip import Clip  # noqa: E402
from limpid.video.clock import Clock  # noqa: E402
from limpid.video.join import processed_by  # noqa: E402


class Darker(nn.Module):
    """Half as bright."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


AS_IT_IS = Method("as_it_is", Identity(), Full(), "Limpid, as it is")
HALF = Method("half", Darker(), Full(), "Limpid, half")
UNEVEN = np.cumsum(np.random.default_rng(0).integers(1500, 6000, 12)).tolist()


def settings(**changes: object) -> VideoSettings:
    return dataclasses.replace(usual_settings(), preset="ultrafast", **changes)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_frames_keep_their_number_and_their_times(tmp_path: Path, suffix: str) -> None:
    source = clips.make(tmp_path / "clip.mp4", pts=UNEVEN, sound=("aac",))
    report = restore_video(source, tmp_path / f"clear{suffix}", HALF, settings(segment=0.1))
    assert report.frames == 12
    before, after = clips.times(source), clips.times(tmp_path / f"clear{suffix}")
    rounding = Fraction(1, 2000) if suffix == ".mkv" else 0  # Matroska counts in milliseconds
    assert all(abs(one - other) <= rounding for one, other in zip(before, after, strict=True))


def test_b_frames_and_the_time_base_are_kept_and_the_picture_is_restored(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "clip.mp4")
    restore_video(source, tmp_path / "clear.mp4", HALF, dataclasses.replace(usual_settings(), segment=0.2))
    with av.open(str(tmp_path / "clear.mp4")) as container:
        assert container.streams.video[0].time_base == clips.TIME_BASE
        assert container.streams.video[0].codec_context.has_b_frames
        assert container.metadata["title"] == "Köln"
    for before, after in zip(clips.images(source), clips.images(tmp_path / "clear.mp4"), strict=True):
        assert np.abs(after.mean() - before.mean() / 2) < 1


@pytest.mark.parametrize("sound", [(), ("aac",), ("aac", "libmp3lame")])
def test_sound_is_the_same_to_the_byte(tmp_path: Path, sound: tuple[str, ...]) -> None:
    source = clips.make(tmp_path / "clip.mp4", sound=sound)
    restore_video(source, tmp_path / "clear.mp4", HALF, settings())
    assert clips.packets(tmp_path / "clear.mp4") == clips.packets(source)
    assert len({stream for stream, _, _ in clips.packets(source)}) == len(sound)


def test_sound_that_a_container_cannot_hold_is_said_before_anything_is_done(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "clip.mkv", sound=("libopus",))
    with pytest.raises(UserError, match=r"\.mov cannot hold the sound of .*clip\.mkv as it is \(opus\).*clear\.mkv"):
        restore_video(source, tmp_path / "clear.mov", HALF, settings())
    assert {p.name for p in tmp_path.iterdir()} == {"clip.mkv"}
    restore_video(source, tmp_path / "clear.mp4", HALF, settings())
    assert [data for _, data, _ in clips.packets(tmp_path / "clear.mp4")] == [d for _, d, _ in clips.packets(source)]


def test_subtitles_chapters_and_words_come_along(tmp_path: Path) -> None:
    source, plain = tmp_path / "clip.mkv", clips.make(tmp_path / "plain.mp4")
    chapters = [{"id": 1, "start": 0, "end": 300, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}]
    with av.open(str(plain)) as given, av.open(str(source), "w") as result:
        video = result.add_stream_from_template(given.streams.video[0])
        video.metadata["timecode"] = "01:00:00:00"
        text = result.add_mux_stream("subrip")
        text.time_base, text.metadata["language"] = Fraction(1, 1000), "fra"
        result.metadata["comment"] = "mine"
        result.set_chapters(chapters)
        said = av.Packet(b"Bonjour")
        said.pts = said.dts = 120
        said.duration, said.time_base, said.stream = 200, Fraction(1, 1000), text
        result.mux(said)
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = video
                result.mux(packet)
    assert restore_video(source, tmp_path / "clear.mkv", HALF, settings()).notes == ()
    assert clips.packets(tmp_path / "clear.mkv", "subtitle") == [(0, b"Bonjour", Fraction(120, 1000))]
    with av.open(str(tmp_path / "clear.mkv")) as container:
        assert [chapter["metadata"] for chapter in container.chapters()] == [{"title": "One"}]
        assert container.streams.subtitles[0].metadata["language"] == "fra"
        assert dict(container.metadata)["COMMENT"] == "mine\nLimpid, half"
    report = restore_video(source, tmp_path / "clear.mov", HALF, settings())
    assert report.notes == (f"{source} has streams that its result has not: 1 of subtitle (srt).",)


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (-90, -1), (180, 2), (0, 0)])
def test_turned_videos_become_upright_pixels(tmp_path: Path, degrees: float, quarters: int) -> None:
    source = clips.make(tmp_path / "clip.mp4", rotation=degrees, aspect=Fraction(4, 3), frames=3)
    restore_video(source, tmp_path / "clear.mp4", AS_IT_IS, settings())
    with av.open(str(tmp_path / "clear.mp4")) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        turned = quarters % 2 == 1
        assert (frame.width, frame.height) == ((48, 64) if turned else (64, 48))
        assert stream.sample_aspect_ratio == (Fraction(3, 4) if turned else Fraction(4, 3))
        assert frame.rotation == 0
        upright = np.rot90(clips.images(source)[0], quarters)
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - upright).mean() < 3


def test_mirrored_videos_are_mirrored(tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(90, hflip=True)
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(clips.picture(0), "rgb24")))
        container.mux(stream.encode(None))
    with av.open(str(source)) as container:
        matrix = np.frombuffer(bytes(next(iter(next(container.decode(video=0)).side_data))), np.int32)[[0, 1, 3, 4]]
    restore_video(source, tmp_path / "clear.mp4", AS_IT_IS, settings())
    stored, shown = clips.images(source)[0], clips.images(tmp_path / "clear.mp4")[0]
    a, b, c, d = np.sign(matrix)
    for y, x in ((3, 5), (40, 60), (3, 60)):  # where a point lands by the matrix, counted from the far side if negative
        to_x, to_y = a * x + c * y, b * x + d * y
        landed = shown[to_y if b + d > 0 else to_y - 1, to_x if a + c > 0 else to_x - 1]
        assert np.abs(landed.astype(int) - stored[y, x]).max() < 12


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (2, 1, 1, 1), (1, 5, 5, 6), (1, 9, 9, 14), (1, 2, 2, 2), (2, 6, 2, 2)])
def test_the_range_and_matrix_of_colours_are_kept(tmp_path: Path, tags: tuple[int, int, int, int]) -> None:
    colour = np.full((48, 64, 3), (200, 60, 30), np.uint8)
    source = clips.make(tmp_path / "clip.mp4", images=[colour] * 2, pts=[0, 3600], tags=tags, pixel_format="yuv444p")
    restore_video(source, tmp_path / "clear.mp4", AS_IT_IS, settings())
    with Clip(source) as before, Clip(tmp_path / "clear.mp4") as after:
        assert after.colours.tags == before.colours.tags
        assert after.colours.tags[1:] == tags[1:]
        picture = next(after.pictures())
    np.testing.assert_allclose(picture.pixels[24, 32] * 255, (200, 60, 30), atol=3)
    levels = next(iter(frames(tmp_path / "clear.mp4")))[:, 24, 32]
    red, green, blue = {1: (0.2126, 0.7152, 0.0722), 9: (0.2627, 0.678, 0.0593)}.get(tags[1], (0.299, 0.587, 0.114))
    luma = red * 200 + green * 60 + blue * 30
    assert levels[0] == pytest.approx(luma if tags[0] == 2 else 16 + luma * 219 / 255, abs=2)


def frames(path: Path) -> list[np.ndarray]:
    """The frames' samples as they are coded."""
    with av.open(str(path)) as container:
        return [
            frame.reformat(format=frame.format.name).to_ndarray(channel_last=False)
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(
    ("pixel_format", "size", "becomes"),
    [
        ("yuv420p", (64, 48), "yuv420p"),
        ("yuv422p", (64, 48), "yuv422p"),
        ("yuv444p", (63, 47), "yuv444p"),
        ("yuv420p10le", (64, 48), "yuv420p10le"),
        ("rgb24", (64, 48), "yuv444p"),
        ("gray", (64, 48), "yuv420p"),
    ],
)
def test_bits_and_colour_detail_are_kept(
    tmp_path: Path, pixel_format: str, size: tuple[int, int], becomes: str
) -> None:
    codec = "libx264rgb" if pixel_format == "rgb24" else "libx264"
    source = clips.make(tmp_path / "clip.mkv", frames=2, pixel_format=pixel_format, size=size, codec=codec)
    restore_video(source, tmp_path / "clear.mp4", AS_IT_IS, settings(crf=4))
    with av.open(str(tmp_path / "clear.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.format.name, frame.width, frame.height) == (becomes, *size)
    with Clip(source) as before, Clip(tmp_path / "clear.mp4") as after:
        difference = next(before.pictures()).pixels - next(after.pictures()).pixels
    assert np.abs(difference).mean() * 255 < 2


def test_odd_sides_of_subsampled_videos_are_kept(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "clip.mkv", codec="ffv1", size=(63, 47), frames=2)
    restore_video(source, tmp_path / "clear.mp4", AS_IT_IS, settings())
    assert clips.images(tmp_path / "clear.mp4")[0].shape == (47, 63, 3)


def test_lossless_keeps_every_level(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "clip.mp4", tags=(1, 1, 1, 1))
    restore_video(source, tmp_path / "clear.mkv", HALF, settings(lossless=True))
    with Clip(source) as clip:
        expected = [np.floor(picture.pixels / 2 * 255 + 0.5).astype(np.uint8) for picture in clip.pictures()]
    for wanted, found in zip(expected, clips.images(tmp_path / "clear.mkv"), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_strength_blends_with_the_original(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "clip.mp4", frames=2)
    restore_video(source, tmp_path / "clear.mkv", HALF, settings(lossless=True), strength=0.5)
    with Clip(source) as clip:
        wanted = np.floor(next(clip.pictures()).pixels * 0.75 * 255 + 0.5)
    assert np.abs(clips.images(tmp_path / "clear.mkv")[0] - wanted).max() <= 1


def test_a_broadcast_begins_at_zero_with_its_sound_in_step(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "clip.ts", sound=("aac",))
    restore_video(source, tmp_path / "clear.mp4", HALF, settings())
    before, after = clips.times(source), clips.times(tmp_path / "clear.mp4")
    moved = {one - other for one, other in zip(before, after, strict=True)}
    sound = {a[2] - b[2] for a, b in zip(clips.packets(source), clips.packets(tmp_path / "clear.mp4"), strict=True)}
    assert len(moved) == 1
    assert all(abs(shift - moved.copy().pop()) < Fraction(1, 10000) for shift in sound)
    assert 0 <= after[0] < Fraction(1, 10)


def test_a_clock_that_starts_again_goes_on(tmp_path: Path) -> None:
    one, other = (clips.make(tmp_path / f"{size[0]}.ts", size=size, sound=("aac",)) for size in ((64, 48), (96, 64)))
    (tmp_path / "clip.ts").write_bytes(one.read_bytes() + other.read_bytes())
    report = restore_video(tmp_path / "clip.ts", tmp_path / "clear.mp4", HALF, settings())
    steps = np.diff([float(time) for time in clips.times(tmp_path / "clear.mp4")])
    assert report.frames == 24
    np.testing.assert_allclose(steps, 0.04, atol=1e-4)
    assert clips.images(tmp_path / "clear.mp4")[-1].shape == (48, 64, 3)  # the first frame's size
    assert len(clips.packets(tmp_path / "clear.mp4")) == len(clips.packets(tmp_path / "clip.ts"))


def test_times_only_go_forward() -> None:
    clock = Clock(restart=100)
    assert [clock.forward(time, 10) for time in (5, 15, 15, 14, 30, 500, 0, 10, 20, 3)] == [
        5, 15, 16, 17, 30, 500, 510, 520, 530, 531,
    ]  # fmt: skip


def test_a_video_that_begins_late_is_no_video_cut_short(tmp_path: Path) -> None:
    source = clips.make(tmp_path / "clip.mkv", pts=[90000 * 5 + 3600 * number for number in range(12)])
    restore_video(source, tmp_path / "clear.mp4", HALF, settings())
    assert clips.times(tmp_path / "clear.mp4") == clips.times(source)
    assert clips.times(source)[0] == 5


class Interrupted(Exception):
    """Stands for whatever ends a run."""


def interrupted_after(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Make the restoring of frame `number` end the run."""
    original, counted = restore_module._Restoring._restored, iter(range(1, 1000))

    def restored(self: object, picture: object) -> object:
        if next(counted) == number:
            raise Interrupted
        return original(self, picture)

    monkeypatch.setattr(restore_module._Restoring, "_restored", restored)


def test_a_continued_run_gives_what_an_uninterrupted_one_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clips.make(tmp_path / "clip.mp4", frames=24, sound=("aac",))
    dcp, chosen = method("dcp"), dataclasses.replace(usual_settings(), segment=0.2, smoothing=1.0)
    restore_video(source, tmp_path / "whole.mp4", dcp, chosen)
    with monkeypatch.context() as patched:
        interrupted_after(patched, 13)
        with pytest.raises(Interrupted):
            restore_video(source, tmp_path / "clear.mp4", dcp, chosen)
    assert {p.name for p in tmp_path.iterdir()} == {"clip.mp4", "whole.mp4", ".clear.mp4.limpid"}
    report = restore_video(source, tmp_path / "clear.mp4", dcp, chosen)
    assert (report.frames, report.continued) == (24, 10)
    for one, other in zip(clips.images(tmp_path / "whole.mp4"), clips.images(tmp_path / "clear.mp4"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert clips.times(tmp_path / "clear.mp4") == clips.times(source)
    assert {p.name for p in tmp_path.iterdir()} == {"clip.mp4", "whole.mp4", "clear.mp4"}
    assert processed_by(tmp_path / "clear.mp4") == dcp.identity


@pytest.mark.parametrize("what", ["method", "file", "strength", "settings", "damage"])
def test_segments_of_something_else_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    source = clips.make(tmp_path / "clip.mp4", frames=12)
    with monkeypatch.context() as patched:
        interrupted_after(patched, 8)
        with pytest.raises(Interrupted):
            restore_video(source, tmp_path / "clear.mp4", HALF, settings(segment=0.2))
    if what == "file":
        clips.make(source, images=[clips.picture(number + 5) for number in range(12)])
    if what == "damage":
        (tmp_path / ".clear.mp4.limpid" / "000000.video").write_bytes(b"cut")
        (tmp_path / ".clear.mp4.limpid" / "000000.json").write_text(json.dumps({"file": 1}))
    report = restore_video(
        source,
        tmp_path / "clear.mp4",
        AS_IT_IS if what == "method" else HALF,
        settings(segment=0.3 if what == "settings" else 0.2),
        strength=0.5 if what == "strength" else 1.0,
    )
    assert (report.frames, report.continued) == (12, 0)


def test_an_interrupted_run_leaves_the_old_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clips.make(tmp_path / "clip.mp4")
    (tmp_path / "clear.mp4").write_bytes(b"old")
    interrupted_after(monkeypatch, 5)
    with pytest.raises(Interrupted):
        restore_video(source, tmp_path / "clear.mp4", HALF, settings())
    assert (tmp_path / "clear.mp4").read_bytes() == b"old"


def cut(source: Path, target: Path, share: float) -> Path:
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_of_a_video_that_is_cut_short_the_rest_is_kept(tmp_path: Path, suffix: str) -> None:
    codec, base = ("mpeg4", Fraction(1, 25)) if suffix == ".avi" else ("libx264", clips.TIME_BASE)
    step = 1 if suffix == ".avi" else clips.STEP
    noise = [np.random.default_rng(n).integers(0, 256, (48, 64, 3), np.uint8) for n in range(60)]
    whole = clips.make(
        tmp_path / f"whole{suffix}", images=noise, pts=[n * step for n in range(60)], codec=codec, time_base=base
    )
    if suffix == ".mp4":  # with its index first, as phones and sites write it
        restore_video(whole, tmp_path / "first.mp4", AS_IT_IS, settings())
        whole = tmp_path / "first.mp4"
    source = cut(whole, tmp_path / f"clip{suffix}", 0.6)
    with pytest.raises(UserError, match=rf"clip{suffix} .*; .*clear\.mp4 has the \d+ frames that could be read\."):
        restore_video(source, tmp_path / "clear.mp4", HALF, settings())
    assert 10 < len(clips.images(tmp_path / "clear.mp4")) < 60
    assert not (tmp_path / ".clear.mp4.limpid").exists()


def test_what_is_no_video_is_said_in_a_sentence(tmp_path: Path) -> None:
    clips.make(tmp_path / "clip.mp4")
    cut(tmp_path / "clip.mp4", tmp_path / "no_index.mp4", 0.6)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        container.mux([*stream.encode(clips.tone(0, stream)), *stream.encode(None)])
    data = (tmp_path / "clip.mp4").read_bytes()
    begin, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    (tmp_path / "none.mp4").write_bytes(data[:begin] + bytes(end - begin) + data[end:])
    (tmp_path / "folder.mp4").mkdir()
    names_another = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path / 'clip.mp4'}\n#EXT-X-ENDLIST\n"
    (tmp_path / "playlist.mp4").write_text(names_another)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile 'clip.mp4'\n")
    for name, says in (
        ("no_index.mp4", "cannot be read as a video"),
        ("empty.mp4", "is empty"),
        ("text.mp4", "cannot be read as a video"),
        ("sound.mp4", "has no pictures that move, only audio"),
        ("none.mp4", "has no frame that can be read"),
        ("gone.mp4", "cannot be read as a video"),
        ("playlist.mp4", "cannot be read as a video"),
        ("list.mp4", "cannot be read as a video"),
        ("folder.mp4", "cannot be read as a video"),
    ):
        with pytest.raises(UserError, match=f"{name} {says}"):
            restore_video(tmp_path / name, tmp_path / "clear.mp4", HALF, settings())
    assert not list(tmp_path.glob("*clear*"))


def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clips.make(tmp_path / "clip.mp4", frames=2)
    for target, says in (
        (tmp_path / "clear.webm", "a video becomes .mp4, .m4v, .mov, .mkv"),
        (source, "would be written over it"),
        (source / "clear.mp4", "cannot be written"),
    ):
        with pytest.raises(UserError, match=says):
            restore_video(source, target, HALF, settings())
    with pytest.raises(UserError, match=r"more than 0.001 megapixels.*megapixels=1\."):
        restore_video(source, tmp_path / "clear.mp4", HALF, settings(), megapixels=0.001)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(CannotRun, match=r"Videos need PyAV; install it with pip install 'limpid\[video\]'\."):
        restore_video(source, tmp_path / "clear.mp4", HALF, settings())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"crf": 60}, "crf=60"), ({"preset": "slwo"}, "did you mean 'slow'"), ({"smoothing": -1.0}, "smoothing=-1"),
        ({"segment": 0.0}, "segment=0"),
    ],
)  # fmt: skip
def test_settings_are_checked(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        dataclasses.replace(usual_settings(), **changes)


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    peaks = []
    for number in (8, 32):
        source = clips.make(tmp_path / f"{number}.mp4", frames=number, size=(80, 60))
        restore_video(source, tmp_path / "warm.mp4", HALF, settings(segment=0.2))
        gc.collect()
        tracemalloc.start()
        restore_video(source, tmp_path / "clear.mp4", HALF, settings(segment=0.2))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    frame = 80 * 60 * 3 * 4  # bytes in float32
    assert peaks[1] - peaks[0] < frame


def test_only_one_picture_is_held_at_a_time(tmp_path: Path) -> None:
    import weakref

    source = clips.make(tmp_path / "clip.mp4", frames=12)
    with Clip(source) as clip:
        seen = []
        for picture in clip.pictures():
            seen.append(weakref.ref(picture.pixels))
            del picture
            assert sum(reference() is not None for reference in seen) <= 1
        assert len(seen) == 12
