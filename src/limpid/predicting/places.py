"""One photograph as it is read: what stands in its results' places, and its pixels where there is work to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from limpid.errors import UserError
from limpid.predicting.layout import Layout, Task
from limpid.predicting.manifest import Manifest, Source, State

if TYPE_CHECKING:
    from limpid.data.photo_io import Photograph, Pixels


@dataclass(frozen=True)
class Place:
    """Where one result goes.

    Attributes:
        path: of the result.
        methods: the numbers of the methods that may make it: one, or several of which the photograph decides.
        state: what stands there.
    """

    path: Path
    methods: tuple[int, ...]
    state: State

    @property
    def is_kept(self) -> bool:
        """Whether what stands there is not this command's, and stays unless it is asked otherwise."""
        return self.state in (State.OTHER, State.FOREIGN)


@dataclass(frozen=True)
class Loaded:
    """One photograph.

    Attributes:
        photograph: None where there is nothing to do.
        source: the file as it was when it was read.
        places: of its results, in the methods' order.
        to_do: those that are to be written.
        results: what stands in the other places, where it is to be compared.
    """

    photograph: Photograph | None
    source: Source | None
    places: tuple[Place, ...]
    to_do: tuple[Place, ...]
    results: dict[Path, Pixels] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """Reads photographs.

    Attributes:
        layout: where results go.
        manifest: what is done.
        made_by: what each method writes into its results.
        choosing: whether each photograph decides which of the methods it gets.
        overwrite: whether results that exist are written anew.
        compare: whether the photograph and its results are needed even where there is nothing to do.
        megapixels: larger photographs are refused.
    """

    layout: Layout
    manifest: Manifest
    made_by: Sequence[str]
    choosing: bool
    overwrite: bool
    compare: bool
    megapixels: float

    def places(self, task: Task) -> tuple[Place, ...]:
        """The places of a photograph's results."""
        numbers = range(len(self.made_by))
        if self.choosing:
            path = self.layout.result(task, 0)
            states = [self.manifest.state(path, self.made_by[number], task.source) for number in numbers]
            state = next((one for one in states if one is not State.OTHER), State.OTHER)
            return (Place(path, tuple(numbers), state),)
        paths = [self.layout.result(task, number) for number in numbers]
        return tuple(
            Place(path, (number,), self.manifest.state(path, self.made_by[number], task.source))
            for number, path in enumerate(paths)
        )

    def read(self, task: Task) -> Loaded:
        """The photograph of a task.

        Raises:
            UserError: it cannot be read, or its result would be larger than its format can hold.
            Exception: whatever else reading raises.
        """
        from limpid.data.photo_io import read_photograph, refuse_output, size_of

        places = self.places(task)
        to_do = tuple(place for place in places if self.overwrite or self._is_to_do(place))
        if not to_do and not self.compare:
            return Loaded(None, None, places, to_do)
        for place in to_do:
            width, height = size_of(task.source)
            refuse_output(place.path, width, height)
        source = Source.of(task.source)
        photograph = read_photograph(task.source, self.megapixels)
        results = {}
        for place in places if self.compare else ():
            if place not in to_do and not place.is_kept:
                results[place.path] = read_photograph(place.path, self.megapixels).pixels
        return Loaded(photograph, source, places, to_do, results)

    def _is_to_do(self, place: Place) -> bool:
        return place.state in (State.ABSENT, State.CHANGED)


def refuse_foreign(manifest: Manifest, path: Path, overwrite: bool) -> None:
    """Refuse to write a map, a comparison or a sheet over a file that is not Limpid's.

    Raises:
        UserError: there is one.
    """
    if not overwrite and path.exists() and manifest.made_by(path) is None:
        raise UserError(
            f"{path} is no file that Limpid wrote, or was changed since; give another output, or overwrite=true to "
            "replace it."
        )
