"""What a person is shown: a row's paper values beside the measured ones, and tables of rows."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limpid.results import paired, table
from limpid.results.rows import find_row
from limpid.results.stdout_console import answers
from limpid.store.run_directory import Run


def show(directory: Path, skipped: bool = False) -> None:
    """Print the outcome of one run on stdout, and where its files are."""
    run = Run(directory)
    config, results = run.config() or {}, run.results() or {}
    entry = table.run_entry(run)
    facts = config["run"]
    whole = find_row(facts["row"]) if facts["row"] else None
    expected = whole.expected if whole else {}
    label = f"{whole.label} ({whole.id})" if whole else f"{facts['choices']['model']} on {facts['choices']['data']}"
    shown = {"label": label, "expected": expected, "runs": [entry], "why_not": None, "same_as": None}
    shown["printed_otherwise"] = []
    console = answers()
    if skipped:
        console.print(f"already done, nothing to do (rerun=true starts over): {run.path}", soft_wrap=True)
    _print([shown], console)
    for sentence in results.get("absent") or []:
        console.print(f"not tested: {sentence}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"pictures: {run.path / 'images'}", soft_wrap=True, highlight=False, markup=False)


def print_tables(entries: list[table.Entry]) -> None:
    """Print entries on stdout, one table for each table of a paper."""
    console = answers()
    groups: dict[str, list[table.Entry]] = {}
    for entry in entries:
        groups.setdefault(f"{entry['paper']}/{entry['table']}", []).append(entry)
    for name, members in groups.items():
        _print(members, console, title=name)


def print_differences(reference: str, others: list[tuple[str, dict[str, dict[str, paired.Difference]]]]) -> None:
    """Print on stdout how methods differ from `reference`, image by image, with the interval of the mean.

    Of several seeds a second interval is over the seeds; a difference that neither interval explains by chance is bold.
    """
    metrics = list(dict.fromkeys(metric for _, sets in others for found in sets.values() for metric in found))
    seeds = any(d.over_seeds for _, sets in others for found in sets.values() for d in found.values())
    shown = Table(
        title=f"difference to {reference}, image by image: mean, 95 % interval over images"
        + (" | over seeds" if seeds else ""),
        title_justify="left",
        header_style="bold",
    )
    for column in ("", "set", "images"):
        shown.add_column(column)
    for metric in metrics:
        shown.add_column(metric, justify="right")
    for method, sets in others:
        for i, (name, found) in enumerate(sets.items()):
            cells = [_interval(found.get(metric)) for metric in metrics]
            n = str(next(iter(found.values())).n)
            shown.add_row(escape(method) if i == 0 else "", name, n, *cells)
    answers().print(shown)


def _interval(difference: paired.Difference | None) -> str:
    if difference is None:
        return ""
    mean = f"{difference.mean:+.3f}"
    intervals = [(difference.low, difference.high), *([difference.over_seeds] if difference.over_seeds else [])]
    beside = " | ".join(f"{low:+.3f} to {high:+.3f}" for low, high in intervals)
    return f"{f'[bold]{mean}[/]' if difference.is_one else mean} [dim]({beside})[/]"


def _print(entries: list[table.Entry], console: Console, title: str | None = None) -> None:
    metrics = table.metrics_of(entries) or sorted(
        {m for e in entries for run in e["runs"] for values in run["metrics"].values() for m in values}
    )
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in ("row", "", "set"):
        shown.add_column(column)
    for metric in metrics:
        shown.add_column(metric, justify="right")
    reasons: dict[str, list[str]] = {}
    for entry in entries:
        name = escape(entry["label"]) + (f" [dim]{entry['row']}[/]" if "row" in entry else "")
        body = table.lines(entry)
        if entry["why_not"]:
            reasons.setdefault(entry["why_not"], []).append(entry["row"])
        for i, line in enumerate(body):
            style = None if line["what"] == "paper" or line.get("comparable") else "yellow"
            what = escape(line["what"]) + (" [dim](cannot run)[/]" if i == 0 and entry["why_not"] else "")
            cells = [name if i == 0 else "", what, line["set"]]
            last = i == len(body) - 1 and len(body) > 1
            shown.add_row(
                *cells, *(table.number(line["values"].get(m)) for m in metrics), style=style, end_section=last
            )
    console.print(shown)
    notes = "; ".join(f"{metric} = {', '.join(ids)}" for metric, ids in table.protocols(entries).items())
    for reason, names in reasons.items():
        console.print(f"{', '.join(names)}: {reason}", soft_wrap=True, highlight=False, markup=False, style="dim")
    for entry in entries:
        if entry["printed_otherwise"]:
            phrases = "; ".join(entry["printed_otherwise"])
            console.print(f"{entry['row']}: as printed, {phrases}", soft_wrap=True, highlight=False, markup=False)
    if notes:
        console.print(f"protocols: {notes}", soft_wrap=True, highlight=False, markup=False)
