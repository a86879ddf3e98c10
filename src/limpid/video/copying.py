"""What of a video comes along as it is: sound, subtitles, fonts, and what the file says of itself."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpid.errors import UserError
from limpid.video.clip import Clip, opened
from limpid.video.formats import TAKES_ALL, container_of

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

#: What describes the old file, not the recording; of a time code FFmpeg would make a stream of its own.
_OF_THE_FILE = frozenset(
    {"encoder", "major_brand", "minor_version", "compatible_brands", "rotate", "duration", "timecode"}
)


@dataclass(frozen=True)
class Copied:
    """Which streams of a video come along.

    Attributes:
        streams: their numbers in the original.
        notes: whole sentences on those that do not.
    """

    streams: tuple[int, ...]
    notes: tuple[str, ...]

    def add_to(self, result: OutputContainer, source: InputContainer) -> dict[int, Stream]:
        """Streams of `result` like those of `source`, by these ones' numbers."""
        added = {}
        for index in self.streams:
            original: Any = source.streams[index]
            if original.type == "attachment":
                result.add_attachment(original.name or "attachment", original.mimetype or "", original.data)
                continue
            stream = result.add_stream_from_template(original)
            stream.time_base = original.time_base
            stream.metadata.update(self.words_of(original))
            stream.disposition = original.disposition
            added[index] = stream
        return added

    @staticmethod
    def words_of(described: Any) -> dict[str, str]:
        """What a stream or a file says of itself, but for what described the old file."""
        words = described.metadata.items()
        return {key: value for key, value in words if key.lower() not in _OF_THE_FILE and not key.startswith("_")}


def copied_streams(clip: Clip, target: Path) -> Copied:
    """What of `clip` comes along into `target`: all sound, and what else its container takes.

    Raises:
        UserError: it does not take the sound.
    """
    with opened(clip.path) as source:
        wanted = [stream for stream in source.streams if stream.type in ("audio", "subtitle", "attachment")]
        taken = [stream.index for stream in wanted if _fits(source, [stream.index], target)]
        for stream in wanted:
            if stream.type == "audio" and stream.index not in taken:
                raise UserError(
                    f"{target.suffix} cannot hold the sound of {clip.path} as it is ({_codec(stream)}); give "
                    f"output={target.with_suffix(TAKES_ALL)}."
                )
        left = [s for s in source.streams if s.index not in taken and s.index != clip.stream.index]
        return Copied(tuple(taken), _left_out(clip.path, left))


def _fits(source: InputContainer, indices: Sequence[int], target: Path) -> bool:
    """Whether the container of `target` takes these streams: the beginning of such a file is written to memory."""
    import av

    try:
        with av.open(io.BytesIO(), "w", format=container_of(target)) as trial:
            Copied(tuple(indices), ()).add_to(trial, source)
            trial.start_encoding()
            return True
    except (av.FFmpegError, ValueError, NotImplementedError):
        return False


def _left_out(path: Path, streams: Sequence[Stream]) -> tuple[str, ...]:
    if not streams:
        return ()
    counts = Counter(f"{stream.type} ({_codec(stream)})" for stream in streams)
    listed = ", ".join(f"{count} of {kind}" for kind, count in counts.items())
    return (f"{path} has streams that its result has not: {listed}.",)


def _codec(stream: Any) -> str:
    context = getattr(stream, "codec_context", None)
    return context.name if context is not None else "no codec"
