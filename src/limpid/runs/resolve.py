"""From a composed configuration to plain values that a worker can perform: checked, narrowed, named."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml
from hydra import initialize
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from limpid.config import instantiate
from limpid.config.compose import plan
from limpid.errors import CannotRun, UserError, nearest
from limpid.paths import runs, shipped
from limpid.results.rows import rows
from limpid.runs import prerequisites
from limpid.store import fingerprint
from limpid.store.run_directory import Run

#: What the program itself hands to the objects of a configuration.
GIVEN = {
    "model": ("network", "network_name", "network_config"),
    "optimizer": ("params",),
    "lr_scheduler": ("optimizer",),
}


#: What a table shows in its own place, or what changes no result.
_NAMED_OTHERWISE = (
    *("budget", "seed", "rerun", "prerequisites", "ckpt", "allow_targets"),
    *("data.root", "data.workers", "data.cache", "data.cache_gb", "logger", "log_every", "pictures"),
)

#: The settings at the top of a configuration.
_TOP = {
    *(
        "network",
        "loss",
        "optimizer",
        "lr_scheduler",
        "metrics",
        "inference",
        "callbacks",
        "logger",
        "trainer",
        "data",
        "model",
        "dataset",
    ),
    *("schedule", "budget", "seed", "row", "ckpt", "rerun", "allow_targets", "log_every", "pictures", "verb"),
    *("memory_format", "compile", "prerequisites", "stands_in", "cost"),
}


def prepare(config: DictConfig) -> dict[str, Any]:
    """The plain configuration of one run.

    Raises:
        CannotRun: the row is not built.
        UserError: a target or an argument is unknown, a value is missing, or there are no weights to test.
    """
    row = config.row
    if row is not None and row.get("not_built"):
        raise CannotRun(f"Row {row.paper}/{row.table}/{row.name} ({row.label}) is not built yet: {row.not_built}")
    chosen = HydraConfig.get()
    typed = [str(override) for override in chosen.overrides.task]
    _refuse_strays(typed, config)
    return _prepared(finish(config, typed, chosen.runtime.choices), typed)


def _prepared(plain: dict[str, Any], typed: list[str]) -> dict[str, Any]:
    """`plain` checked and named, with its prerequisites; see `prepare`."""
    row = plain["row"]
    instantiate.check({k: v for k, v in plain.items() if k != "row"}, "", plain["allow_targets"], GIVEN)
    reference = None if row is None else bare_row(plain["row"], typed)
    if plain["does"] == "test":
        _settle_weights(plain, reference, typed)
    plain["fingerprint"] = fingerprint.fingerprint(plain)
    unchanged = reference is not None and plain["fingerprint"] == reference["fingerprint"]
    plain["overrides"] = [] if unchanged else _beyond_the_row(typed, plain["row"])
    plain["comparable"] = reference is not None and _is_the_papers(plain, reference)
    plain["run"] = str(fingerprint.run_path(runs(), plain, None if reference is None else reference["fingerprint"]))
    plain["typed"] = typed
    plain["needs"] = {i: _need(plain, i) for i in prerequisites.marked(plain)}
    return plain


def _need(plain: dict[str, Any], index: int) -> dict[str, Any]:
    """The configuration of a prerequisite: its row, at the budget, seed and data of the run that needs it."""
    paper, table, name = plain["row"]["needs"][index].split("/")
    row = f"+{paper}/{table}={name}"
    words = prerequisites.inherited(plain["typed"], key_of)
    stands_in = plain["stands_in"].get(plain["choices"]["data"])
    if stands_in and any(key_of(word) == "data" for word in words):
        words = prerequisites.with_own_data(words, stands_in.get(_composed([row])["choices"]["data"]), key_of)
    typed = [row, *words]
    return {**_prepared(_composed(typed), typed), "rerun": False}


def finish(config: DictConfig, typed: list[str], choices: Mapping[str, Any]) -> dict[str, Any]:
    """`config` resolved to plain values, its network as narrow as the budget makes it.

    Args:
        config: as composed.
        typed: the overrides from the command line; they win over the budget.
        choices: which option each group took.
    """
    by_hand = {key_of(override) for override in typed}
    refuse_self_allowed(config, by_hand)
    narrow = {k: v for k, v in (plan("network", _root_=config) or {}).items() if f"network.{k}" not in by_hand}
    with open_dict(config):
        config.network.update(narrow)
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    does = (plain["row"] or {}).get("does", "train") if plain["verb"] == "train" else plain["verb"]
    named = {group: name for group, name in choices.items() if not group.startswith("hydra/")}
    if "network" in by_hand:
        named["model"] = named["network"]  # a network put into another's recipe goes by its own name
    _leave_out(plain)
    return {**plain, "does": does, "choices": named, "narrowed": narrow or None}


def _leave_out(plain: dict[str, Any]) -> None:
    """Take out what is switched off, before anything is made of it: it may need a file that is not there."""
    terms = (plain["loss"] or {}).get("terms")
    if terms:
        plain["loss"]["terms"] = {name: term for name, term in terms.items() if term and term.get("weight") != 0}
    skipped = plain["budget"].get("skip_metrics") or ()
    if plain["metrics"]:
        plain["metrics"] = {name: card for name, card in plain["metrics"].items() if name not in skipped}


def bare_row(row: Mapping[str, Any], typed: list[str]) -> dict[str, Any]:
    """The row as it would be trained at the typed budget and seed with nothing else changed."""
    group = f"{row['paper']}/{row['table']}"
    kept = [f"+{group}={row['name']}", *(o for o in typed if key_of(o) in ("budget", "seed"))]
    plain = _composed(kept)
    return {**plain, "fingerprint": fingerprint.fingerprint(plain)}


def _composed(overrides: list[str]) -> dict[str, Any]:
    """The plain configuration of `limpid train` with these overrides."""
    if not GlobalHydra.instance().is_initialized():  # a sweep's job in another process
        initialize(config_path=None, version_base="1.3")
    loader = GlobalHydra.instance().config_loader()
    composed = loader.load_configuration(config_name="train", overrides=overrides, run_mode=RunMode.RUN)
    choices = dict(composed.hydra.runtime.choices)
    with open_dict(composed):
        del composed["hydra"]
    return finish(composed, overrides, choices)


def _refuse_strays(typed: list[str], config: DictConfig) -> None:
    """Refuse what a plus would silently add and nothing would read: misspelt tables, groups and settings.

    Keys below objects are checked against their signatures instead.
    """
    for override in typed:
        key = key_of(override)
        if "/" in key and key in config:
            raise UserError(
                f"There is no table or group {key!r}{nearest(key, _tables()) or '; limpid table lists them.'}"
            )
        top, *rest = key.split(".")
        if top not in _TOP and "/" not in key:
            raise UserError(f"There is no setting {key!r}{nearest(top, _TOP) or '; limpid VERB --cfg job prints all.'}")
        known = _plan_keys()
        if top in ("budget", "schedule") and rest and not known.intersection(rest) and rest != ["name"]:
            hint = nearest(rest[-1], known) or f"; there are {', '.join(sorted(known))}."
            raise UserError(f"There is no setting {key!r}{hint}")
    if isinstance(config.seed, bool) or not isinstance(config.seed, int) or config.seed < 0:
        raise UserError(f"The seed is {config.seed!r}, but it must be a whole number from 0 on.")


def _plan_keys() -> set[str]:
    """What a budget or schedule can set: all of it stands in the budget `paper`."""
    return set(yaml.safe_load((shipped("conf") / "budget" / "paper.yaml").read_text(encoding="utf-8"))) - {"name"}


def _tables() -> set[str]:
    return {f"{row.paper}/{row.table}" for row in rows()}


def _settle_weights(plain: dict[str, Any], reference: dict[str, Any] | None, typed: list[str]) -> None:
    """Settle which weights a test uses: those of `ckpt`, or those that the row's own training left; a prior has none.

    The network is then the checkpoint's, and the run is named by the weights' content.
    """
    from limpid import checkpoint

    if not plain["ckpt"] and reference is not None and reference["does"] == "train":
        own = Run(fingerprint.run_path(runs(), reference, reference["fingerprint"]))
        if not own.chosen_checkpoint.is_file():
            row, budget = reference["row"], reference["budget"]["name"]
            raise UserError(
                f"Row {row['paper']}/{row['table']}/{row['name']} has no trained weights at budget {budget} and seed "
                f"{reference['seed']} (looked in {own.path}); train it with `limpid train +{row['paper']}/"
                f"{row['table']}={row['name']} budget={budget} seed={reference['seed']}`, or give ckpt=PATH."
            )
        plain["ckpt"] = str(own.chosen_checkpoint)
    if not plain["ckpt"]:
        return
    path = Path(plain["ckpt"])
    loaded = checkpoint.read(path)
    refuse_by_hand(typed, path, loaded["network"])
    if plain["row"] and plain["choices"]["network"] != loaded["network"]:
        raise UserError(
            f"The checkpoint {path} holds the network {loaded['network']}, but the row's is "
            f"{plain['choices']['network']}; give a checkpoint of that network, or leave out the row."
        )
    network = {"_target_": registered_target(loaded["network"]), **loaded["network_config"]}
    plain.update(network=network, weights=checkpoint.fingerprint(path), trained=loaded["provenance"])
    plain["choices"] = {**plain["choices"], "network": loaded["network"]}


def refuse_self_allowed(config: DictConfig, by_hand: Collection[str]) -> None:
    """Refuse `allow_targets` from a file: a file could otherwise run any program by allowing it to itself.

    Args:
        config: as composed.
        by_hand: the keys that were typed.

    Raises:
        UserError: a file sets it.
    """
    if config.allow_targets and "allow_targets" not in by_hand:
        given = ",".join(config.allow_targets)
        raise UserError(
            f"A file in conf/ or experiments/ sets allow_targets=[{given}], which lets it run what is in there; take "
            "it out of the file, and type it if you trust that package."
        )


def refuse_by_hand(typed: list[str], path: Path, network: str) -> None:
    """Refuse what would change the `network` of the checkpoint at `path`.

    Raises:
        UserError: it or one of its settings was typed.
    """
    for key in map(key_of, typed):
        if key == "network" or key.startswith("network."):
            raise UserError(
                f"The network comes from the checkpoint {path} ({network}), so {key} cannot be set; "
                "leave it out, or leave out ckpt."
            )


def registered_target(name: str) -> str:
    """The `_target_` of the network `name`: from the registry, never from a checkpoint."""
    from limpid.config.registry import network_config

    return str(network_config(name)["_target_"])


def _is_the_papers(plain: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
    """Whether the result may stand beside the paper's: its data, its whole training, nothing else changed."""
    if plain["does"] == "train" or not plain.get("weights"):
        return plain["budget"]["name"] == "paper" and plain["fingerprint"] == reference["fingerprint"]
    parts, bare = fingerprint.affecting(plain), fingerprint.affecting(reference)
    trained = plain["trained"]
    as_printed = trained.get("budget") == "paper" and trained.get("fingerprint") == reference["fingerprint"]
    return as_printed and parts["data"] == bare["data"] and parts["metrics"] == bare["metrics"]


def key_of(override: str) -> str:
    """The key that an override such as ``+data.root=photos`` sets."""
    return override.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


def _beyond_the_row(typed: list[str], row: Mapping[str, Any] | None) -> list[str]:
    """What was typed besides the row, the budget, the seed, and what changes no result."""
    silent = {*_NAMED_OTHERWISE, *([f"{row['paper']}/{row['table']}"] if row else [])}
    return [o for o in typed if key_of(o) not in silent and not key_of(o).endswith(".root")]
