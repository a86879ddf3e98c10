"""Videos, each restored to a video: where they are, where their results go, and which are done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from limpid.errors import UserError
from limpid.predicting import failures
from limpid.predicting.layout import Task
from limpid.predicting.names import shown
from limpid.predicting.photographs import Found, listed
from limpid.predicting.settings import Settings

if TYPE_CHECKING:
    from limpid.methods import Method
    from limpid.predicting.choosing import Chooser
    from limpid.video import VideoSettings


def videos_in(given: str, output: str) -> list[Task]:
    """The videos that `given` names: a file, or a folder or pattern in which there are no photographs.

    An animated GIF is one where the output is a video's file; else it is a photograph.
    """
    from limpid.video import CONTAINERS, SUFFIXES

    source = Path(given)
    if source.is_file():
        is_gif = source.suffix.lower() == ".gif" and Path(output).suffix.lower() in CONTAINERS
        return [_task(source, Path(source.name))] if is_gif or source.suffix.lower() in SUFFIXES else []
    from limpid.data.photo_io import READABLE

    files = listed(given, Path(output))
    if any(file.suffix.lower() in READABLE for file in files.files):
        return []
    return [_task(file, file.relative_to(files.base)) for file in files.files if file.suffix.lower() in SUFFIXES]


def holds_videos(files: Found) -> bool:
    """Whether videos are among what was left out."""
    from limpid.video import SUFFIXES

    return not SUFFIXES.isdisjoint(files.left_out)


def _task(source: Path, relative: Path) -> Task:
    """A video, whose result is a .mkv under its whole name where its own kind is not written."""
    from limpid.video.formats import CONTAINERS, TAKES_ALL

    kept = relative.suffix.lower() in CONTAINERS
    return Task(source, relative, relative if kept else relative.with_name(relative.name + TAKES_ALL))


@dataclass
class VideoWork:
    """One command's work on videos.

    Attributes:
        videos: what is restored.
        output: a folder; for one video and one method also a file.
        methods: what restores, each into a folder of its own where there are several.
        folders: the names of these folders, none for one method.
        settings: what was asked for.
        video: how videos are written.
        choose: which of the methods each video gets, from its first frame; without it, all of them.
    """

    videos: Sequence[Task]
    output: str
    methods: Sequence[Method]
    folders: Sequence[str]
    settings: Settings
    video: VideoSettings
    choose: Chooser | None = None
    written: int = 0
    skipped: int = 0
    untouched: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self) -> str:
        """What was done, in words; one video that cannot be restored does not end the others.

        Raises:
            UserError: what was asked for besides is for photographs; or some videos could not be restored, or not to
                their ends, after all others were.
        """
        if self.settings.compare or self.settings.save or self.settings.suffix:
            raise UserError("compare, save and suffix are for photographs; leave them out for a video.")
        chosen = self.choose is not None
        for task, number in product(self.videos, range(1 if chosen else len(self.methods))):
            try:
                self._restore(task, number)
            except Exception as error:
                self.problems.append(failures.sentence(error, task.source))
        words = [f"{self.written} restored"]
        if self.skipped:
            words.append(f"{self.skipped} skipped that exist (overwrite=true replaces them)")
        if self.untouched:
            words.append(f"{self.untouched} left as they are")
        return f"{', '.join(words)}: {self.output}"

    def refuse_failures(self) -> None:
        """Raise what went wrong, if anything did."""
        if self.problems:
            raise UserError("\n".join(self.problems))

    def _restore(self, task: Task, number: int) -> None:
        from limpid.methods import made_by
        from limpid.video import restore_video
        from limpid.video.join import processed_by

        asked = self.settings
        if self.choose is not None:
            found = self._chosen(task, self.choose)
            if found is None:
                self.untouched += 1
                return
            number = found
        method, target = self.methods[number], self._target(task, number)
        wanted = made_by(method, asked.strength)
        if target.exists() and not asked.overwrite:
            by = processed_by(target)
            if by == wanted:
                self.skipped += 1
                return
            whose = f"made by another method ({by})" if by else "not written by Limpid"
            raise UserError(
                f"{shown(target)} was {whose}; give another output, or overwrite=true to replace what is there."
            )
        report = restore_video(task.source, target, method, self.video, asked.strength, asked.megapixels)
        self.written += 1
        self.notes += report.notes

    def _target(self, task: Task, number: int) -> Path:
        """Where a result goes."""
        from limpid.video import SUFFIXES

        output = Path(self.output)
        if len(self.videos) == 1 and not self.folders and output.suffix.lower() in SUFFIXES and not output.is_dir():
            return output
        return output / self.folders[number] / task.target if self.folders else output / task.target

    def _chosen(self, task: Task, choose: Chooser) -> int | None:
        import torch

        from limpid.video.clip import Clip

        with Clip(task.source, self.settings.megapixels) as clip:
            first = next(clip.pictures())
        return choose(task, torch.from_numpy(first.pixels.transpose(2, 0, 1))[None])
