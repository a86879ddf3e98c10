"""Rows that start from other rows' weights: which, whether they are there, and how to make them.

A configuration says where such weights go by the value ``needs:0`` (the first of `row.needs`), wherever it expects the
path of a checkpoint. A path typed in its place is used instead, and the prerequisite is then not asked for.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from limpid.errors import UserError
from limpid.store.run_directory import InUse, Run

_MARK = re.compile(r"needs:(\d+)")
#: What a prerequisite takes over from the command line of the run that needs it.
_INHERITED = (
    *("budget", "seed", "data", "trainer", "prerequisites"),
    *("logger", "log_every", "memory_format", "compile", "allow_targets"),
)
#: Seconds between two looks at a prerequisite that another process makes.
_PATIENCE = 1.0

Config = dict[str, Any]


#: What may become of prerequisites; see conf/common.yaml.
CHOICES = ("ask", "run", "none")


def marked(plain: Mapping[str, Any]) -> list[int]:
    """Which of `row.needs` the configuration asks for, in order; none where it starts without them, or only tests.

    A part whose `network` is null has no weights, and asks for none: the clear image in a teacher's place.

    Raises:
        UserError: it asks for one that its row does not name, or `prerequisites` is none of `CHOICES`.
    """
    asked = plain["prerequisites"] or "ask"
    if asked not in CHOICES:
        raise UserError(f"prerequisites={asked} is unknown; it is {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.")
    if asked == "none" or plain["does"] != "train":
        return []
    needs = (plain.get("row") or {}).get("needs") or []
    found = sorted({int(mark[1]) for mark in map(_MARK.fullmatch, _words(plain, asking=True)) if mark})
    for index in found:
        if index >= len(needs):
            raise UserError(
                f"The model {plain['choices']['model']} starts from the weights of another run, and without a row "
                "nothing says of which; give the path of a checkpoint in the place of "
                f"{_where(plain, f'needs:{index}')}."
            )
    return found


def inherited(typed: list[str], key_of: Callable[[str], str]) -> list[str]:
    """The typed overrides that also hold for a prerequisite."""
    return [override for override in typed if key_of(override).split(".")[0] in _INHERITED]


def with_own_data(typed: list[str], recipe: str | None, key_of: Callable[[str], str]) -> list[str]:
    """The typed overrides for a prerequisite that is trained on other data than the run that needs it.

    Args:
        typed: what the prerequisite inherits.
        recipe: the recipe that stands in for its own, from `stands_in`; None keeps the inherited one.
        key_of: gives the key of an override.
    """
    if recipe is None:
        return typed
    # What was typed for one of the sets belongs to the other recipe.
    kept = [word for word in typed if not key_of(word).startswith(("data.train", "data.val", "data.test."))]
    return [f"data={recipe}" if key_of(word) == "data" else word for word in kept]


def fulfilled(plain: Config, make: Callable[[Config], Any]) -> Config:
    """`plain` with the checkpoints of its prerequisites in their places, and what they are under `started_from`.

    Args:
        plain: as `prepare` makes it; `needs` holds the prerequisites' configurations by their index.
        make: performs one of them.

    Raises:
        UserError: one is missing and `prerequisites` does not say ``run``.
    """
    from limpid import checkpoint

    places, origins = {}, []
    for index, need in plain["needs"].items():
        run = Run(need["run"])
        if not (run.done and run.chosen_checkpoint.is_file()):
            if plain["prerequisites"] != "run":
                raise UserError(_missing(plain, need))
            _made(need, make)
        file = run.chosen_checkpoint
        weights = checkpoint.weights_fingerprint(checkpoint.weights(checkpoint.read(file)))
        places[f"needs:{index}"] = str(file)
        origin = {"row": _place(need), "budget": need["budget"]["name"], "seed": need["seed"]}
        origins.append({**origin, "weights": weights})
    # What is not asked for has no checkpoint.
    missing = {word: None for word in _words(plain) if _MARK.fullmatch(word) and word not in places}
    settled = {key: _replaced(value, {**missing, **places}) for key, value in plain.items() if key != "needs"}
    return {**settled, "started_from": origins}


def _made(need: Config, make: Callable[[Config], Any]) -> None:
    """Make a prerequisite, or wait until another process has."""
    waiting = False
    while True:
        try:
            make(need)
        except InUse:
            if not waiting:
                print(f"waiting for {_place(need)}, which another process makes", file=sys.stderr)
            waiting = True
            time.sleep(_PATIENCE)
        else:
            return


def _missing(plain: Config, need: Config) -> str:
    command = " ".join(["limpid train", *(word for word in need["typed"] if not word.startswith("prerequisites="))])
    return (
        f"Row {_place(plain)} starts from the weights of row {_place(need)}, which are not there (looked in "
        f"{need['run']}); make them with `{command}`, or add prerequisites=run and they are made first."
    )


def _place(plain: Mapping[str, Any]) -> str:
    row = plain["row"]
    return f"{row['paper']}/{row['table']}/{row['name']}"


def _words(value: Any, asking: bool = False) -> list[str]:
    """Every string anywhere in nested dicts and lists; with `asking`, not in dicts whose `network` is None."""
    if isinstance(value, Mapping):
        if asking and "network" in value and value["network"] is None:
            return []
        return [word for key, member in value.items() if key != "row" for word in _words(member, asking)]
    if isinstance(value, list | tuple):
        return [word for member in value for word in _words(member, asking)]
    return [value] if isinstance(value, str) else []


def _where(value: Mapping[str, Any], word: str) -> str:
    """The dotted key at which `word` stands."""
    for key, member in value.items():
        if member == word:
            return str(key)
        if isinstance(member, Mapping) and (below := _where(member, word)):
            return f"{key}.{below}"
    return ""


def _replaced(value: Any, places: Mapping[str, str | None]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replaced(member, places) for key, member in value.items()}
    if isinstance(value, list):
        return [_replaced(member, places) for member in value]
    return places.get(value, value) if isinstance(value, str) else value
