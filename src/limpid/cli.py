"""The command line `limpid`: finds the command, quotes paths, maps errors to exit status. Imports nothing heavy.

Exit status: 0 done; 2 the user's mistake, one sentence on stderr; 1 a failure of Limpid's own.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limpid import __version__
from limpid.errors import ResultWarning, UserError, nearest, printable, shortened
from limpid.surroundings import give_home, sentence_of_system, why_no_current_folder

#: Commands composed by Hydra, and the plain ones; each is a module of `limpid.commands` with a `run(arguments) -> int`.
COMPOSED = {
    "train": "do what a row does (train and test, or test), store the run, print paper beside measured",
    "test": "evaluate a checkpoint or a prior, or score folders of images",
    "predict": "restore photographs: a file, a folder, a pattern",
    "profile": "what a network costs: parameters, size, GFLOPs, time, memory",
    "export": "write a network for other programs: ONNX, torch.export, safetensors",
}
PLAIN = {
    "data": "list, check, make and fetch data sets",
    "demo": "photographs restored by two priors, and one picture to look at",
    "figure": "draw a figure of a paper from what is measured here",
    "serve": "a web page to try restoration on one's own photographs",
    "report": "every table, run, curve and picture as pages to open in a browser",
    "table": "rows: paper, measured, and whether they can run",
    "zoo": "trained weights: list, show, check, add, import, measure",
}
COMMANDS = {**COMPOSED, **PLAIN}
#: Parts of plain commands that hand words to a run that is composed.
_COMPOSING = (["zoo", "measure"],)

#: Commands that put image after image through a network.
_RESTORING = ("predict", "test", "serve", "demo")

#: Keys whose values are paths: quoted before Hydra's grammar sees them, so that any file name works.
_PATHS = ("input", "output", "ckpt", "images", "reference", "data.root", "data.cache")

_HELP = f"""Limpid {__version__}: image-restoration experiments; every row of every table is one override.

usage: limpid COMMAND [OVERRIDE ...]

{{commands}}

examples:
  limpid train +rfd/table5=student data=scenes budget=mini   one row, on made scenes, in minutes
  limpid train -m '+rfd/table5=glob(*)' budget=smoke          every row of a table, two steps each
  limpid table rfd/table5                                     paper beside measured

limpid COMMAND --help tells more. Tab completion: eval "$(limpid -sc install=bash)"."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its status."""
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in _RESTORING:
        from limpid.commands.keeping_memory import keep_memory

        keep_memory()
    warnings.formatwarning = _as_sentence(warnings.formatwarning)
    sys.exit(status(words))


def _as_sentence(usual: Callable[..., str]) -> Callable[..., str]:
    """A format for warnings that gives Limpid's own as the sentences that they are, and others as `usual`."""

    def text(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> str:
        return (
            f"{printable(str(message))}\n"
            if issubclass(category, ResultWarning)
            else usual(message, category, *place, **more)
        )

    return text


def status(arguments: list[str]) -> int:
    """The exit status of the command, once it has run."""
    try:
        give_home()
        run, words = _command(arguments)
        exit_status = run(words)
        sys.stdout.flush()
        return exit_status
    except BrokenPipeError:  # who read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UserError as error:
        print(printable(_sentence(str(error))), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted; the same command continues where it was.", file=sys.stderr)
        return 130
    except Exception as error:
        from limpid.config.messages import sentence

        message = sentence_of_system(error) or sentence(error)
        if message is None:
            raise
        print(printable(_sentence(message)), file=sys.stderr)
        return 2


def quoted(argument: str, sweep: bool = False) -> str:
    """The word `argument` with a path's value in quotes that Hydra's grammar takes literally, `~` expanded.

    Args:
        argument: as typed.
        sweep: whether commas separate the values of several jobs, as ``-m`` has it for every key.
    """
    key, separator, value = argument.partition("=")
    is_path = key.lstrip("+") in _PATHS or key.endswith(".ckpt")
    if not separator or not is_path or value in ("", "null") or value.startswith(("zoo:", "row:")):
        return argument
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return argument  # quoted by hand
    if sweep and re.match(r"(choice|sort|shuffle)\(", value):
        return argument  # a sweep in Hydra's own words
    if sweep and "," in value:
        return f"{key}=" + ",".join(quoted(f"{key}={one}").partition("=")[2] for one in value.split(","))
    path = str(Path(value).expanduser()) if value.startswith("~") else value
    path = path.replace("${", r"\${")  # not an interpolation
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), path)
    return f"{key}='{escaped}'"


def _command(arguments: list[str]) -> tuple[Callable[[list[str]], int], list[str]]:
    """What does the command, and the words it is given.

    Raises:
        UserError: there is no such command.
    """
    if "-sc" in arguments or "--shell-completion" in arguments:
        return _complete, arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        return _help, arguments
    if arguments[0] in ("-V", "--version", "version"):
        return _version, arguments
    command, *words = arguments
    removed = why_no_current_folder()
    if removed is not None:
        raise UserError(removed)
    if command not in COMMANDS:
        raise UserError(f"There is no command {command!r}{nearest(command, COMMANDS) or '; limpid --help lists them.'}")
    module = importlib.import_module(f"limpid.commands.{command}")
    if command not in COMPOSED and [command, *words[:1]] not in _COMPOSING:
        return module.run, words
    sweep = "-m" in words or "--multirun" in words
    return module.run, [quoted(word, sweep) for word in words]


def _help(arguments: list[str]) -> int:
    width = max(map(len, COMMANDS))
    print(_HELP.format(commands="\n".join(f"  {command:<{width}}  {text}" for command, text in COMMANDS.items())))
    return 0


def _version(arguments: list[str]) -> int:
    print(f"limpid {__version__}")
    return 0


def _complete(arguments: list[str]) -> int:
    """The exit status of a tab completion: Hydra completes the overrides of a command, this the command itself."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    if any("query" in a for a in arguments) and (len(words) < 2 or (len(words) == 2 and not line.endswith(" "))):
        begun = words[1] if len(words) == 2 else ""
        print(" ".join(command for command in COMMANDS if command.startswith(begun)))
        return 0
    command = words[1] if len(words) > 1 and words[1] in COMPOSED else "train"
    if len(words) > 1 and words[1] in COMMANDS:
        # Hydra counts the words of a line that has no command.
        shortened = line.replace(f" {words[1]}", "", 1)
        os.environ["COMP_LINE"] = shortened
        os.environ["COMP_POINT"] = str(len(shortened))
    from limpid.config.compose import launch

    launch(command, [a for a in arguments if a not in COMMANDS], lambda config: None)
    return 0


def _sentence(message: str) -> str:
    """The sentence, without the traceback of a data-loading process, and of a word without end its beginning."""
    if message.startswith("Caught "):
        message = message.strip().splitlines()[-1].split(": ", 1)[-1]
    return re.sub(r"\S{500,}", lambda word: shortened(word[0]), message)
