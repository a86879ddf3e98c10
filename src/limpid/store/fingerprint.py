"""The fingerprint of a configuration, and the directory of its run.

A fingerprint hashes registry names and settings, never import paths: a network goes by its name in the registry, any
other object by its class. So moving a module changes no run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limpid.errors import UserError
from limpid.paths import leads_out

#: The name that a class of Limpid had when fingerprints first knew it, by the name it has now.
FORMER_NAMES: dict[str, str] = {"SSIMLoss": "Dissimilarity", "TeacherEnsemble": "Specialists"}

#: The parts of a configuration that can change a result.
_AFFECTING = (
    "network",
    "model",
    "loss",
    "optimizer",
    "lr_scheduler",
    "metrics",
    "inference",
    "data",
    "trainer",
    "callbacks",
    "weights",
)
#: Of the trainer only these: devices, strategies and progress bars change no result.
_TRAINER = (
    "precision",
    "max_steps",
    "max_epochs",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "val_check_interval",
)
_CALLBACKS = ("ema",)
#: Of a metric only these: the rest describes them.
_METRIC = ("metric", "options")
#: Where files lie and how they are read does not matter, nor does the seed, which the path names.
_NEUTRAL = ("root", "homes", "obtain", "licence", "workers", "seed", "cache", "cache_gb")


def affecting(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a composed configuration that can change the result."""
    kept = {key: config.get(key) for key in _AFFECTING}
    kept["trainer"] = {key: (config.get("trainer") or {}).get(key) for key in _TRAINER}
    kept["callbacks"] = {key: (config.get("callbacks") or {}).get(key) for key in _CALLBACKS}
    metrics = config.get("metrics") or {}
    kept["metrics"] = {name: {key: card.get(key) for key in _METRIC} for name, card in metrics.items()}
    kept["data"] = _without(config.get("data"), _NEUTRAL)
    kept["does"] = config.get("does")
    named: dict[str, Any] = _named(kept)
    if "network" in config.get("choices", {}):
        settings = {key: value for key, value in (named["network"] or {}).items() if key != "_target_"}
        named["network"] = {"name": config["choices"]["network"], **settings}
    return named


def registry_name(target: str) -> str:
    """The name by which a fingerprint knows the class that the dotted path `target` leads to.

    It is the class's own name, behind its package where that is not Limpid. `FORMER_NAMES` keeps the fingerprints of
    a class that was renamed.
    """
    package, *_, name = target.split(".")
    return FORMER_NAMES.get(name, name) if package == "limpid" else f"{package}.{name}"


def _named(value: Any) -> Any:
    """`value` with every `_target_` replaced by its `registry_name`."""
    if isinstance(value, Mapping):
        return {k: registry_name(v) if k == "_target_" else _named(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_named(member) for member in value]
    return value


def fingerprint(config: Mapping[str, Any]) -> str:
    """Eight hex digits that are equal for configurations of equal effect."""
    text = json.dumps(affecting(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_path(store: Path, config: Mapping[str, Any], reference: str | None) -> Path:
    """Where the run of `config` lies in `store`.

    Args:
        store: the run store.
        config: the composed configuration, with `row`, `choices`, `budget`, `seed` and `fingerprint`.
        reference: the fingerprint of the bare row at this budget; None without a row.

    Raises:
        UserError: the names of row, budget, model or data lead out of the store.
    """
    budget, seed = config["budget"]["name"], f"seed-{config['seed']}"
    row, own = config.get("row"), config["fingerprint"]
    if not row:
        choices = config["choices"]
        place = f"free/{choices['model']}-{choices['data']}"
        return store / _inside(place) / own / _inside(budget) / seed
    place = row.get("same_as") or f"{row['paper']}/{row['table']}/{row['name']}"
    return store / _inside(place) / _inside(budget) / (seed if own == reference else f"{seed}-{own}")


def _inside(name: str) -> str:
    if leads_out(name):
        raise UserError(f"The row or budget is called {name!r}, which leads out of the run store; rename it.")
    return name


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {k: _without(v, names) for k, v in value.items() if k not in names}
    if isinstance(value, list):
        return [_without(v, names) for v in value]
    return value
