"""One video restored: where it goes, what is refused, and what is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from limpid.errors import UserError
from limpid.methods import made_by
from limpid.predicting.layout import refuse_unwritable
from limpid.predicting.names import shown
from limpid.predicting.progress import duration

if TYPE_CHECKING:
    from limpid.methods import Method
    from limpid.predicting.settings import Settings
    from limpid.video import VideoSettings


def is_video(given: str) -> bool:
    """Whether `given` names a file whose suffix is a video's."""
    from limpid.data.photo_io import READABLE

    path = Path(given)
    return path.suffix.lower() not in READABLE and not path.is_dir() and holds_videos([path.suffix.lower()])


def holds_videos(suffixes: Iterable[str]) -> bool:
    """Whether one of `suffixes` is a video's."""
    from limpid.video import SUFFIXES

    return not SUFFIXES.isdisjoint(suffixes)


def video_target(given: str, output: str, asked: Settings) -> Path:
    """Where the restored video of `given` goes: `output`, or in it under its own name.

    Raises:
        UserError: there is no such video, its result cannot be written there, or what was asked for is of photographs.
    """
    from limpid.video import CONTAINERS

    source = Path(given)
    if not source.is_file():
        raise UserError(f"There is no file {given}; give input=PATH to a video, a photograph, a folder or a pattern.")
    for key, value in (("compare", asked.compare), ("save", asked.save), ("suffix", asked.suffix)):
        if value:
            raise UserError(f"{key} works with photographs; leave it out for the video {given}.")
    target = Path(output)
    if target.is_dir() or output.endswith(("/", os.sep)) or not target.suffix:
        suffix = source.suffix if source.suffix.lower() in CONTAINERS else ".mp4"
        target = target / source.with_suffix(suffix).name
    elif target.suffix.lower() not in CONTAINERS:
        kinds = ", ".join(CONTAINERS)
        raise UserError(
            f"output={output} cannot be written: a video becomes one of {kinds}; take one of these, or end it with a "
            f"slash ({output}/) if it is to be a folder."
        )
    if target.exists() and target.samefile(source):
        raise UserError(f"The result of {given} would be written over it; give another output.")
    refuse_unwritable(target.parent)
    return target


def restore_one_video(source: Path, target: Path, method: Method, asked: Settings, settings: VideoSettings) -> None:
    """Restore a video, unless it is there already, and say so.

    Raises:
        UserError: it cannot be read or written, or only in part; or another file stands in its place.
    """
    from limpid.video import restore_video
    from limpid.video.join import processed_by

    method = replace(method, identity=made_by(method, asked.strength))
    if target.exists() and not asked.overwrite:
        last = (processed_by(target) or "").splitlines()[-1:]
        if last == [method.identity]:
            print(f"0 restored, 1 skipped that exists (overwrite=true replaces it): {shown(target)}")
            return
        whose = f"made by another method ({last[0]})" if last and last[0].startswith("Limpid ") else "not by Limpid"
        raise UserError(f"{shown(target)} is there, {whose}; give another output, or overwrite=true to replace it.")
    report = restore_video(source, target, method, settings, asked.strength, asked.megapixels)
    continued = f", {report.continued} of them by the run before" if report.continued else ""
    print(f"{report.frames} frames restored{continued} in {duration(report.seconds)}: {shown(target)}")
    for note in report.notes:
        print(note, file=sys.stderr)
