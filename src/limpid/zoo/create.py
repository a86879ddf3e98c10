"""New entries of a zoo: from a run, from a checkpoint, or from weights that others published."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from limpid import checkpoint
from limpid.config.registry import build
from limpid.errors import UserError
from limpid.store.atomic_io import write_text
from limpid.store.metrics_file import MetricsFile, Summary
from limpid.store.run_directory import Run
from limpid.zoo import files, opening, renames
from limpid.zoo.card import Card, parse, sha256, text
from limpid.zoo.measured import CardScore, CardScores
from limpid.zoo.renames import RenameTable

#: What a card says where nobody said it.
UNSTATED = "not stated"
#: Decimals that it keeps of a score.
DECIMALS = 6


def add(name: str, source: Path, folder: Path, **said: object) -> Card:
    """The card of the entry `name`, which is written from what was trained here.

    Args:
        name: of the entry.
        source: a directory of the run store, whose chosen checkpoint and scores are taken; or a checkpoint, without
            scores.
        folder: the zoo it goes to.
        said: further fields of the card, which win over what the checkpoint and the run say; None leaves one to them.

    Raises:
        UserError: the run is not done or its scores are of other weights, there is no checkpoint, or a field is none.
    """
    run = Run(source) if source.is_dir() else None
    if run and not run.done:
        raise UserError(
            f"The run {source} is not finished (its status is {run.status()['status']}); let it end, or give the path "
            "of one of its checkpoints, whose card then has no scores."
        )
    file = run.chosen_checkpoint if run else source
    content = checkpoint.read(file)
    state, provenance = checkpoint.weights(content), content["provenance"]
    known = {key: provenance.get(key) for key in ("row", "budget", "seed")}
    known |= {"steps": provenance.get("step"), "trained_on": provenance.get("data") or UNSTATED}
    known |= _of_run(run, checkpoint.weights_fingerprint(state)) if run else {}
    module = checkpoint.network(content, file)
    return _write(name, folder, content["network"], content["network_config"], module, provenance, known, said)


def published(
    network: str,
    file: Path | Sequence[Path],
    name: str,
    folder: Path,
    settings: Mapping[str, object] | None = None,
    **said: object,
) -> Card:
    """The card of the entry `name`, made of weights that others published for `network`, renamed by its table.

    Args:
        network: its name in the registry.
        file: a state dict that `torch.save` wrote, a safetensors file, a MATLAB file, a .caffemodel, or the .index of a
            TensorFlow checkpoint; or the several files that a release is in, or a folder of such checkpoints. Nothing
            in them is executed.
        name: of the entry.
        folder: the zoo it goes to.
        settings: of the network, where they differ from the registry's and from those that the table tries.
        said: further fields of the card; None leaves one out.

    Raises:
        UserError: the file holds other things than tensors, or does not fit the network in every name and shape.
    """
    given = [file] if isinstance(file, Path) else list(file)
    paths = [path for source in given for path in opening.files_in(source)]
    rules = renames.table(network)
    state = opening.state_of(paths, rules)
    where, names = (" and ".join(map(str, parts)) for parts in (paths, [path.name for path in paths]))
    config, module = _fitting(network, state, rules, settings or {}, where)
    source = rules.get("source")
    known = {
        "source": f"{names} of {source}" if source else names,
        "licence": rules.get("licence"),
        "trained_on": UNSTATED,
    }
    sums = " and ".join(sha256(path) for path in paths)
    origin = {"imported": {"file": names, "sha256": sums, "source": source}}
    return _write(name, folder, network, config, module, origin, known, said)


def _fitting(
    network: str, state: Mapping[str, Tensor], rules: RenameTable, settings: Mapping[str, object], where: str
) -> tuple[dict[str, Any], nn.Module]:
    """The settings of `network` that `state` fits, and the network with it.

    Names that are ours already are taken as they are; otherwise the table is tried with each of its settings.
    """
    has_table = "rename" in rules
    others: Sequence[dict[str, Any]] = rules.get("settings", [{}])
    known = rules.get("known", {}).get(checkpoint.weights_fingerprint(state))
    others = others if known is None else [known]
    tries = [(RenameTable(), trained) for trained in ({}, *filter(None, others))]
    tries += [(rules, trained) for trained in others if has_table]
    problems = []
    for table, trained in tries:
        config = {**trained, **settings}
        module = build(network, **config)
        shapes = {key: value.shape for key, value in module.state_dict().items()}
        ours = renames.renamed(state, table, shapes)
        problem = renames.misfit(ours, shapes)
        if problem is None:
            module.load_state_dict(ours)
            return config, module.eval()
        if table is rules or not has_table:
            problems.append(problem)
    hint = "" if has_table else f" There is no table of names for {network}, so its names must be Limpid's own."
    raise UserError(f"The weights in {where} do not fit the network {network}: {problems[0]}.{hint}")


def scores(metrics: Summary, inputs: Summary) -> CardScores:
    """The scores of a run as a card has them: each a value, an n and a protocol, and beside them the input's.

    Args:
        metrics: what was measured, by set and metric.
        inputs: the same of the untouched input; where it is not finite it is left out.
    """
    found: CardScores = {}
    for dataset, measured in metrics.items():
        found[dataset] = {}
        for metric, entry in measured.items():
            if metric == "params_m":
                continue
            mean = math.nan if entry["mean"] is None else entry["mean"]
            score: CardScore = {"value": round(mean, DECIMALS), "n": entry["n"], "protocol": entry["protocol"]}
            untouched = inputs.get(dataset, {}).get(metric)
            if untouched is not None and untouched["mean"] is not None and math.isfinite(untouched["mean"]):
                score["input"] = round(untouched["mean"], DECIMALS)
            found[dataset][metric] = score
    return found


def _of_run(run: Run, fingerprint: str) -> dict[str, object]:
    """The facts that a run which is done gives for a card of its weights."""
    results = run.results() or MetricsFile()
    config = run.config() or {}
    environment = run.environment()
    train = (config.get("data") or {}).get("train") or {}
    if (results.get("provenance") or {}).get("weights") != fingerprint:
        raise UserError(
            f"The scores of the run {run.path} are of other weights than its chosen checkpoint; run it again to its "
            "end, or give the checkpoint's path in place of the run."
        )
    ended = str(run.status().get("ended") or "")[:10] or None
    licence = train.get("licence")
    return {
        "commit": environment.get("commit"),
        "data_licence": licence,
        "date": ended,
        "scores": scores(results.get("metrics") or {}, results.get("input") or {}),
    }


def _write(
    name: str,
    folder: Path,
    network: str,
    network_config: Mapping[str, object],
    module: nn.Module,
    provenance: Mapping[str, object],
    known: Mapping[str, object],
    said: Mapping[str, object],
) -> Card:
    """The card, once it and its weights are in `folder`; it is written last, so that none is without weights.

    Raises:
        UserError: a weight is no finite number.
    """
    strange = [key for key, value in module.state_dict().items() if not torch.isfinite(value).all()]
    if strange:
        raise UserError(
            f"The weights for {name} are not taken in: {strange[0]} holds values that are no finite numbers, and what "
            "such a network restores is no image."
        )
    file = folder / f"{name}.yaml"
    weights = file.with_suffix(files.SUFFIX)
    plain = {
        "name": name,
        "network": network,
        "network_config": dict(network_config),
        "sha256": "0" * 64,
        "bytes": 0,
        "parameters": sum(p.numel() for p in module.parameters()),
        **dict.fromkeys(("task", "licence", "data_licence"), UNSTATED),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **{key: value for key, value in known.items() if value is not None},
        **{key: value for key, value in said.items() if value is not None},
    }
    parse(plain, file)  # before anything is written
    files.write(weights, module.state_dict(), network, network_config, provenance)
    card = parse({**plain, "sha256": sha256(weights), "bytes": weights.stat().st_size}, file)
    write_text(file, text(card))
    return card
