"""Small videos that tests make, and what is in a video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

#: The time base of clips, and the distance of frames in it: 25 a second.
TIME_BASE = Fraction(1, 90000)
STEP = 3600


def picture(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth colours that move with the frame's number, brighter at the top left."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    base = 150 - x - 0.5 * y + 20 * np.sin((x + 3 * number) / 9)
    return np.stack([base + 30, base, base + 0.5 * y], axis=2).clip(0, 255).astype(np.uint8)


def make(
    path: Path,
    frames: int = 12,
    pts: list[int] | None = None,
    size: tuple[int, int] = (64, 48),
    pixel_format: str = "yuv420p",
    codec: str = "libx264",
    sound: tuple[str, ...] = (),
    rotation: float | None = None,
    aspect: Fraction | None = None,
    tags: tuple[int, int, int, int] = (0, 2, 2, 2),
    container: str | None = None,
    images: list[np.ndarray] | None = None,
    time_base: Fraction = TIME_BASE,
) -> Path:
    """A video of `frames` frames (`picture`, or `images`); `tags` are range, matrix, primaries and transfer."""
    times = pts if pts is not None else [STEP * number for number in range(frames)]
    options = {"movie_timescale": "90000"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", format=container, options=options) as result:
        result.metadata["title"] = "Köln"
        video = result.add_stream(codec, rate=25, options={"crf": "12"} if codec == "libx264" else {})
        video.width, video.height = size
        video.pix_fmt = pixel_format
        video.time_base = time_base
        context: Any = video.codec_context
        context.time_base = time_base if codec != "mpeg4" else Fraction(1, 25)
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if rotation is not None:
            video.set_display_rotation(rotation)
        sounds: list[Any] = [result.add_stream(name, rate=48000) for name in sound]
        for number, time in enumerate(times):
            image = images[number] if images is not None else picture(number, size[1], size[0])
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            if pixel_format != "rgb24":
                matrix = {1: 1, 9: 9}.get(tags[1], 5)
                frame = frame.reformat(
                    format=pixel_format, src_color_range=2, dst_colorspace=matrix, dst_color_range=tags[0] or 1
                )
            frame.pts, frame.time_base = time, time_base
            result.mux(video.encode(frame))
            for stream in sounds:
                result.mux(stream.encode(tone(number, stream)))
        for stream in [video, *sounds]:
            result.mux(stream.encode(None))
    return path


def tone(number: int, stream: Any) -> av.AudioFrame:
    """A 25th of a second of a tone, of the format that the encoder wants."""
    form = stream.codec_context.format.name
    wave = np.sin(np.arange(1920 * number, 1920 * (number + 1)) * 0.05)[None]
    whole = np.int32 if form.startswith("s32") else np.int16
    samples = wave.astype(np.float32) if form.startswith("flt") else (wave * 20000).astype(whole)
    frame = av.AudioFrame.from_ndarray(samples, form, "mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 1920 * number, Fraction(1, 48000)
    return frame


def times(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def images(path: Path) -> list[np.ndarray]:
    """The frames as RGB, as PyAV gives them."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def packets(path: Path, kind: str = "audio") -> list[tuple[int, bytes, Fraction]]:
    """The packets of all streams of a kind: the stream's place among them, bytes, and time in seconds."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [
            (streams.index(packet.stream), bytes(packet), packet.pts * packet.time_base)
            for packet in (container.demux(streams) if streams else ())
            if packet.size
        ]
