"""Videos, each restored to a video: where they are, where their results go, which are done, and what is said."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from limpid.errors import UserError, printable
from limpid.methods import made_by
from limpid.predicting import failures
from limpid.predicting.layout import Task
from limpid.predicting.names import shown
from limpid.predicting.photographs import listed
from limpid.predicting.progress import duration
from limpid.predicting.settings import Settings
from limpid.surroundings import refuse_unwritable

if TYPE_CHECKING:
    from limpid.methods import Method
    from limpid.predicting.choosing import Chooser
    from limpid.video import VideoSettings


def holds_videos(suffixes: Iterable[str]) -> bool:
    """Whether one of `suffixes` is a video's."""
    from limpid.video import SUFFIXES

    return not SUFFIXES.isdisjoint(suffixes)


def videos_in(given: str, output: str) -> list[Task]:
    """The videos that `given` names: a file, or a folder or pattern in which there are no photographs.

    An animated GIF is one where the output is a video's file; else it is a photograph.

    Raises:
        UserError: it names a video that is not there.
    """
    from limpid.data.photo_io import READABLE
    from limpid.video import CONTAINERS

    source = Path(given)
    suffix = source.suffix.lower()
    if source.is_file():
        is_gif = suffix == ".gif" and Path(output).suffix.lower() in CONTAINERS
        return [_task(source, Path(source.name))] if is_gif or holds_videos([suffix]) else []
    if holds_videos([suffix]) and not source.is_dir() and not glob.has_magic(given):
        raise UserError(f"There is no file {given}; give input=PATH to a video, a photograph, a folder or a pattern.")
    files = listed(given, Path(output))
    suffixes = {file.suffix.lower() for file in files.files}
    if not suffixes.isdisjoint(READABLE):
        return []
    return [_task(file, file.relative_to(files.base)) for file in files.files if holds_videos([file.suffix.lower()])]


def _task(source: Path, relative: Path) -> Task:
    """A video, whose result is a .mkv under its whole name where its own kind is not written."""
    from limpid.video.formats import CONTAINERS, TAKES_ALL

    kept = relative.suffix.lower() in CONTAINERS
    return Task(source, relative, relative if kept else relative.with_name(relative.name + TAKES_ALL))


@dataclass(frozen=True)
class VideoPlaces:
    """The videos, and where the result of each method goes: by the number of the method."""

    tasks: tuple[Task, ...]
    targets: tuple[tuple[Path, ...], ...]


def video_places(
    videos: Sequence[Task], given: str, output: str, folders: Sequence[str], asked: Settings
) -> VideoPlaces:
    """Where the results of `videos` go.

    Args:
        videos: what is restored.
        given: the input as it was typed.
        output: a folder, or for one video and one method a file.
        folders: the name of each method's folder; none for a single method.
        asked: the settings.

    Raises:
        UserError: nothing can be written there, or what was asked for is of photographs.
    """
    for key, value in (("compare", asked.compare), ("save", asked.save), ("suffix", asked.suffix)):
        if value:
            raise UserError(f"{key} works with photographs; leave it out for the video {given}.")
    from limpid.video import CONTAINERS

    target = Path(output)
    is_folder = target.is_dir() or output.endswith(("/", os.sep)) or not target.suffix
    if not is_folder and not Path(given).is_file():
        if target.suffix.lower() in CONTAINERS or target.exists():
            raise UserError(
                f"output={output} looks like a file, but input is no single video, so it must be a folder; end it with "
                f"a slash ({output}/) if it is to be one."
            )
        is_folder = True
    if is_folder:
        refuse_unwritable(target)
        targets = [[target / folder / task.target for folder in folders or ("",)] for task in videos]
        return VideoPlaces(tuple(videos), tuple(map(tuple, targets)))
    if folders:
        raise UserError(f"The video {given} takes one method by its name, or an output that is a folder ({output}/).")
    _refuse_kind(target, output)
    refuse_unwritable(target.parent)
    return VideoPlaces(tuple(videos), ((target,),))


def _refuse_kind(target: Path, output: str) -> None:
    from limpid.video import CONTAINERS

    if target.suffix.lower() not in CONTAINERS:
        raise UserError(
            f"output={output} cannot be written: a video becomes one of {', '.join(CONTAINERS)}; take one of these, or "
            f"end it with a slash ({output}/) if it is to be a folder."
        )


@dataclass(frozen=True)
class VideoWork:
    """One command's work on videos.

    Attributes:
        places: what is restored, and where to.
        methods: what restores.
        settings: what was asked for.
        video: how videos are written.
        choose: which of the methods each video gets, from its first frame; without it, all of them.
    """

    places: VideoPlaces
    methods: Sequence[Method]
    settings: Settings
    video: VideoSettings
    choose: Chooser | None = None

    def run(self) -> None:
        """Restore every video by every method, and say so; one that cannot be restored does not end the others.

        Raises:
            UserError: some could not be restored, or not to their ends.
        """
        problems = []
        for task, targets in zip(self.places.tasks, self.places.targets, strict=True):
            for number, target in enumerate(targets):
                try:
                    self._restore(task, number, target)
                except Exception as error:
                    problems.append(failures.sentence(error, task.source))
        if problems:
            raise UserError("\n".join(problems))

    def _restore(self, task: Task, number: int, target: Path) -> None:
        from limpid.video import restore_video
        from limpid.video.join import processed_by

        asked = self.settings
        chosen = self._chosen(task) if self.choose is not None else number
        if chosen is None:
            return
        method = self.methods[chosen]
        if target.exists() and target.samefile(task.source):
            raise UserError(f"The result of {task.source} would be written over it; give another output.")
        if target.exists() and not asked.overwrite:
            by = processed_by(target)
            if by == made_by(method, asked.strength):
                print(f"0 restored, 1 skipped that exists (overwrite=true replaces it): {shown(target)}", flush=True)
                return
            whose = f"made by another method ({by})" if by else "not by Limpid"
            raise UserError(f"{shown(target)} is there, {whose}; give another output, or overwrite=true to replace it.")
        report = restore_video(task.source, target, method, self.video, asked.strength, asked.megapixels)
        continued = f", {report.continued} of them by the run before" if report.continued else ""
        took = duration(report.seconds)
        print(f"{report.frames} frames restored{continued} in {took}: {shown(target)}", flush=True)
        for note in report.notes:
            print(printable(note), file=sys.stderr)

    def _chosen(self, task: Task) -> int | None:
        import torch

        from limpid.video.clip import Clip

        assert self.choose is not None
        with Clip(task.source, self.settings.megapixels) as clip:
            first = next(clip.pictures())
        return self.choose(task, torch.from_numpy(first.pixels.transpose(2, 0, 1))[None])
