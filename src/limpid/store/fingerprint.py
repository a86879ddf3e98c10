"""The fingerprint of a run: eight hex digits that are equal for configurations of equal effect.

A fingerprint hashes registry names and settings, never import paths: a network goes by its name in the registry, any
other object by its class. So moving a module changes no run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

#: The name that a class of Limpid had when fingerprints first knew it, by the name it has now.
FORMER_NAMES: dict[str, str] = {}

#: The groups of a configuration that can change a result as they are; of the others only some keys do.
_GROUPS = ("network", "model", "loss", "optimizer", "lr_scheduler", "inference", "data")
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
_NEUTRAL = ("root", "roots", "how_to_get", "licence", "workers", "seed", "cache", "cache_gb")


def affecting(
    config: Mapping[str, Any], mode: str, network: str, weights: str | None = None, without: Collection[str] = ()
) -> dict[str, object]:
    """The part of a configuration that can change the result, under registry names.

    Args:
        config: plain values, as composed.
        mode: ``train``, ``test`` or ``profile``.
        network: the registry's name of the network.
        weights: the sha256 of the weights that are tested; None where they are trained, or where nothing learns.
        without: references such as ``row:rfd/table4/dsc_mc_fsrcnn`` that the run starts without.
    """
    parts = {group: config.get(group) for group in _GROUPS}
    parts["data"] = _left_out(parts["data"], _NEUTRAL)
    parts["loss"] = weighted_terms(config.get("loss"))
    parts["trainer"] = _only(config.get("trainer"), _TRAINER)
    parts["callbacks"] = _only(config.get("callbacks"), _CALLBACKS)
    metrics = scored_metrics(config)
    parts["metrics"] = {name: _only(metric, _METRIC) for name, metric in metrics.items()}
    named: dict[str, Any] = _named(parts, frozenset(without))
    settings = {key: value for key, value in (named["network"] or {}).items() if key != "_target_"}
    named["network"] = {"name": network, **settings}
    return {**named, "mode": mode, "weights": weights}


def fingerprint(parts: Mapping[str, object]) -> str:
    """The eight hex digits that stand for what `affecting` gives."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def weighted_terms(loss: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The `loss` block without terms that are switched off, by null or by a weight of 0.

    They are not made: one may need a file, such as VGG-19's weights, that is not there.
    """
    if loss is None or not loss.get("terms"):
        return None if loss is None else dict(loss)
    terms = {name: term for name, term in loss["terms"].items() if term and term.get("weight") != 0}
    return {**loss, "terms": terms}


def scored_metrics(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `metrics` block without those that `skip_metrics` names."""
    skipped = config.get("skip_metrics") or ()
    metrics = config.get("metrics") or {}
    return {name: metric for name, metric in metrics.items() if name not in skipped}


def registry_name(target: str) -> str:
    """The name by which a fingerprint knows the class that the dotted path `target` leads to.

    It is the class's own name, behind its package where that is not Limpid. `FORMER_NAMES` keeps the fingerprints of
    a class that was renamed.
    """
    package, *_, name = target.split(".")
    if package != "limpid":
        return f"{package}.{name}"
    return FORMER_NAMES.get(name, name)


def _named(value: object, without: frozenset[str]) -> Any:
    """The plain `value` with `_target_`s replaced by their `registry_name`, and null for references in `without`."""
    if isinstance(value, Mapping):
        return {
            key: registry_name(member) if key == "_target_" else _named(member, without)
            for key, member in value.items()
        }
    if isinstance(value, list):
        return [_named(member, without) for member in value]
    return None if isinstance(value, str) and value in without else value


def _only(block: Mapping[str, object] | None, keys: Collection[str]) -> dict[str, object]:
    return {key: (block or {}).get(key) for key in keys}


def _left_out(value: object, names: Collection[str]) -> object:
    """The plain `value` without the keys `names`, at any depth."""
    if isinstance(value, Mapping):
        return {key: _left_out(member, names) for key, member in value.items() if key not in names}
    if isinstance(value, list):
        return [_left_out(member, names) for member in value]
    return value
