"""Paper beside measured: rows with their runs as plain entries, and as a table for people."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from limpid.results.rows import Row, measured_file, printed_otherwise
from limpid.results.rows import rows as every_row
from limpid.store.atomic_io import read_json, write_json
from limpid.store.run_directory import Run, find

Entry = dict[str, Any]


#: How deep a run's directory lies in its store.
_DEPTH = 5


def run_entry(run: Run) -> Entry:
    """What a table says of one run."""
    config, results, status = run.config() or {}, run.results() or {}, run.status()
    facts = config.get("run") or {}
    store = Path(*run.path.parts[:-_DEPTH]).as_posix() + "/"
    return {
        "status": status["status"],
        "budget": ((results.get("provenance") or {}).get("trained") or {}).get("budget") or config.get("budget"),
        "seed": config.get("seed"),
        "data": (facts.get("choices") or {}).get("data"),
        # Other runs that it started from by their place in the store, wherever that lies; not where its data lay.
        "overrides": [
            override.replace(store, "runs/")
            for override in facts.get("overrides") or []
            if not override.partition("=")[0].endswith(".root")
        ],
        "narrowed": facts.get("narrowed"),
        "comparable": bool(results.get("comparable")) and status["status"] == "done",
        "metrics": results.get("metrics") or {},
        "input": results.get("input") or {},
        "provenance": results.get("provenance") or {},
        "path": run.path.as_posix(),
    }


def entries(rows: Iterable[Row], store: Path, why_not: Callable[[Row], str | None]) -> list[Entry]:
    """Every row with the paper's values and all its runs: those of the store, and those that were kept.

    Args:
        rows: which.
        store: the run store.
        why_not: why a row cannot run here, or None if it can.
    """
    result, known = [], every_row()
    for row in rows:
        runs = [run_entry(run) for run in find(store / row.run_place)]
        present = {_identity(entry) for entry in runs}
        kept = (read_json(measured_file(row.paper)) or {}).get(row.run_place, [])
        reason = why_not(row)
        result.append(
            {
                "paper": row.paper,
                "table": row.table,
                "row": row.name,
                "label": row.label,
                "kind": row.kind,
                "does": row.does,
                "model": row.model,
                "same_as": row.same_as,
                "runnable": reason is None,
                "why_not": reason,
                "expected": row.expected,
                "printed_otherwise": printed_otherwise(row, known),
                "runs": runs + [entry for entry in kept if _identity(entry) not in present],
            }
        )
    return result


def keep(entries: Iterable[Entry]) -> list[Path]:
    """Copy the figures of finished runs into each paper's measured.json; the files that were written.

    Smoke runs are left out: they say nothing about how well a row does.
    """
    papers: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        done = [_placed(run) for run in entry["runs"] if run["status"] == "done" and run["budget"] != "smoke"]
        if done:
            place = entry["same_as"] or f"{entry['paper']}/{entry['table']}/{entry['row']}"
            papers.setdefault(place.split("/")[0], {})[place] = done
    files = []
    for paper, places in papers.items():
        file = measured_file(paper)
        write_json(file, dict(sorted({**(read_json(file) or {}), **places}.items())))
        files.append(file)
    return files


def _placed(run: Entry) -> Entry:
    """`run` with its place in a store, and not where that store lies on one machine."""
    return {**run, "path": Path("runs", *Path(run["path"]).parts[-_DEPTH:]).as_posix()}


def lines(entry: Entry) -> list[dict[str, Any]]:
    """The lines of one row in a table: the paper's, one per set, then one per group of runs and set.

    Runs that differ only in their seed form one group: mean, and deviation over the seeds. A row of which nothing is
    known has one line that says so.
    """
    result = [{"what": "paper", "set": name, "values": dict(values)} for name, values in entry["expected"].items()]
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for run in entry["runs"]:
        groups.setdefault((run["status"], *settings_of(run)), []).append(run)
    for (status, *settings), runs in groups.items():
        what = _described(runs, status, settings)
        sets = dict.fromkeys(name for run in runs for name in run["metrics"]) or {"": None}
        for name in sets:
            if degraded := runs[0].get("input", {}).get(name):
                values = {metric: (value["mean"], None) for metric, value in degraded.items()}
                result.append({"what": "the input as it is", "set": name, "values": values, "comparable": False})
            values = {}
            for metric in dict.fromkeys(m for run in runs for m in run["metrics"].get(name, {})):
                means = [run["metrics"][name][metric]["mean"] for run in runs if metric in run["metrics"].get(name, {})]
                values[metric] = (statistics.mean(means), statistics.stdev(means) if len(means) > 1 else None)
            result.append(
                {
                    "what": what,
                    "set": name,
                    "values": values,
                    "comparable": all(r["comparable"] for r in runs),
                }
            )
    return result or [{"what": "no run yet", "set": "", "values": {}}]


def metrics_of(entries: Iterable[Entry]) -> list[str]:
    """The metrics that a table's columns show: what the paper prints."""
    return list(dict.fromkeys(m for entry in entries for values in entry["expected"].values() for m in values))


def protocols(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Under which protocols each metric was measured."""
    found: dict[str, dict[str, None]] = {}
    for entry in entries:
        for run in entry["runs"]:
            for values in run["metrics"].values():
                for metric, value in values.items():
                    found.setdefault(metric, {})[value["protocol"]] = None
    return {metric: list(ids) for metric, ids in found.items()}


def markdown(entries: list[Entry]) -> str:
    """The table in Markdown."""
    metrics = metrics_of(entries)
    out = [f"| row | | set | {' | '.join(metrics)} |", "|---" * (3 + len(metrics)) + "|"]
    for entry in entries:
        for i, line in enumerate(lines(entry)):
            cells = [entry["label"] if i == 0 else "", line["what"], line["set"]]
            out.append("| " + " | ".join([*cells, *(number(line["values"].get(m)) for m in metrics)]) + " |")
        if entry["why_not"]:
            out.append(f"| | cannot run: {entry['why_not']} |" + " |" * (1 + len(metrics)))
        if entry["printed_otherwise"]:
            out.append(f"| | as printed, {'; '.join(entry['printed_otherwise'])} |" + " |" * (1 + len(metrics)))
    notes = [f"{metric}: {', '.join(ids)}" for metric, ids in protocols(entries).items()]
    return "\n".join([*out, *(["", "Protocols: " + "; ".join(notes)] if notes else [])])


def number(value: Any) -> str:
    """A figure as tables print it: four significant digits, a deviation over seeds behind it."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        mean, deviation = value
        return f"{mean:.4g}" + ("" if deviation is None else f" ± {deviation:.2g}")
    return f"{value:g}"


def settings_of(run: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells groups of runs apart: budget, overrides, a narrower network, weights trained on other data."""
    trained_on = (run["provenance"].get("trained") or {}).get("data", run["data"])
    elsewhere = [] if trained_on == run["data"] else [f"trained on {trained_on}"]
    # Each run from the same row's run of its own seed: that is one setting.
    own = re.compile(rf"/seed-{run['seed']}(?=[-/])")
    overrides = sorted(own.sub("/seed-*", override) for override in run["overrides"])
    narrowed = (f"{k}={v}" for k, v in (run["narrowed"] or {}).items())
    return (str(run["budget"]), *overrides, *narrowed, *elsewhere)


def _described(runs: list[Entry], status: str, settings: list[str]) -> str:
    seeds = ", ".join(str(run["seed"]) for run in runs)
    mark = "" if all(run["comparable"] for run in runs) else ", not comparable"
    state = "" if status == "done" else f", {status}"
    settings = [f"budget {settings[0]}", *settings[1:]]
    return f"{', '.join(settings)}, seed{'s' if len(runs) > 1 else ''} {seeds}{state}{mark}"


def _identity(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*settings_of(entry), entry["seed"])
