"""imagecodecs, which reads and writes what Pillow and OpenCV do not."""

from __future__ import annotations

from typing import Any

from limpid.errors import CannotRun


def codecs() -> Any:
    """The module imagecodecs.

    Raises:
        CannotRun: it is not installed.
    """
    try:
        import imagecodecs  # it takes a moment to import, and few files need it
    except ImportError as error:
        raise CannotRun(
            "This kind of file needs imagecodecs, which is not installed here; install it with pip install imagecodecs."
        ) from error
    return imagecodecs
