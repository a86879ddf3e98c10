"""What the files of a run must look like inside, so that one that was damaged is told from one that is read.

They are no settings, which `limpid.config.kinds` checks: a run of another version may have names that are not known
here, and null wherever it had nothing to say, and both are right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from limpid.errors import Damaged
from limpid.paths import IS_NOT_THERE, UNREACHABLE, why_no_file

#: A file of a run with more bytes than this is none that Limpid wrote.
_LARGEST = 64 * 2**20


@dataclass(frozen=True)
class ByName:
    """A dict by text, each of whose values has one form."""

    form: Any


@dataclass(frozen=True)
class Needed:
    """What may be neither missing nor null; everything else may."""

    form: Any


_NUMBER = (int, float)
_SUMMARY = ByName(ByName(Needed({"mean": _NUMBER, "n": Needed(int), "protocol": Needed(str)})))
STATUS = {
    "status": Needed(str),
    **dict.fromkeys(("started", "resumed", "ended", "message", "host"), str),
    **dict.fromkeys(("step", "steps", "pid"), int),
    "time": _NUMBER,
}
_ORIGIN = {"budget": str, "seed": int, "data": str, "row": str, "step": int}
METRICS = {
    **dict.fromkeys(("metrics", "input"), _SUMMARY),
    **dict.fromkeys(("comparable", "trained_as_printed"), bool),
    "not_comparable": [str],
    "comparable_sets": [str],
    "absent": [str],
    "complete": ByName(bool),
    "provenance": {"trained": _ORIGIN, "weights": str, "zoo": str},
}
_FACTS = {
    **dict.fromkeys(("row", "mode", "fingerprint", "fingerprint_but_length"), str),
    "changes": [str],
    "overrides": [str],
    "choices": ByName(str),
    "narrowed": ByName(object),
    "own": ByName(str),
}
CONFIG = {
    "budget": str,
    "seed": int,
    "command": str,
    "run": _FACTS,
    "metrics": ByName(ByName(object)),
    "data": {"test": ByName(ByName(object)), "train": ByName(object)},
}
ENVIRONMENT = ByName(object)
#: A record in a measured.json; see `limpid.results.run_record.plain`.
KEPT = {
    **dict.fromkeys(("path", "budget", "status"), Needed(str)),
    **dict.fromkeys(("row", "mode", "model", "data", "fingerprint"), str),
    "seed": int,
    "overrides": Needed([str]),
    "narrowed": ByName(object),
    "comparable": Needed(bool),
    "comparable_sets": [str],
    **dict.fromkeys(("metrics", "input"), _SUMMARY),
    "provenance": {"trained": _ORIGIN, "fingerprint": str},
}


def read_json_file(file: Path, form: object) -> Any:
    """The value in a JSON file, or None where there is no such file.

    Raises:
        Damaged: it cannot be read, is no JSON, or has not that form.
    """
    return _read(file, json.loads, form)


def read_yaml_file(file: Path, form: object) -> Any:
    """The value in a YAML file, or None where there is no such file; raises as `read_json_file`."""
    return _read(file, yaml.safe_load, form)


def damaged(file: Path, reason: str) -> Damaged:
    """The error that says why a file of a run cannot be used."""
    mend = "restore it, or add rerun=true to do the run over"
    if reason.startswith(UNREACHABLE):
        mend = "mend the links or the permissions of the folders that it lies in, or give another"
    return Damaged(f"The file {file} {reason}; {mend}.", f"its {file.name} {reason}")


def _read(file: Path, parse: Callable[[str], Any], form: object) -> Any:
    why = why_no_file(file)
    if why == IS_NOT_THERE:
        return None
    if why is not None:
        raise damaged(file, why)
    try:
        if file.stat().st_size > _LARGEST:
            raise damaged(file, "is larger than Limpid writes it")
        value = parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise damaged(file, f"cannot be read ({error.strerror})") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise damaged(file, "is cut short or damaged") from error
    if value is None:
        raise damaged(file, "is empty")
    reason = misfit(value, form)
    if reason is not None:
        raise damaged(file, f"is damaged ({reason})")
    return value


def misfit(value: object, form: object, where: str = "its content") -> str | None:
    """What in `value` has not its form, in a few words; None where all has."""
    if isinstance(form, Needed):
        return f"{where} is missing" if value is None else misfit(value, form.form, where)
    if value is None:
        return None
    if isinstance(form, ByName | dict):
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            return f"{where} is not values by name"
        forms = dict.fromkeys(value, form.form) if isinstance(form, ByName) else form
        found = (misfit(value.get(key), inner, key) for key, inner in forms.items())
        return next(filter(None, found), None)
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{where} is no list"
        return next(filter(None, (misfit(member, Needed(form[0]), where) for member in value)), None)
    kinds = form if isinstance(form, tuple) else (form,)
    right = object in kinds or type(value) in kinds
    return None if right else f"{where} is {str(value)[:40]!r}"
