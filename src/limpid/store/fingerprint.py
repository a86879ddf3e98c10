"""The fingerprint of a run: eight hex digits that are equal for configurations of equal effect.

A fingerprint hashes registry names and settings, never import paths: a network goes by its name in the registry, any
other object by its class. So moving a module changes no run. Only an object of a user's own package goes by its whole
path, because nothing keeps the names of classes apart there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from limpid.config.instantiate import ALLOWED

#: The name that a class of Limpid had when fingerprints first knew it, by the name it has now.
FORMER_NAMES: dict[str, str] = {}

#: The groups of a configuration that can change a result as they are; of the others only some keys do.
_GROUPS = ("network", "model", "loss", "optimizer", "lr_scheduler", "inference", "data")
#: Settings of a network that change no result: whether it may be used.
NETWORK_NEUTRAL = ("allow_nonfree",)
#: Settings of the trainer that change no result: where it computes, how processes are arranged, what it shows.
_TRAINER_NEUTRAL = (
    *("_target_", "accelerator", "devices", "num_nodes", "strategy", "sync_batchnorm", "plugins", "timeout_minutes"),
    *("logger", "log_every_n_steps", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"),
    *("num_sanity_val_steps", "detect_anomaly", "profiler", "benchmark", "default_root_dir", "inference_mode"),
)
#: Settings of the trainer that always enter, also where they are null.
_TRAINER = (
    *("precision", "max_steps", "max_epochs", "accumulate_grad_batches", "gradient_clip_val", "val_check_interval"),
)
#: Callbacks that change no result; of the one that keeps checkpoints, what chooses the best changes it.
_CALLBACKS_NEUTRAL = ("progress", "non_finite", "pictures")
_CHECKPOINT = ("monitor", "mode")
#: Of a metric protocol only these: the rest describes it.
_PROTOCOL = ("metric", "options")
#: Settings of data that change no image, at any depth: where files lie, and what describes them.
_DATA_NEUTRAL = ("root", "roots", "how_to_get", "licence", "url", "version", "expected", "rain_level")
#: Settings of the data module that enter where they are set.
_DATA_WHERE_SET = ("resized_crop", "input_noise", "resize", "unpaired")
#: Settings of the data module itself that change no result; the seed is named by the run's directory.
_LOADING = ("workers", "seed", "cache", "cache_gb")


def affecting(
    config: Mapping[str, Any], mode: str, network: str, weights: str | None = None, without: Collection[str] = ()
) -> dict[str, object]:
    """The part of a configuration that can change the result, under registry names.

    Args:
        config: plain values, as composed.
        mode: ``train``, ``test`` or ``profile``.
        network: the registry's name of the network.
        weights: the sha256 of the weights that are tested, or that a training starts from; None where there are none.
        without: references such as ``row:rfd/table4/dsc_mc_fsrcnn`` that the run starts without.
    """
    parts = {group: config.get(group) for group in _GROUPS}
    parts["data"] = _left_out(_data(config.get("data") or {}), _DATA_NEUTRAL)
    parts["loss"] = weighted_terms(config.get("loss"))
    parts["trainer"] = _trainer(config.get("trainer") or {})
    parts["callbacks"] = _callbacks(config.get("callbacks") or {})
    parts["metrics"] = {name: _metric(metric) for name, metric in scored_metrics(config).items()}
    named: dict[str, Any] = _named(parts, frozenset(without))
    settings = _without(named["network"], ("_target_", *NETWORK_NEUTRAL))
    named["network"] = {"name": network, **settings}
    return {**named, "mode": mode, "weights": weights}


def fingerprint(parts: Mapping[str, object]) -> str:
    """The eight hex digits that stand for what `affecting` gives."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def but_length(parts: Mapping[str, Any]) -> dict[str, object]:
    """What `affecting` gives, without how long the training is: equal for a run and a longer one of its kind."""
    trainer = _without(parts["trainer"], ("max_steps", "max_epochs"))
    return {**parts, "trainer": trainer}


def weighted_terms(loss: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The `loss` block without terms that are switched off, by null or by a weight of 0.

    They are not made: one may need a file, such as VGG-19's weights, that is not there.
    """
    if loss is None or not loss.get("terms"):
        return None if loss is None else dict(loss)
    terms = {name: term for name, term in loss["terms"].items() if term and term.get("weight") != 0}
    return {**loss, "terms": terms}


def scored_metrics(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `metrics` block without those that are null or that `skip_metrics` names."""
    skipped = config.get("skip_metrics") or ()
    metrics = config.get("metrics") or {}
    return {name: metric for name, metric in metrics.items() if metric is not None and name not in skipped}


def registry_name(target: str) -> str:
    """The name by which a fingerprint knows the class that the dotted path `target` leads to.

    Of Limpid and of the libraries that configurations may name it is the class's own name, behind its package where
    that is not Limpid; of any other package it is the whole path. `FORMER_NAMES` keeps the fingerprints of a class of
    Limpid that was renamed.
    """
    package, *_, name = target.split(".")
    if package == "limpid":
        return FORMER_NAMES.get(name, name)
    return f"{package}.{name}" if package in ALLOWED else target


def _data(block: Mapping[str, object]) -> dict[str, object]:
    """The settings of data that can change a result; some enter only where they are set."""
    unset = {key for key in _DATA_WHERE_SET if block.get(key) is None}
    return _without(block, {*_LOADING, *unset})


def _trainer(block: Mapping[str, object]) -> dict[str, object]:
    """The trainer's settings that can change a result; others than the usual ones enter where they are set."""
    usual = {key: block.get(key) for key in _TRAINER}
    others = _without(block, (*_TRAINER, *_TRAINER_NEUTRAL))
    return usual | {key: value for key, value in others.items() if value is not None}


def _callbacks(block: Mapping[str, Any]) -> dict[str, object]:
    """The callbacks that can change a result, a user's own among them."""
    checkpoint = block.get("checkpoint")
    kept = _without(block, (*_CALLBACKS_NEUTRAL, "checkpoint"))
    return {**kept, "checkpoint": None if checkpoint is None else _only(checkpoint, _CHECKPOINT)}


def _metric(block: Mapping[str, object]) -> dict[str, object]:
    """The settings that decide a metric's number: metric and options of a protocol, all of a user's own."""
    of_protocol = str(block.get("_target_", "limpid.")).startswith("limpid.")
    return _only(block, _PROTOCOL) if of_protocol else dict(block)


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


def _without(block: Mapping[str, object] | None, keys: Collection[str]) -> dict[str, object]:
    return {key: value for key, value in (block or {}).items() if key not in keys}


def _left_out(value: object, names: Collection[str]) -> object:
    """The plain `value` without the keys `names`, at any depth."""
    if isinstance(value, Mapping):
        return {key: _left_out(member, names) for key, member in value.items() if key not in names}
    if isinstance(value, list):
        return [_left_out(member, names) for member in value]
    return value
