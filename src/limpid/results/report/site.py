"""A report as a folder of pages: written beside its place, then put there whole."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from limpid.errors import UserError
from limpid.results.report import labels, pictures, plots
from limpid.results.report.gather import Report
from limpid.store.atomic_io import read_json, temporary_path, write_json, write_text

#: Names the files of a report, so that it is known for one, and anything else in its folder is left alone.
MANIFEST = "report.json"

_Value = TypeVar("_Value")


def write(report: Report, output: Path) -> Path:
    """Write `report` as the folder `output`, in the place of an older report; the page to open.

    Raises:
        UserError: something that is no report is in the way.
    """
    folder = output.resolve()
    check(output)
    beside, older = temporary_path(folder), temporary_path(folder, ".older")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        _write_pages(report, beside)
        files = sorted(file.relative_to(beside).as_posix() for file in beside.rglob("*") if file.is_file())
        write_json(beside / MANIFEST, {"limpid_report": 1, "limpid": report.version, "files": [*files, MANIFEST]})
        if folder.exists():
            folder.rename(older)
        try:
            beside.rename(folder)
        except OSError:
            if older.exists():
                older.rename(folder)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(older, ignore_errors=True)
    return output / "index.html"


def check(output: Path) -> None:
    """Refuse to write a report where something else is.

    Raises:
        UserError: `output` is a file, the current folder or one around it, or holds what no report wrote.
    """
    folder = output.resolve()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"The output {output} is a file; give a folder that is a report or does not exist yet.")
    if folder == Path.cwd() or folder in Path.cwd().parents:
        raise UserError(f"The output {output} is the current folder or holds it; give one below it, such as report/.")
    if not folder.is_dir():
        return
    manifest = read_json(folder / MANIFEST) if _has_manifest(folder) else {}
    known = set(manifest.get("files", []))
    strays = (f for f in sorted(folder.rglob("*")) if not f.is_dir() or f.is_symlink())
    stray = next((name for f in strays if (name := f.relative_to(folder).as_posix()) not in known), None)
    if stray is not None:
        what = "is not a report" if not known else "holds a file that no report wrote"
        raise UserError(f"The folder {output} {what} ({stray}); give another --output, or move it away.")


def _has_manifest(place: Path) -> bool:
    try:
        manifest: object = read_json(place / MANIFEST)
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("limpid_report") == 1


def _write_pages(report: Report, folder: Path) -> None:
    environment = _environment(report)
    pages = {view.run.path.as_posix(): view.page for view in report.runs}

    def page(name: str, template: str, **shown: object) -> None:
        drawn = plots.Plots()  # ids are unique on their page
        text = environment.get_template(template).render(
            report=report, pages=pages, plots=drawn, here=name, counter=itertools.count(1), **shown
        )
        write_text(folder / name, text)

    page("index.html", "index.html.j2")
    for paper in report.papers:
        page(paper.page, "paper.html.j2", paper=paper)
    for view in report.runs:
        stem = view.page.removesuffix(".html")
        compared = [pictures.write(p, folder, f"{stem}-{i:03d}") for i, p in enumerate(view.pictures(), start=1)]
        page(view.page, "run.html.j2", run=view, comparisons=compared)


def _environment(report: Report) -> Environment:
    loader = PackageLoader("limpid.results.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )

    def inlined(name: str) -> Markup:
        """A file of ours, written into the page as it is."""
        return Markup(loader.get_source(environment, name)[0])

    environment.globals |= {
        "inlined": inlined,
        "quartiles": plots.quartiles,
        "thinned": thinned,
        "figure_of": labels.figure,
    }
    environment.filters |= {
        "metric": labels.label,
        "with_unit": labels.with_unit,
        "figure": labels.number,
        "signed": labels.signed,
        "is_web": lambda url: str(url).startswith(("https://", "http://")),
        "anchor": lambda place: place.replace("/", "-"),
    }
    return environment


def thinned(values: Iterable[_Value], most: int) -> list[_Value]:
    """At most `most` of the values, evenly spaced, the first and the last among them."""
    whole = list(values)
    if len(whole) <= most:
        return whole
    return [whole[round(i * (len(whole) - 1) / (most - 1))] for i in range(most)]
