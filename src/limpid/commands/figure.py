"""`limpid figure`: a figure of a paper, drawn from what is measured here."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import yaml

from limpid.errors import UserError, nearest
from limpid.figures import FIGURES

HELP = """limpid figure PAPER/NAME [KEY=VALUE ...]

Draws a figure of a paper anew, with its numbers beside it. `limpid figure PAPER/NAME --help` lists what it takes.

{figures}

  limpid figure wmcp/patch_size images=nyu_depth
  limpid figure fdr/correlation ckpt=runs/fdr/table2/ours/mini/seed-0/checkpoints/best.ckpt"""


def run(arguments: list[str]) -> int:
    """Draw what is asked for and print its files; the exit status."""
    names = [argument for argument in arguments if not argument.startswith("-")]
    if not names:
        width = max(map(len, FIGURES))
        print(HELP.format(figures="\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in FIGURES.items())))
        return 0
    name, *settings = names
    if name not in FIGURES:
        raise UserError(f"There is no figure {name!r}{nearest(name, FIGURES) or '; there is ' + ', '.join(FIGURES)}.")
    module = importlib.import_module(FIGURES[name][0])
    if "--help" in arguments or "-h" in arguments:
        print(f"{module.__doc__}\n" + "\n".join(f"{key}={_shown(value)}" for key, value in module.SETTINGS.items()))
        return 0
    for path in module.draw(_asked(name, module.SETTINGS, settings)):
        print(path)
    return 0


def _asked(name: str, defaults: Mapping[str, Any], arguments: list[str]) -> dict[str, Any]:
    """The settings of the figure `name`: its `defaults`, and what `arguments` say otherwise, each ``key=value``.

    Raises:
        UserError: there is no such setting, or its value is of another kind than the default's.
    """
    settings = dict(defaults)
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in defaults:
            hint = nearest(key, defaults) or f"; it takes {', '.join(defaults)}."
            raise UserError(f"The figure {name} does not take {key!r}{hint}")
        settings[key] = _value(defaults[key], value)
        if settings[key] is None:
            raise UserError(f"{key}={value} of the figure {name} must be like {_shown(defaults[key])}.")
    return settings


def _value(default: Any, text: str) -> Any:
    """`text` as a value of the default's kind; None where it is of another."""
    if default is None or isinstance(default, str):
        return text
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    if isinstance(default, list):
        return found if isinstance(found, list) and all(_is_number(member) for member in found) else None
    if isinstance(default, int):
        return found if _is_number(found) and isinstance(found, int) else None
    return float(found) if _is_number(found) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    """A default as it would be typed."""
    if value is None:
        return ""
    return str(value).replace(" ", "")
