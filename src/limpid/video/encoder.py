"""Frames written as H.264, one segment a file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limpid.errors import CannotRun, UserError
from limpid.video.clip import Clip
from limpid.video.colours import FULL, UNSAID, Colours, frame_of
from limpid.video.settings import VideoSettings

#: FFmpeg's container of segments: it holds any time base.
SEGMENT_CONTAINER = "nut"
#: Without its macroblock tree x264 gives the same from run to run, as a continued video needs.
_REPEATABLE = {"x264-params": "mbtree=0"}


class Encoding(NamedTuple):
    """How the frames of one video are encoded.

    Attributes:
        codec: FFmpeg's name of the encoder.
        options: of the encoder.
        pixel_format: FFmpeg's name of how samples lie.
        tags: range, matrix, primaries and transfer of colours, by H.273.
        colours: see `Colours`.
    """

    codec: str
    options: dict[str, str]
    pixel_format: str
    tags: tuple[int, int, int, int]
    colours: Colours


def encoding_of(clip: Clip, settings: VideoSettings) -> Encoding:
    """How the frames of `clip` are encoded.

    Raises:
        CannotRun: this build of PyAV has no H.264 encoder.
    """
    import av

    colours = clip.colours
    options = {"preset": settings.preset, **_REPEATABLE}
    if settings.lossless and not colours.deep:
        primaries, transfer = colours.tags[2:]
        encoding = Encoding("libx264rgb", options | {"qp": "0"}, "rgb24", (FULL, 0, primaries, transfer), colours)
    elif settings.lossless:
        encoding = Encoding("libx264", options | {"qp": "0"}, "yuv444p10le", colours.tags, colours)
    else:
        options["crf"] = f"{settings.crf:g}"
        pixel_format = colours.pixel_format(clip.width, clip.height)
        encoding = Encoding("libx264", options, pixel_format, colours.tags, colours)
    if encoding.codec not in av.codecs_available:
        raise CannotRun(
            f"This PyAV has no encoder {encoding.codec}; install the one with it with pip install 'limpid[video]'."
        )
    return encoding


class SegmentWriter:
    """Frames into one file; it is a context manager.

    Args:
        path: the file.
        clip: gives size, time base, rate and shape of pixels.
        encoding: how.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: Path, clip: Clip, encoding: Encoding) -> None:
        import av

        self.path, self._encoding, self._time_base = path, encoding, clip.time_base
        try:
            self._container = av.open(str(path), "w", format=SEGMENT_CONTAINER)
        except OSError as error:
            raise UserError(f"{path} cannot be written ({error.strerror}); give another output.") from error
        stream: Any = self._container.add_stream(
            encoding.codec, rate=_bounded(clip.rate), options=dict(encoding.options)
        )
        stream.width, stream.height = clip.width, clip.height
        stream.pix_fmt = encoding.pixel_format
        stream.time_base = clip.time_base
        context = stream.codec_context
        context.time_base = clip.time_base
        context.sample_aspect_ratio = clip.pixel_aspect
        context.color_range, context.colorspace = encoding.tags[0], encoding.tags[1]
        context.color_primaries, context.color_trc = encoding.tags[2] or UNSAID, encoding.tags[3] or UNSAID
        self._stream = stream

    def add(self, pixels: NDArray[np.float32], pts: int) -> None:
        """Write a frame: RGB `(H, W, 3)` in [0, 1], and when it is shown."""
        frame = frame_of(pixels, self._encoding.colours, self._encoding.pixel_format)
        frame.pts, frame.time_base = pts, self._time_base
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds, and close the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()


def _bounded(rate: Fraction) -> Fraction:
    """`rate` in numbers that fit FFmpeg's fractions."""
    return rate.limit_denominator(1_000_000)
