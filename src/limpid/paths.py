"""Where things lie: the configs and experiments of a checkout or a wheel, the run store, the data root."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePath

from limpid.errors import UserError

#: What `why_no_file` says of a folder, of what does not exist, and before what the system says of a way that is barred.
IS_A_FOLDER = "is a folder"
IS_NOT_THERE = "is not there"
UNREACHABLE = "cannot be reached"

_PACKAGE = Path(__file__).resolve().parent


def shipped(kind: str) -> Path:
    """The folder `conf` or `experiments` that comes with Limpid: the checkout's if there is one, else the wheel's."""
    checkout = _PACKAGE.parents[1] / kind
    return checkout if (checkout.parent / "pyproject.toml").is_file() and checkout.is_dir() else _PACKAGE / kind


def config_folders(kind: str) -> list[Path]:
    """Every folder `kind` is looked for in, the user's own (in the current directory) first."""
    own, ours = Path.cwd() / kind, shipped(kind)
    return [own, ours] if own.is_dir() and own.resolve() != ours.resolve() else [ours]


def leads_out(path: str) -> bool:
    """Whether `path` is absolute, or leads above the folder that it begins in."""
    pure = PurePath(os.path.normpath(path))
    return pure.is_absolute() or pure.parts[:1] == (os.pardir,)


def runs() -> Path:
    """The run store: `LIMPID_RUNS`, by default `runs` in the current directory."""
    return Path(os.environ.get("LIMPID_RUNS") or "runs")


def home(variable: str) -> Path:
    """The user's home folder.

    Args:
        variable: of the environment, which names another place for what is to lie there.

    Raises:
        UserError: there is none, as for a user id without a name.
    """
    try:
        return Path.home()
    except RuntimeError as error:
        raise UserError(f"There is no home folder here; set HOME to one, or {variable} to another folder.") from error


def user_cache(variable: str) -> Path:
    """The folder of Limpid in the user's cache (`XDG_CACHE_HOME`, by default `~/.cache`); it need not exist.

    Args:
        variable: as for `home`.

    Raises:
        UserError: there is no home folder.
    """
    named = os.environ.get("XDG_CACHE_HOME")
    return (Path(named) if named else home(variable) / ".cache") / "limpid"


def why_no_file(path: Path) -> str | None:
    """The reason why `path` is no file that can be read, in a few words; None where it is one. Links are followed."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "is a link that leads nowhere" if path.is_symlink() else IS_NOT_THERE
    except NotADirectoryError:
        return IS_NOT_THERE
    except ValueError:
        return "is no name of a file"
    except OSError as error:
        return f"{UNREACHABLE} ({error.strerror})"
    if stat.S_ISDIR(mode):
        return IS_A_FOLDER
    if not stat.S_ISREG(mode):
        return "is no file but a device, a pipe or a socket"
    return None if os.access(path, os.R_OK) else "may not be read (Permission denied)"
