"""Whether a set is whole: counts, partners, sizes, files that cannot be read, and images that train and test share."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limpid.config import instantiate
from limpid.data.datasets.base import Files, ImageSet, Pair
from limpid.data.datasets.images import read_depth
from limpid.data.datasets.paired import PairedFiles, examples
from limpid.data.datasets.side_by_side import halves
from limpid.data.image_io import cut_short, decode, image_names, read_bytes
from limpid.data.photographs.formats import FORMATS, READABLE
from limpid.errors import CannotRun, UserError

#: With a smaller share of the publisher's images a set is meant as a sample; with a larger one some were lost.
SAMPLE = 0.9
#: What is called after every file with how many are done and how many there are.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a split: `offenders` are the first five of `count`; `message` is a sentence with the fix."""

    kind: str
    split: str
    folder: str
    count: int
    offenders: list[str]
    message: str


@dataclass
class Report:
    """What was found: per split how many images there are and should be, problems, and notes that are no problems."""

    name: str
    splits: dict[str, dict[str, int | None]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class FileReport:
    """A file that was read: its trouble and why, or the size, content and kind of its image, or of its two halves."""

    trouble: str | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    digests: tuple[str, ...] = ()
    grey: bool = False
    sixteen_bit: bool = False
    why: str = ""


def splits_of(card: Mapping[str, Any], where: str, allow: Sequence[str] = ()) -> dict[str, ImageSet]:
    """The set of every split that a card describes, by the split's name.

    Args:
        card: plain values with a `_target_`.
        where: its key, for sentences.
        allow: further packages a target may name.

    Raises:
        UserError: the card is wrong.
    """
    instantiate.check(card, where, allow)
    named = list(card.get("splits") or {})
    cards = {split: {**card, "split": split} for split in named} or {str(card.get("split", "all")): dict(card)}
    return {split: instantiate.construct(one, where, allow) for split, one in cards.items()}


def check(name: str, sets: Mapping[str, ImageSet], progress: Progress | None = None) -> Report:
    """The report on every split that is there, each file of which is read.

    Images are compared by their pixels, so that the same picture under another name or in another lossless format is
    found. Several threads read and decode.

    Args:
        name: the set's name.
        sets: its splits, by name.
        progress: told after every file.

    Raises:
        CannotRun: no split is there.
    """
    report = Report(name)
    clean: dict[str, ImageSet] = {split: getattr(images, "source", images) for split, images in sets.items()}
    there = {split: images for split, images in clean.items() if not _missing(images)}
    if not there:
        raise CannotRun(str(_missing(next(iter(clean.values())))))
    report.notes += [str(_missing(images)) for split, images in clean.items() if split not in there]
    surveys = {split: _survey(split, images, report) for split, images in there.items()}
    on_disk = {split: images for split, images in there.items() if isinstance(images, Files)}
    _unused(surveys, on_disk, report)
    for split, images in on_disk.items():
        _linked(split, images, surveys[split], report)
        _passed_over(split, surveys[split], report)
    files = set(chain.from_iterable(survey.files() for survey in surveys.values()))
    in_halves = any(images.two_in_a_file for images in on_disk.values())
    seen = _inspect_files(sorted(files), in_halves, progress)
    for split, images in on_disk.items():
        _check_split(split, images, surveys[split], seen, report)
    _shared(surveys, on_disk, seen, report)
    return report


@dataclass
class _Survey:
    """What a split holds by name: pairs or single images, and references without a degraded image."""

    pairs: list[Pair] = field(default_factory=list)
    singles: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def files(self) -> set[str]:
        degraded = {pair.input for pair in self.pairs}
        return degraded | {pair.target for pair in self.pairs} | set(self.singles)


def _missing(images: ImageSet) -> str | None:
    return images.why_missing() if hasattr(images, "why_missing") else None


def _survey(split: str, images: ImageSet, report: Report) -> _Survey:
    """What the names say; adds what is wrong with them to the report."""
    survey = _Survey()
    if isinstance(images, Files):
        try:
            survey.pairs, strays, survey.unused, survey.singles = images.matched()
        except CannotRun:
            raise
        except UserError as error:
            report.problems.append(Problem("rule", split, str(images.root_dir), 1, [], str(error)))
            return survey
        if strays:
            root_dir = images.require_root()
            first = [_relative(file, root_dir) for file in strays[:5]]
            report.problems.append(
                Problem("unpaired", split, str(root_dir), len(strays), first, f"{split}: {images.lacking(strays)}")
            )
    else:
        report.notes.append(f"{split}: its images are made, not read; there is nothing to check.")
        report.splits[split] = {"images": len(images), "expected": None}
        return survey
    there, expected = len(survey.pairs) + len(survey.singles), images.expected
    report.splits[split] = {"images": there, "expected": expected}
    if expected is not None and 0 < there < SAMPLE * expected:
        report.notes.append(
            f"{split}: {images.root_dir} has {there} of the publisher's {expected} images, so it is taken for a "
            "sample; results on it are not comparable."
        )
    elif there == 0 or (expected is not None and there != expected):
        says = f"{split}: {images.root_dir} has {there} images, but " + (
            f"the publisher's set has {expected}; " if expected is not None else "there should be some; "
        )
        report.problems.append(
            Problem("count", split, str(images.root_dir), there, [], says + _remedy(images.how_to_get, there, expected))
        )
    return survey


def _remedy(how_to_get: str, there: int, expected: int | None) -> str:
    if expected is not None and there > expected:
        return "remove what is not the publisher's, or set expected if it is another release."
    return f"fetch the rest. {how_to_get}".rstrip()


def _relative(file: str, root_dir: Path | None) -> str:
    return file.removeprefix(f"{root_dir}{os.sep}")


def _unused(surveys: Mapping[str, _Survey], sets: Mapping[str, Files], report: Report) -> None:
    """References that no split uses: a note where the split is complete without them, else a problem."""
    used = set(chain.from_iterable(survey.files() for survey in surveys.values()))
    reported: set[str] = set()
    for split, survey in surveys.items():
        left = [file for file in survey.unused if file not in used and file not in reported]
        reported.update(left)
        if not left:
            continue
        images = sets[split]
        first = [_relative(file, images.root_dir) for file in left[:5]]
        says = f"{split}: {len(left)} of the files in {images.root_dir} belong to no degraded image: " + (
            ", ".join(first) + (" ..." if len(left) > 5 else "")
        )
        if images.expected is not None and len(survey.pairs) == images.expected:
            report.notes.append(f"{says}; all published pairs are there without them.")
        else:
            problem = f"{says}; fetch the degraded images, or remove these."
            report.problems.append(Problem("unpaired", split, str(images.root_dir), len(left), first, problem))


def _linked(split: str, images: Files, survey: _Survey, report: Report) -> None:
    """Note files that are links to somewhere else: they are read, which not everybody expects."""
    if not survey.files():
        return
    root_dir = images.require_root().resolve()
    outside = sorted(file for file in survey.files() if not Path(file).resolve().is_relative_to(root_dir))
    if outside:
        first = ", ".join(_relative(file, images.root_dir) for file in outside[:5])
        report.notes.append(f"{split}: {len(outside)} of the files lead out of {images.root_dir} by links: {first}.")


def _passed_over(split: str, survey: _Survey, report: Report) -> None:
    """Note files beside the images that photographs may be, and images of a set may not."""
    suffixes = frozenset(READABLE) - frozenset(FORMATS)
    folders = sorted({Path(file).parent for file in survey.files()})
    names = chain.from_iterable(image_names(folder, suffixes) for folder in folders)
    kinds = Counter(Path(name).suffix.lower() for name in names)
    if kinds:
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        report.notes.append(f"{split}: {counts} beside its images are not read; if they belong to it, make them PNG.")


def _inspect_files(files: Sequence[str], in_halves: bool, progress: Progress | None) -> dict[str, FileReport]:
    """Every file, read once."""
    seen: dict[str, FileReport] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, report in zip(files, pool.map(partial(inspect_file, in_halves=in_halves), files), strict=True):
            seen[file] = report
            if progress is not None:
                progress(len(seen), len(files))
    return seen


def inspect_file(file: str, in_halves: bool = False) -> FileReport:
    """The report on one file, which is read and decoded.

    Args:
        file: where it is.
        in_halves: whether it holds two images side by side.
    """
    path = Path(file)
    try:
        data = read_bytes(path)
        if cut_short(data):
            return FileReport("is cut short")
        pixels = decode(path, data)
    except UserError as error:
        return FileReport("cannot be read", why=f" The first: {error}")
    if in_halves and pixels.shape[1] % 2:
        return FileReport("has an odd width")
    parts = halves(pixels, path) if in_halves else (pixels,)
    grey = bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all())
    return FileReport(
        None,
        tuple(part.shape for part in parts),
        tuple(digest(part) for part in parts),
        grey,
        pixels.dtype == np.uint16,
    )


def digest(pixels: NDArray[np.generic]) -> str:
    """A hash of an image's size, type and values."""
    form = f"{pixels.shape} {pixels.dtype}".encode()
    return hashlib.blake2b(form + np.ascontiguousarray(pixels).tobytes(), digest_size=16).hexdigest()


#: What is wrong with single files, and how it is mended.
_MENDING = {
    "cannot be read": "fetch them again, or remove them",
    "is cut short": "fetch them again",
    "has an odd width": "they are no two images side by side; remove them",
}


def _check_split(split: str, images: Files, survey: _Survey, seen: Mapping[str, FileReport], report: Report) -> None:
    """Unreadable files, sizes that differ, depth that does not fit; notes on grey and 16-bit images."""
    files = sorted(survey.files())
    for trouble, mending in _MENDING.items():
        bad = [_relative(file, images.root_dir) for file in files if seen[file].trouble == trouble]
        if bad:
            says = (
                f"{split}: of {len(bad)} of the files in {images.root_dir} each {trouble}: {examples(bad)}; {mending}."
            )
            says += next(seen[file].why for file in files if seen[file].trouble == trouble)
            report.problems.append(Problem(trouble, split, str(images.root_dir), len(bad), bad[:5], says))
    if isinstance(images, PairedFiles) and not images.two_in_a_file:  # two halves are alike by definition
        _check_sizes(split, images, survey, seen, report)
    _check_depth(split, images, survey, seen, report)
    for count, kind in (
        (sum(seen[file].grey for file in files), "are grey; they are read as RGB with three equal channels"),
        (sum(seen[file].sixteen_bit for file in files), "have 16 bits per channel; their values are kept"),
    ):
        if count:
            report.notes.append(f"{split}: {count} of {len(files)} files {kind}.")


def _check_sizes(
    split: str, images: PairedFiles, survey: _Survey, seen: Mapping[str, FileReport], report: Report
) -> None:
    bad = []
    first = ""
    bordered = 0
    for pair in survey.pairs:
        shapes = [seen[file].shapes for file in (pair.input, pair.target)]
        if not all(shapes):
            continue  # what cannot be read has no size
        problem = images.size_problem(shapes[0][0], shapes[1][0], pair)
        bordered += problem is None and shapes[0][0][:2] != shapes[1][0][:2]
        if problem:
            bad.append(_relative(pair.input, images.root_dir))
            first = first or problem
    if bordered:
        report.notes.append(
            f"{split}: the references of {bordered} of {len(survey.pairs)} pairs have a border of {images.border} "
            "pixels, which is left out."
        )
    if bad:
        says = (
            f"{split}: {len(bad)} of the pairs in {images.root_dir} differ in size: {examples(bad)}; fetch them again. "
        )
        report.problems.append(
            Problem("size", split, str(images.root_dir), len(bad), bad[:5], f"{says}The first: {first}")
        )


def _check_depth(split: str, images: Files, survey: _Survey, seen: Mapping[str, FileReport], report: Report) -> None:
    bad, first = [], ""
    for file in survey.singles:
        depth = images.depth_file(Path(file))
        if depth is None:
            continue
        try:
            if seen[file].shapes:
                read_depth(depth, seen[file].shapes[0])
        except UserError as error:
            bad.append(_relative(str(depth), images.root_dir))
            first = first or str(error)
    if bad:
        says = f"{split}: {len(bad)} of the depth maps in {images.root_dir} cannot be used: {examples(bad)}. {first}"
        report.problems.append(Problem("depth", split, str(images.root_dir), len(bad), bad[:5], says))


def _shared(
    surveys: Mapping[str, _Survey], sets: Mapping[str, Files], seen: Mapping[str, FileReport], report: Report
) -> None:
    """Images of the training split that another split holds too."""
    if "train" not in surveys:
        return

    def contents(split: str) -> Iterable[tuple[str, str]]:
        for file in sorted(surveys[split].files()):
            for one in seen[file].digests:
                yield one, file

    trained = dict(contents("train"))
    for split in surveys:
        if split in ("train", "all"):
            continue
        pairs = [(trained[one], file) for one, file in contents(split) if one in trained]
        same = [f"{_relative(a, sets['train'].root_dir)} = {_relative(b, sets[split].root_dir)}" for a, b in pairs]
        if same:
            says = (
                f"{split}: {len(same)} of its images in {sets[split].root_dir} are in the training split too: "
                f"{examples(same)}; a score on them means little, so remove them from one of the two."
            )
            report.problems.append(Problem("duplicate", split, str(sets[split].root_dir), len(same), same[:5], says))
