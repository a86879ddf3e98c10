"""The work: every photograph through every method; one is read and one is written while the network works."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from limpid.errors import UserError
from limpid.methods import Method, blended, made_by
from limpid.predicting import failures
from limpid.predicting.comparing import Columns, Comparisons
from limpid.predicting.layout import Layout, Task
from limpid.predicting.manifest import Manifest, State, said_in_result
from limpid.predicting.maps import map_values, write_map
from limpid.predicting.overlap import Outcome, Worker, read_ahead
from limpid.predicting.places import Loaded, Place, Reader, refuse_foreign
from limpid.predicting.progress import with_progress
from limpid.predicting.settings import Settings
from limpid.predicting.summary import Summary

if TYPE_CHECKING:
    from limpid.data.photo_io import Photograph, Pixels

#: Which of the methods a photograph gets, by its name and pixels `(1, 3, H, W)`; None where none suits.
Choose = Callable[[Task, Tensor], int | None]


class Restoration:
    """One command's work.

    Args:
        layout: the photographs, and where everything goes.
        methods: what restores, in the order of the layout's.
        settings: what was asked for.
        choose: which of the methods each photograph gets; without it, all of them.
    """

    def __init__(
        self, layout: Layout, methods: Sequence[Method], settings: Settings, choose: Choose | None = None
    ) -> None:
        self.layout, self.methods, self.settings, self.choose = layout, methods, settings, choose
        self.manifest = Manifest(None if layout.to_file else layout.folder)
        self.made_by = [made_by(method, settings.strength) for method in methods]
        self.summary = Summary()
        self.comparisons = Comparisons(layout, self.manifest, settings) if settings.compare else None
        self._writer = Worker("writer")
        self._writing: tuple[Task, Outcome[None]] | None = None
        self._tried: set[Path] = set()

    def run(self) -> Summary:
        """Restore every photograph; what cannot be is told in the summary."""
        tasks, summary = self.layout.tasks, self.summary
        try:
            loads = read_ahead(tasks, self._reader().read, self._may_overlap)
            for task, loading in with_progress(loads, len(tasks)):
                try:
                    self._restore(task, loading.take())
                except failures.OutputLostError:
                    break
                except Exception as error:
                    self._fail(task, error)
                    refused = isinstance(error, UserError) and not isinstance(error.__cause__, MemoryError)
                    del error
                    if not refused:
                        gc.collect()  # what is left of a photograph that was too large
            self._finish_writing()
            self._write_last_sheet()
            summary.left = len(tasks) - len(self._tried | set(summary.failed))
        finally:
            self._writer.end()
        return summary

    def _reader(self) -> Reader:
        asked = self.settings
        return Reader(
            self.layout,
            self.manifest,
            self.made_by,
            self.choose is not None,
            asked.overwrite,
            asked.compare,
            asked.megapixels,
        )

    def _may_overlap(self, task: Task) -> bool:
        """Whether a photograph is small enough to be in memory beside another."""
        from limpid.data.photo_io import size_of

        try:
            width, height = size_of(task.source)
        except Exception:  # reading it says what is wrong
            return False
        return width * height <= self.settings.overlap * 1e6

    def _restore(self, task: Task, loaded: Loaded) -> None:
        self._count(loaded)
        photograph = loaded.photograph
        if photograph is None:
            self._tried.add(task.source)
            return
        self.summary.notes += [failures.named(note, task.source) for note in photograph.notes]
        columns = Columns(photograph.pixels) if self.comparisons else None
        x = torch.from_numpy(photograph.pixels.transpose(2, 0, 1))[None]
        loaded = replace(loaded, photograph=replace(photograph, pixels=np.empty((0, 0, 3), np.float32)))
        del photograph  # x alone holds the pixels, so that they are let go before the result is written
        places = list(loaded.places)
        while places:
            place = places.pop(0)
            if place not in loaded.to_do:
                if columns is not None and place.path in loaded.results:
                    columns.add(self._name_of(place), loaded.results.pop(place.path))
                continue
            number = place.methods[0] if self.choose is None else self.choose(task, x)
            if number is None:
                self._tried.add(task.source)
                self.summary.untouched += 1
                continue
            restored = self._restored(task, number, x)
            if not places:
                del x
            if columns is not None:
                columns.add(self.methods[number].name, restored)
            self._submit(task, partial(self._write, place, number, restored, loaded))
            del restored
        if self.comparisons is not None and columns is not None and len(columns.pictures) > 1:
            self._submit(task, partial(self.comparisons.write, task, columns))

    def _restored(self, task: Task, number: int, x: Tensor) -> Pixels:
        """The pixels `(H, W, 3)` that a method gives; maps that were asked for are written on the way."""
        method, strength = self.methods[number], self.settings.strength
        if not self.settings.save:
            return _pixels(method.restore(x, strength))
        estimate = method.network.estimate(x)  # type: ignore[operator]
        maps = {self.layout.map(task, number, what): map_values(estimate, what) for what in self.settings.save}
        self._submit(task, partial(self._write_maps, maps, self.made_by[number]))
        return _pixels(blended(x, estimate.restored, strength))

    def _count(self, loaded: Loaded) -> None:
        for place in loaded.places:
            if place in loaded.to_do:
                continue
            if place.state is State.DONE:
                self.summary.skipped += 1
            else:
                by = self.manifest.made_by(place.path) if place.path.is_file() else None
                whose = f"made by another method ({by})" if by else "not written by Limpid, or changed since"
                self.summary.kept.setdefault(whose, []).append(place.path)

    def _name_of(self, place: Place) -> str:
        """The name of the method that made what stands at a place."""
        by = self.manifest.made_by(place.path)
        return next((self.methods[number].name for number in place.methods if self.made_by[number] == by), "result")

    def _write(self, place: Place, number: int, restored: Pixels, loaded: Loaded) -> None:
        from limpid.data.photo_io import write_photograph

        like: Photograph | None = loaded.photograph
        if like is None:
            raise UserError(f"{place.path} has no photograph to be written like.")
        said = said_in_result(self.made_by[number], loaded.source)
        self.summary.notes += write_photograph(place.path, restored, like, self.settings.quality, said)
        self.manifest.add(place.path, self.made_by[number], loaded.source)
        self.summary.written += 1
        self.summary.again += place.state is State.CHANGED and not self.settings.overwrite

    def _write_maps(self, maps: dict[Path, Tensor], made_by: str) -> None:
        for path, values in maps.items():
            refuse_foreign(self.manifest, path, self.settings.overwrite)
            write_map(path, values, made_by)
            self.manifest.add(path, made_by)

    def _submit(self, task: Task, job: Callable[[], None]) -> None:
        """Have `job` done by the writer once what it is writing has ended; a large photograph's at once."""
        self._finish_writing()
        if self.summary.stopped is not None:
            raise failures.OutputLostError(self.summary.stopped)
        self._tried.add(task.source)
        self._writing = task, self._writer.submit(job)
        if not self._may_overlap(task):
            del job
            self._finish_writing()

    def _finish_writing(self) -> None:
        """Wait for the writer, and note what went wrong with the photograph it wrote."""
        if self._writing is None:
            return
        (task, outcome), self._writing = self._writing, None
        try:
            outcome.take()
        except Exception as error:
            self._fail(task, error)
            self.summary.stopped = self.summary.stopped or failures.ends_all(error)

    def _fail(self, task: Task, error: Exception) -> None:
        self.summary.failed.setdefault(task.source, failures.sentence(error, task.source))

    def _write_last_sheet(self) -> None:
        if self.comparisons is None or self.summary.stopped is not None:
            return
        try:
            self.comparisons.write_sheet()
        except (UserError, OSError) as error:
            self.summary.problems.append(f"The sheet of comparisons could not be written: {error}")


def _pixels(restored: Tensor) -> Pixels:
    pixels: Pixels = restored[0].permute(1, 2, 0).numpy()
    return pixels
