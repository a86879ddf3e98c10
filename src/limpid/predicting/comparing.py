"""Photographs beside their results: one picture for each, and sheets of many."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import limpid
from limpid.data.photo_io import Pixels
from limpid.predicting.layout import Layout, Task
from limpid.predicting.manifest import Manifest
from limpid.predicting.names import shown
from limpid.predicting.places import refuse_foreign
from limpid.predicting.settings import Settings
from limpid.results.contact_sheet import ContactSheet, comparison, picture_of, write_jpeg

#: What comparisons and sheets say that they were made by.
MADE_BY = f"Limpid {limpid.__version__}, comparison"


class Columns:
    """The pictures of one photograph with a word for each, of 8 bits so that they need little memory."""

    def __init__(self, photograph: Pixels) -> None:
        self.pictures: list[Image.Image] = [picture_of(photograph)]
        self.labels = ["input"]

    def add(self, label: str, result: Pixels) -> None:
        """Add a result `(H, W, 3)` in [0, 1] under its method's name."""
        self.pictures.append(picture_of(result))
        self.labels.append(label)


class Comparisons:
    """The comparisons of a command.

    Args:
        layout: where they go.
        manifest: notes what was written.
        settings: their sizes, and whether they take the place of other files.
    """

    def __init__(self, layout: Layout, manifest: Manifest, settings: Settings) -> None:
        self.layout, self.manifest, self.settings = layout, manifest, settings
        self.sheets: list[Path] = []
        self._sheet = ContactSheet(settings.sheet_width)

    def write(self, task: Task, columns: Columns) -> None:
        """Write the comparison of one photograph, and put it onto the sheet.

        Raises:
            UserError: a file that is not Limpid's stands there.
            OSError: it cannot be written.
        """
        self._sheet.add(shown(task.relative), columns.pictures, columns.labels)
        self._write(self.layout.comparison(task), comparison(columns.pictures, columns.labels))
        if len(self._sheet) >= self.settings.sheet_photographs:
            self.write_sheet()

    def write_sheet(self) -> None:
        """Write the sheet of what has come since the last one, if anything has.

        Raises:
            UserError: a file that is not Limpid's stands there.
            OSError: it cannot be written.
        """
        if not len(self._sheet):
            return
        sheet, self._sheet = self._sheet, ContactSheet(self.settings.sheet_width)
        path = self.layout.sheet(len(self.sheets) + 1)
        refuse_foreign(self.manifest, path, self.settings.overwrite)
        sheet.write(path, MADE_BY)
        self.manifest.add(path, MADE_BY)
        self.sheets.append(path)

    def _write(self, path: Path, picture: Image.Image) -> None:
        refuse_foreign(self.manifest, path, self.settings.overwrite)
        write_jpeg(path, picture, processed_by=MADE_BY)
        self.manifest.add(path, MADE_BY)
