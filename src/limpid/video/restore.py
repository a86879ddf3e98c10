"""A video restored frame by frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from limpid.errors import UserError
from limpid.methods import Method, made_by
from limpid.video.clip import Clip, Picture
from limpid.video.copying import copied_streams
from limpid.video.encoder import Encoding, SegmentWriter, encoding_of
from limpid.video.formats import container_of, require_av
from limpid.video.join import join
from limpid.video.progress import VideoProgress, shown_progress
from limpid.video.segments import Segment, WorkFolder, content_of
from limpid.video.settings import VideoSettings, usual_settings
from limpid.video.smoothing import Smoother, steady


class VideoReport(NamedTuple):
    """What a restored video is.

    Attributes:
        frames: how many it has.
        continued: how many of them an interrupted run had restored.
        seconds: how long this run took.
        notes: whole sentences on what of the original is left out.
    """

    frames: int
    continued: int
    seconds: float
    notes: tuple[str, ...]


def restore_video(
    source: Path,
    target: Path,
    method: Method,
    settings: VideoSettings | None = None,
    strength: float = 1.0,
    megapixels: float = 200.0,
) -> VideoReport:
    """What the restored video `target` is, which is written beside its place and then takes it.

    Frames are restored one at a time, upright, and keep their times; sound and subtitles come along as they are. An
    interrupted run leaves its finished segments in a hidden folder beside the result, and the same call continues after
    them, with the same result.

    Args:
        source: a video.
        target: its suffix says the container; a file there is replaced.
        method: restores a frame.
        settings: see `VideoSettings`; those of conf/video/default.yaml by default.
        strength: how much of the change is made, 0 to 1.
        megapixels: larger frames are refused.

    Raises:
        CannotRun: PyAV is not installed, or has no H.264.
        UserError: the video cannot be read, has no frames, or `target` cannot be written. Where only its end is damaged
            the sentence says so, and `target` has what could be read.
    """
    require_av()
    began = time.perf_counter()
    container_of(target)
    settings = settings or usual_settings()
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError(f"The result of {source} would be written over it; give another output.")
    with Clip(source, megapixels) as clip:
        encoding = encoding_of(clip, settings)
        copied = copied_streams(clip, target)
        work = WorkFolder(target, _made_from(source, method, settings, strength, encoding))
        with work.held() as segments:
            smoother = Smoother(settings.smoothing, settings.cut)
            continued = sum(segment.frames for segment in segments)
            if segments:
                smoother.restore_state(work.state_after(segments[-1]))
            one = steady(method, smoother)
            restoring = _Restoring(clip, encoding, one, smoother, strength, settings.segment, work)
            with shown_progress(source.name, restoring.share(segments[-1].end) or 0.0 if segments else 0.0) as progress:
                segments = [*segments, *restoring.segments(len(segments), continued, progress)]
            joined = work.path / "joined"
            join(clip, segments, copied, target, joined, made_by(method, strength))
            _take_place(joined, target)
            work.remove()
        frames = sum(segment.frames for segment in segments)
        if clip.damage:
            raise UserError(f"{source} {clip.damage}; {target} has the {frames} frames that could be read.")
        return VideoReport(frames, continued, time.perf_counter() - began, (*clip.notes, *copied.notes))


class _Restoring(NamedTuple):
    """What is needed to restore the frames of a clip into segments."""

    clip: Clip
    encoding: Encoding
    method: Method
    smoother: Smoother
    strength: float
    segment_seconds: float
    work: WorkFolder

    def segments(self, number: int, skip: int, progress: VideoProgress) -> Iterator[Segment]:
        """The segments from `number` on, each kept as it is finished; the first `skip` frames are in those before."""
        with closing(self.clip.pictures(skip)) as pictures:
            waiting = next(pictures, None)
            while waiting is not None:
                segment, waiting = self._segment(number, waiting, pictures, progress, skip)
                yield self.work.keep(number, segment, self.smoother.state())
                skip += segment.frames
                number += 1

    def _segment(
        self, number: int, first: Picture, others: Iterator[Picture], progress: VideoProgress, before: int
    ) -> tuple[Segment, Picture | None]:
        """The segment that begins with `first`, and the picture after it."""
        limit = first.pts + self.segment_seconds / self.clip.time_base
        file, frames, end, following = self.work.file(number), 0, first.pts, None
        with SegmentWriter(file, self.clip, self.encoding) as writer:
            for picture in chain([first], others):
                if picture.pts >= limit:
                    following = picture
                    break
                writer.add(self._restored(picture), picture.pts)
                frames, end = frames + 1, picture.pts + picture.duration
                progress.show(before + frames, self.share(end))
            writer.finish()
        return Segment(file, frames, first.pts, end), following

    def _restored(self, picture: Picture) -> NDArray[np.float32]:
        x = torch.from_numpy(picture.pixels.transpose(2, 0, 1))[None]
        self.smoother.begin(x[0], float(picture.pts * self.clip.time_base))
        restored: NDArray[np.float32] = self.method.restore(x, self.strength)[0].permute(1, 2, 0).cpu().numpy()
        return restored

    def share(self, end: int) -> float | None:
        """How much of the clip lies before the time `end`; None where its length is not known."""
        if not self.clip.seconds:
            return None
        return min(1.0, float((end - self.clip.start) * self.clip.time_base) / self.clip.seconds)


def _made_from(
    source: Path, method: Method, settings: VideoSettings, strength: float, encoding: Encoding
) -> dict[str, object]:
    """What decides how the segments of a result look."""
    import av

    return {
        "source": content_of(source),
        "method": method.identity,
        "inference": _plain(method.inference),
        "strength": strength,
        "settings": asdict(settings),
        "av": av.__version__,
        "encoding": [encoding.codec, encoding.options, encoding.pixel_format, list(encoding.tags)],
    }


def _plain(value: object) -> object:
    """The public attributes of an object, and of those it has, in plain values."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    attributes = getattr(value, "__dict__", {})
    named = {name: _plain(inner) for name, inner in attributes.items() if not name.startswith("_")}
    return {"type": type(value).__name__, **named}


def _take_place(file: Path, target: Path) -> None:
    try:
        file.replace(target)
    except OSError as error:
        raise UserError(f"{target} cannot be written ({error.strerror}); give another output.") from error
