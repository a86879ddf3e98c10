"""Segments joined to the finished video, with sound, subtitles, chapters and words of the original."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpid.errors import UserError
from limpid.video.clip import RESTART, Clip, opened
from limpid.video.clock import Clock
from limpid.video.copying import Copied
from limpid.video.formats import container_of
from limpid.video.segments import Segment

if TYPE_CHECKING:
    from av import Packet
    from av.stream import Stream


def join(clip: Clip, segments: Sequence[Segment], copied: Copied, target: Path, file: Path, by: str) -> None:
    """Write the finished video.

    Args:
        clip: the original.
        segments: of the result, all of them.
        copied: what of the original comes along.
        target: what the result will be called, for its container.
        file: where it is written.
        by: what restored it, for the last line of its comment.

    Raises:
        UserError: it cannot be written.
    """
    import av

    try:
        try:
            _write(clip, segments, copied, target, file, by)
        except av.error.ArgumentError:  # a word or a chapter of the original that FFmpeg does not write
            _write(clip, segments, copied, target, file, by, words=False)
    except (av.FFmpegError, OSError) as error:
        raise UserError(f"{target} cannot be written ({error.strerror}); make room, or give another output.") from error


def _write(
    clip: Clip,
    segments: Sequence[Segment],
    copied: Copied,
    target: Path,
    file: Path,
    by: str,
    words: bool = True,
) -> None:
    """See `join`; without `words` only frames, sound and subtitles come along."""
    import av

    with ExitStack() as stack:
        source = stack.enter_context(opened(clip.path))
        first = stack.enter_context(av.open(str(segments[0].file)))
        container = container_of(target)
        result = stack.enter_context(
            av.open(str(file), "w", format=container, options=_options(container, clip.time_base))
        )
        video = result.add_stream_from_template(first.streams.video[0])
        video.time_base = clip.time_base
        streams = copied.add_to(result, source)
        said: list[str] = []
        if words:
            video.metadata.update(copied.words_of(clip.stream))
            of_file = copied.words_of(source)
            said = [of_file.pop(key) for key in list(of_file) if key.lower() == "comment"]
            result.metadata.update(of_file)
            result.set_chapters(source.chapters())
        result.metadata["comment"] = "\n".join([*filter(None, said), by])
        offset = Fraction(clip.offset).limit_denominator(1_000_000)
        others = _of_others(source, streams, offset)
        for packet in heapq.merge(_of_segments(segments, video, clip.time_base), others, key=_when):
            result.mux(packet)


def processed_by(path: Path) -> str | None:
    """What restored the video at `path`, as its comment says; None where Limpid did not, or it cannot be read."""
    try:
        with opened(path) as container:
            comments = [value for key, value in container.metadata.items() if key.lower() == "comment"]
    except UserError:
        return None
    last = comments[0].splitlines()[-1] if comments and comments[0] else ""
    return last if last.startswith("Limpid ") else None


def _options(container: str, time_base: Fraction) -> dict[str, str]:
    """Of FFmpeg's writers: times as they are, and of an MP4 the index first, so that it plays while it is loaded."""
    if container == "matroska":
        return {"avoid_negative_ts": "disabled"}  # sound begins before zero with what its decoder throws away
    # In these ticks a second the time of the first frame is rounded: those of its video.
    timescale = max(1000, min(time_base.denominator, 1_000_000))
    return {"movflags": "+faststart", "movie_timescale": str(timescale)}


def _when(packet: Packet) -> Fraction:
    return Fraction(packet.dts or 0) * packet.time_base


def _of_segments(segments: Sequence[Segment], stream: Stream, time_base: Fraction) -> Iterator[Packet]:
    """The packets of all segments, with the times that their frames had in the original.

    An encoder gives packets in the order of decoding, some frames ahead of showing. The time of decoding of the n-th
    packet is the time of showing of the frame that comes as many places before as the encoder looks ahead, over the
    borders of segments, so that it grows from packet to packet and is never after the packet's own time of showing.
    """
    ahead = max(_looked_ahead(*_read(segment, time_base)) for segment in segments)
    shown: deque[int] = deque()
    for number, segment in enumerate(segments):
        packets, times = _read(segment, time_base)
        following = segments[number + 1].start if number + 1 < len(segments) else segment.end
        lasts = {time: after - time for time, after in zip(times, [*times[1:], following], strict=True)}
        if number == 0:
            shown.extend(_before(times, ahead))
        shown.extend(times)
        for packet, time in packets:
            packet.pts, packet.dts = time, shown.popleft()
            packet.time_base, packet.duration = time_base, max(lasts[time], 1)
            packet.stream = stream
            yield packet


def _read(segment: Segment, time_base: Fraction) -> tuple[list[tuple[Packet, int]], list[int]]:
    """The packets of a segment with their times of showing in units of `time_base`, and these in their order."""
    with opened(segment.file) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        times = [round((packet.pts or 0) * packet.time_base / time_base) for packet in packets]
        moved = segment.start - min(times)  # files of segments begin at 0
        shown = [time + moved for time in times]
        return list(zip(packets, shown, strict=True)), sorted(shown)


def _looked_ahead(packets: Sequence[tuple[Packet, int]], times: Sequence[int]) -> int:
    """How many frames late the packet of a frame comes at most."""
    place = {time: number for number, time in enumerate(times)}
    return max(number - place[time] for number, (_, time) in enumerate(packets))


def _before(times: Sequence[int], count: int) -> list[int]:
    """`count` times before the first of `times`, at the distance of the first two."""
    step = max(times[1] - times[0], 1) if len(times) > 1 else 1
    return [times[0] - step * (count - number) for number in range(count)]


def _of_others(source: Any, streams: dict[int, Stream], offset: Fraction) -> Iterator[Packet]:
    """The packets of streams that are copied, as far as they can be read."""
    import av

    if not streams:
        return
    packets = source.demux([source.streams[index] for index in streams])
    clocks: dict[int, Clock] = {}
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError):
            return
        if packet is None:
            return
        if packet.dts is None and packet.pts is None:
            continue
        index = packet.stream.index
        clock = clocks.setdefault(index, Clock(round(RESTART / packet.time_base)))
        said = packet.pts if packet.dts is None else packet.dts
        told = clock.forward(said - round(offset / packet.time_base), packet.duration or 1)
        packet.pts = None if packet.pts is None else packet.pts + told - said
        packet.dts = told
        packet.stream = streams[index]
        yield packet
