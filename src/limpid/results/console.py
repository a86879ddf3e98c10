"""What a person is shown: a row's paper values beside the measured ones, and tables of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limpid.consoles import answers
from limpid.results.frame import PAPER
from limpid.results.lines import Line, describe, figure_text, metrics_of, protocols
from limpid.results.paired import Comparison, Difference
from limpid.results.rows import known_row
from limpid.results.run_record import MEASURED, read_details, read_record
from limpid.results.table import TableRow, built, single_run
from limpid.store.run_directory import Run


@dataclass(frozen=True)
class _Block:
    """The lines that stand under one name, and what is said below the table of them."""

    label: str
    lines: Sequence[Line]
    name: str = ""
    why_not: str | None = None
    conflicts: Sequence[str] = field(default_factory=list)


def show(run: Run, skipped: bool = False) -> None:
    """Print on stdout what one run measured beside what the paper prints, and where its files are.

    Args:
        run: a finished run.
        skipped: whether it had been finished before.
    """
    record = read_record(run)
    row = known_row(record.row)
    label = f"{row.label} ({row.id})" if row else f"{record.model} on {record.data}"
    console = answers()
    if skipped:
        console.print(f"already done, nothing to do (rerun=true starts over): {run.path}", soft_wrap=True)
    _print([_Block(label, single_run(row, record))], console)
    for sentence in read_details(run).absent:
        console.print(f"not tested: {sentence}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"pictures: {run.path / 'images'}", soft_wrap=True, highlight=False, markup=False)


def print_tables(rows: Sequence[TableRow]) -> None:
    """Print rows on stdout, one table for each table of a paper; below several, how many of their rows can run."""
    console = answers()
    tables: dict[str, list[_Block]] = {}
    for one in rows:
        block = _Block(one.row.label, one.lines, one.row.name, one.why_not, one.conflicts)
        tables.setdefault(f"{one.row.paper}/{one.row.table}", []).append(block)
    for name, blocks in tables.items():
        _print(blocks, console, title=name)
    if len(tables) > 1:
        console.print(built(rows), soft_wrap=True, highlight=False, markup=False)


def print_comparison(comparison: Comparison) -> None:
    """Print on stdout how methods differ from the reference, image by image, with the interval of the mean.

    Of several seeds a second interval is over the seeds; a difference that neither interval explains by chance is bold.
    """
    compared = comparison.differences
    metrics = list(dict.fromkeys(one.metric for one in compared))
    title = f"difference to {comparison.reference}, image by image: mean, 95 % interval over images"
    if any(one.difference.over_seeds for one in compared):
        title += " | over seeds"
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in ("", "set", "images"):
        shown.add_column(column)
    for metric in metrics:
        shown.add_column(metric, justify="right")
    lines: dict[tuple[str, str], dict[str, Difference]] = {}
    for one in compared:
        lines.setdefault((one.method, one.set), {})[one.metric] = one.difference
    above = None
    for (method, name), differences in lines.items():
        images = str(next(iter(differences.values())).n)
        cells = [_interval(differences.get(metric)) for metric in metrics]
        shown.add_row("" if method == above else escape(method), name, images, *cells)
        above = method
    answers().print(shown)


def _interval(difference: Difference | None) -> str:
    if difference is None:
        return ""
    mean = f"{difference.mean:+.3f}"
    intervals = [(difference.low, difference.high)]
    if difference.over_seeds:
        intervals.append(difference.over_seeds)
    beside = " | ".join(f"{low:+.3f} to {high:+.3f}" for low, high in intervals)
    return f"{f'[bold]{mean}[/]' if difference.is_significant else mean} [dim]({beside})[/]"


def _print(blocks: Sequence[_Block], console: Console, title: str | None = None) -> None:
    every_line = list(chain.from_iterable(block.lines for block in blocks))
    metrics = metrics_of(every_line, PAPER) or sorted(metrics_of(every_line, MEASURED))
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in ("row", "", "set"):
        shown.add_column(column)
    for metric in metrics:
        shown.add_column(metric, justify="right")
    for block in blocks:
        _add(block, shown, metrics)
    console.print(shown)
    _print_notes(blocks, every_line, console)


def _add(block: _Block, shown: Table, metrics: Sequence[str]) -> None:
    """Add the lines of a block to a table; one that has none gets a line that says so."""
    name = escape(block.label)
    if block.name and block.name != block.label:
        name += f" [dim]{block.name}[/]"
    cannot = " [dim](cannot run)[/]" if block.why_not else ""
    if not block.lines:
        shown.add_row(name, f"no run yet{cannot}", "", *[""] * len(metrics), style="yellow")
    above: tuple[str, ...] = ()
    what = ""
    for number, line in enumerate(block.lines):
        first = number == 0
        words = describe(line)
        if line.runs:
            # A long description is not read again for every set.
            same = (line.runs, words) == (above, what)
            above, what = line.runs, words
            if same:
                words = "the same runs" if len(above) > 1 else "the same run"
        last = number == len(block.lines) - 1
        figures = [figure_text(line, metric) for metric in metrics]
        shown.add_row(
            name if first else "",
            escape(words) + (cannot if first else ""),
            line.set,
            *figures,
            style=None if line.source == PAPER or line.comparable else "yellow",
            end_section=last and not first,
        )


def _print_notes(blocks: Sequence[_Block], lines: Sequence[Line], console: Console) -> None:
    """Print what stands below a table: why rows cannot run, contradictions of the paper, protocols."""
    reasons: dict[str, list[str]] = {}
    for block in blocks:
        if block.why_not:
            reasons.setdefault(block.why_not, []).append(block.name)
    for reason, names in reasons.items():
        console.print(f"{', '.join(names)}: {reason}", soft_wrap=True, highlight=False, markup=False, style="dim")
    for block in blocks:
        if block.conflicts:
            phrases = "; ".join(block.conflicts)
            console.print(f"{block.name}: as printed, {phrases}", soft_wrap=True, highlight=False, markup=False)
    notes = "; ".join(f"{metric} = {', '.join(ids)}" for metric, ids in protocols(lines).items())
    if notes:
        console.print(f"protocols: {notes}", soft_wrap=True, highlight=False, markup=False)
