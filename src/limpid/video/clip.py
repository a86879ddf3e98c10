"""A video that is read frame by frame: what it is, its frames in order, and what of it could not be read."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limpid.errors import UserError
from limpid.video.clock import Clock
from limpid.video.colours import Colours, colours_of, pixels_of
from limpid.video.orientation import Orientation, orientation_of

if TYPE_CHECKING:
    from av import Packet, VideoFrame, VideoStream
    from av.container import InputContainer

#: Containers that say how long they are; one that ends this many seconds before is cut short.
_SAY_LENGTH = ("mov", "matroska", "avi")
_SHORT = 0.5
#: A clock that goes back by so many seconds starts again.
RESTART = 0.2
#: Only containers that hold all they need are read: no playlists, which name other files and addresses.
_SAFE = {
    "format_whitelist": "mov,matroska,avi,mpeg,mpegvideo,mpegts,asf,flv,mxf,ogg,gif,nut",
    "protocol_whitelist": "file",
}


class Picture(NamedTuple):
    """One frame: RGB `(H, W, 3)` in [0, 1], upright, and when it is shown, in units of the clip's time base."""

    pixels: NDArray[np.float32]
    pts: int
    duration: int


class Clip:
    """The video at `path`, opened; it is a context manager.

    Args:
        path: a video.
        megapixels: larger frames are refused.

    Attributes:
        width, height: of frames as they are shown, in pixels.
        time_base: the unit of a frame's time, in seconds.
        rate: frames in a second, about; a frame's own time counts.
        pixel_aspect: width of a pixel as it is shown by its height.
        colours: how they are stored.
        start: the time of the first frame, in units of the time base.
        seconds: how long it is, None where the file does not say.
        offset: what is subtracted from all times, in seconds: where the clock of a broadcast stood.
        notes: whole sentences on what is left out or was odd.
        damage: what could not be read, None while all could.

    Raises:
        UserError: the file cannot be read, has no video, no frame, or too large ones.
    """

    def __init__(self, path: Path, megapixels: float = 200.0) -> None:
        self.path = path
        self.notes: list[str] = []
        self.damage: str | None = None
        self.container = opened(path)
        try:
            self.stream = self._video()
            self._describe(megapixels)
        except BaseException:
            self.container.close()
            raise

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def pictures(self, skip: int = 0) -> Generator[Picture]:
        """The frames in the order in which they are shown, but for the first `skip`; once for each clip."""
        clock, last = Clock(round(RESTART / self.time_base)), self.start
        for number, frame in enumerate(self._frames()):
            last = clock.forward(self._time(frame, last), self._usual_duration)
            if number < skip:
                continue
            size = (self.height, self.width) if self.orientation.swaps_axes else (self.width, self.height)
            pixels = self.orientation.applied(pixels_of(frame, self.colours, size))
            yield Picture(pixels, last, int(frame.duration or 0) or self._usual_duration)

    def _video(self) -> VideoStream:
        from av.stream import Disposition

        streams = [s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise UserError(f"{self.path} has no pictures that move, only {_kinds(self.container)}; give a video.")
        best = self.container.streams.best("video")
        stream = best if best in streams else streams[0]
        if stream.codec_context is None:
            raise UserError(f"{self.path} has a video of a kind that this PyAV cannot decode; convert it to H.264.")
        stream.thread_type = "AUTO"
        return stream

    def _describe(self, megapixels: float) -> None:
        """Look at the first frame, and begin again."""
        size = (self.stream.codec_context.width, self.stream.codec_context.height)
        if size[0] * size[1] > megapixels * 1e6:
            raise UserError(
                f"{self.path} has frames of {size[0]}x{size[1]} pixels, more than {megapixels:g} megapixels; if it is "
                f"what you want, set megapixels={-(-size[0] * size[1] // 10**6)}."
            )
        assert self.stream.time_base is not None
        self.time_base: Fraction = self.stream.time_base
        self.offset = self._clock()
        rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        self.rate: Fraction = rate if 0 < rate < 1000 else Fraction(25)
        self._usual_duration = max(1, round(1 / (self.rate * self.time_base)))
        first = next(self._frames(), None)
        if first is None:
            raise UserError(f"{self.path} has no frame that can be read; it is empty or damaged.")
        try:
            self.colours: Colours = colours_of(first)
        except UserError as error:
            raise UserError(f"{self.path}: {error}") from error
        orientation = orientation_of(first)
        if orientation is None:
            self.notes.append(f"{self.path} is turned by {first.rotation} degrees, which its result is not.")
        self.orientation: Orientation = orientation or Orientation()
        swaps = self.orientation.swaps_axes
        self.width, self.height = (first.height, first.width) if swaps else (first.width, first.height)
        aspect = self.stream.sample_aspect_ratio or Fraction(1)
        self.pixel_aspect: Fraction = 1 / aspect if swaps else aspect
        self.start = self._time(first, None)
        self.seconds = self._length()
        if self.colours.alpha:
            self.notes.append(f"{self.path} has transparency, which its result has not.")
        if first.interlaced_frame:
            self.notes.append(f"{self.path} is interlaced; its result has the same lines in whole frames.")
        self.container.close()
        self.container = opened(self.path)
        self.stream = self._video()
        self.damage = None

    def _clock(self) -> float:
        """Where the clock stood at the beginning, for containers of broadcasts; 0 for all others."""
        from av.format import Flags

        flags: Any = self.container.format.flags
        discontinuous = flags & Flags.ts_discont.value
        return (self.container.start_time or 0) / 1e6 if discontinuous else 0.0

    def _length(self) -> float | None:
        if self.stream.duration:
            return float(self.stream.duration * self.time_base)
        return self.container.duration / 1e6 if self.container.duration else None

    def _time(self, frame: VideoFrame, last: int | None) -> int:
        """When the file says that `frame` is shown; where it does not, soon after the one before, at `last`."""
        pts = frame.pts if frame.pts is not None else frame.dts
        if pts is None:
            return 0 if last is None else last + self._usual_duration
        return pts - round(self.offset / self.time_base)

    def _frames(self) -> Iterator[VideoFrame]:
        """What can be decoded; what cannot is counted, and the rest goes on."""
        import av

        damaged, ended, end = 0, "", Fraction(0)
        packets = self.container.demux([self.stream, *self.container.streams.audio])
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                ended, packet = f"cannot be read to its end ({error.strerror})", None
            if packet is not None and packet.size:
                end = max(end, ((packet.pts or 0) + (packet.duration or 0)) * packet.time_base)
            if packet is not None and (packet.stream != self.stream or _is_dropped(packet)):
                continue
            last = packet is None or packet.size == 0
            try:
                frames = self.stream.decode(None if last else packet)
            except av.FFmpegError:
                frames, damaged = [], damaged + 1
            for frame in frames:
                damaged += bool(frame.is_corrupt)
                yield frame
            if last:
                break
        self.damage = ended or self._says_short(float(end))
        if not self.damage and damaged:
            self.damage = f"is damaged: {damaged} of its frames could not be read well"

    def _says_short(self, end: float) -> str | None:
        """That the file ends before it says, None where it does not."""
        expected = (self.container.duration or 0) / 1e6
        begin = min((self.container.start_time or 0) / 1e6, 0.0)  # some count their length from a later beginning
        if self.container.format.name.startswith(_SAY_LENGTH) and expected - (end - begin) > _SHORT:
            return f"ends after {end - begin:.1f} of the {expected:.1f} seconds that it says"
        return None


def _is_dropped(packet: Packet) -> bool:
    """Whether a recorder dropped this frame: the one before is shown for longer. Without a time it is the end."""
    return packet.size == 0 and packet.dts is not None


def opened(path: Path) -> InputContainer:
    """The container at `path`, to read.

    Raises:
        UserError: it is none, or cannot be read.
    """
    import av

    try:
        if not path.stat().st_size:
            raise UserError(f"{path} is empty; replace or remove it.")
        return av.open(str(path), "r", metadata_errors="replace", options=_SAFE)
    except (av.FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{path} cannot be read as a video ({why}); it is damaged, or cut short.") from error


def _kinds(container: InputContainer) -> str:
    kinds = sorted({str(stream.type) for stream in container.streams})
    return " and ".join(kinds) or "nothing"
