"""`limpid test images=DIR [reference=DIR] metrics=[...]`: score folders of images without any model."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpid.config import instantiate, recipes
from limpid.errors import UserError, nearest
from limpid.store.atomic_io import json_text, write_csv, write_json

if TYPE_CHECKING:
    from limpid.metrics.protocols import MetricProtocol

HELP = """limpid test images=DIR [reference=DIR] [metrics=[NAME,...]] [output=DIR] [format=rich|json|csv]

Scores every image of a folder, against the image of the same name in `reference` where a metric needs one. A metric is
named by a protocol's id (ssim_zero_pad) or shortly (ssim); a wrong name lists them. `output` receives
scores.json and per_image.csv. An image that cannot be scored is named at the end, the others done. A metric of your own
needs allow_targets=[PACKAGE]."""

_KEYS = ("images", "reference", "metrics", "output", "format", "allow_targets")
_FORMATS = ("rich", "json", "csv")


def protocols() -> dict[str, dict[str, Any]]:
    """The cards of all protocols by their ids, and by the short names that metric sets give them.

    Ids come first; a short name stands for what the set `standard` means by it, else for what the first set does.
    """
    cards = recipes.options("metrics/protocol", recipes.names("metrics/protocol"))
    sets = sorted(recipes.names("metrics"), key=lambda name: (name != "standard", name))
    for metric_set in recipes.options("metrics", sets).values():
        for short, card in metric_set.items():
            if isinstance(card, Mapping) and "id" in card:
                cards.setdefault(card["id"], dict(card))
                cards.setdefault(short, dict(card))
    return cards


def run(arguments: list[str]) -> int:
    """The exit status, after the folders are scored."""
    settings = _parse(arguments)
    chosen = _chosen(settings.get("metrics"), "reference" in settings, _listed(settings.get("allow_targets", "")))
    rows, failed = _scores(Path(settings["images"]), settings.get("reference"), chosen)
    if rows:
        _give(settings, rows, chosen)
    if failed:
        raise UserError(_failures(failed, len(rows) + len(failed)))
    return 0


def _failures(failed: Mapping[Path, str], count: int) -> str:
    """The sentences on all images without a score, or the one that holds for all images."""
    reasons = set(failed.values())
    if len(reasons) == 1 and 1 < len(failed) == count:
        return f"None of the {count} images could be scored. {reasons.pop()}"
    named = [reason if str(file) in reason else f"{file}: {reason}" for file, reason in failed.items()]
    return f"{len(failed)} of {count} images could not be scored:\n  " + "\n  ".join(named)


def _give(settings: Mapping[str, str], rows: list[dict[str, Any]], chosen: Mapping[str, MetricProtocol]) -> None:
    """Write and print the scores with their means."""
    means = {}
    for name, metric in chosen.items():
        mean = sum(row[name] for row in rows) / len(rows)
        means[name] = {"mean": mean, "n": len(rows), "protocol": metric.id}
    result = {"images": settings["images"], "reference": settings.get("reference"), "metrics": means, "per_image": rows}
    if "output" in settings:
        write_csv(Path(settings["output"]) / "per_image.csv", rows)
        write_json(Path(settings["output"]) / "scores.json", result)
    _print(result, settings.get("format", "rich"))


def _parse(arguments: list[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if not separator or key not in _KEYS:
            raise UserError(f"{argument!r} means nothing when images are scored{nearest(key, _KEYS)}\n\n{HELP}")
        settings[key] = _unquoted(value)
    if settings.get("format", "rich") not in _FORMATS:
        raise UserError(f"The format {settings['format']!r} is not one of {', '.join(_FORMATS)}.")
    return settings


def _unquoted(value: str) -> str:
    """The path itself where the command line quoted it for Hydra."""
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace(r"\'", "'").replace(r"\${", "${")
    return value


def _listed(value: str) -> list[str]:
    """The names in `a,b` or `[a,b]`."""
    return [name.strip() for name in value.strip("[]").split(",") if name.strip()]


def _chosen(asked: str | None, paired: bool, allow: Sequence[str]) -> dict[str, MetricProtocol]:
    """The metrics that are asked for, by id; all that need no parameters where none is named."""
    known = protocols()
    names = _listed(asked or ("psnr,ssim" if paired else "piqe"))
    chosen = {}
    for name in names:
        if name not in known:
            ids = sorted({card["id"] for card in known.values()})
            raise UserError(
                f"There is no metric {name!r}{nearest(name, known) or '; there are ' + ', '.join(ids) + '.'}"
            )
        metric = instantiate.construct(known[name], f"metrics.{name}", allow)
        if metric.needs_reference and not paired:
            raise UserError(f"The metric {metric.id} compares with references; add reference=DIR, or leave it out.")
        chosen[metric.id] = metric
    return chosen


def _scores(
    images: Path, reference: str | None, chosen: Mapping[str, MetricProtocol]
) -> tuple[list[dict[str, Any]], dict[Path, str]]:
    """The scores, one row per image, in the order of names, and a sentence on each image that has none."""
    from limpid.data.image_io import list_images
    from limpid.data.photo_io import READABLE

    files = list_images(images, READABLE)
    if not files:
        raise UserError(f"There are no images in {images}; give images=DIR with a folder that holds some.")
    references: dict[str, list[Path]] = {}
    for file in [] if reference is None else list_images(Path(reference), READABLE):
        references.setdefault(file.stem, []).append(file)
    strays = [file.name for file in files if reference is not None and file.stem not in references]
    if strays:
        raise UserError(
            f"{len(strays)} of the images in {images} have no image of the same name in {reference}: "
            f"{', '.join(strays[:5])}{' ...' if len(strays) > 5 else ''}."
        )
    rows: list[dict[str, Any]] = []
    failed: dict[Path, str] = {}
    for number, file in enumerate(files, 1):
        try:
            values = _score(file, None if reference is None else _partner(file, references[file.stem]), chosen)
            rows.append({"name": file.name, **values})
        except UserError as error:
            failed[file] = str(error)
        print(f"\rscored {number}/{len(files)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return rows, failed


def _partner(file: Path, references: Sequence[Path]) -> Path:
    """The reference of an image: of its name, or the only one of its stem; raises UserError where that is not clear."""
    same = [reference for reference in references if reference.name == file.name]
    partners = same or list(references)
    if len(partners) > 1:
        names = ", ".join(reference.name for reference in partners)
        raise UserError(
            f"{file} has several references ({names}), so that none knows which is meant; remove all but one."
        )
    return partners[0]


def _score(file: Path, reference: Path | None, chosen: Mapping[str, MetricProtocol]) -> dict[str, float]:
    """The value of each metric; raises UserError where one cannot be had."""
    import torch

    from limpid.data.image_io import read_image

    def tensor(path: Path) -> torch.Tensor:
        return torch.from_numpy(read_image(path).transpose(2, 0, 1))[None]

    restored = tensor(file)
    target = None if reference is None else tensor(reference)
    if target is not None and target.shape != restored.shape:
        sizes = " and ".join(f"{t.shape[-1]}x{t.shape[-2]}" for t in (restored, target))
        raise UserError(f"{file} and {reference} differ in size ({sizes}); only equal sizes compare.")
    return {name: float(metric(restored, target)) for name, metric in chosen.items()}


def _print(result: Mapping[str, Any], form: str) -> None:
    if form == "json":
        print(json_text(result, indent=2))
        return
    if form == "csv":
        writer = csv.DictWriter(sys.stdout, list(result["per_image"][0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(result["per_image"])
        return
    from rich.table import Table

    from limpid.consoles import answers

    table = Table(header_style="bold")
    table.add_column("image")
    for name in result["metrics"]:
        table.add_column(name, justify="right")
    for row in result["per_image"]:
        table.add_row(row["name"], *(f"{row[name]:.4f}" for name in result["metrics"]))
    table.add_section()
    count = f"mean of {len(result['per_image'])}"
    table.add_row(count, *(f"{value['mean']:.4f}" for value in result["metrics"].values()), style="bold")
    answers().print(table)
