"""Photographs as people have them: 8 or 16 bit, grey, with a palette, alpha, an EXIF orientation, a colour profile.

`read_photograph` gives upright RGB pixels and remembers the rest; `write_photograph` writes restored pixels the way the
original was. The work is done in `limpid.data.photographs`.
"""

from limpid.data.photographs.formats import FORMATS, READABLE, kind_of, refuse_output, written_suffix
from limpid.data.photographs.photograph import Photograph, Pixels
from limpid.data.photographs.reading import frames, processed_by, read_photograph, size_of
from limpid.data.photographs.writing import write_photograph

__all__ = [
    "FORMATS",
    "READABLE",
    "Photograph",
    "Pixels",
    "frames",
    "kind_of",
    "processed_by",
    "read_photograph",
    "refuse_output",
    "size_of",
    "write_photograph",
    "written_suffix",
]
