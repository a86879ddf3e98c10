"""Which files are videos, which of them can be written, and the library that does both."""

from __future__ import annotations

from pathlib import Path

from limpid.errors import CannotRun, UserError

#: What can be written, by suffix: the name FFmpeg has for the container.
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
#: The suffixes of files that are read as videos.
SUFFIXES = frozenset(CONTAINERS) | {
    *(".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2ts", ".mpeg"),
    *(".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
}
#: The container that takes every kind of sound and subtitles.
TAKES_ALL = ".mkv"


def require_av() -> None:
    """Make sure that PyAV can be imported.

    Raises:
        CannotRun: it is not installed.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        raise CannotRun("Videos need PyAV; install it with pip install 'limpid[video]'.") from error


def container_of(path: Path) -> str:
    """FFmpeg's name for the container that the suffix of `path` stands for.

    Raises:
        UserError: such files cannot be written.
    """
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise UserError(f"{path} cannot be written: a video becomes {', '.join(CONTAINERS)}; give output=NAME.mp4.")
    return container
