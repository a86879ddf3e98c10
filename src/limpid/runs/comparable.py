"""Whether a result may stand beside the paper's; docs/results.md has the definition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from limpid.errors import Damaged
from limpid.results.rows import known_row
from limpid.results.run_record import needed_sets
from limpid.store.run_directory import Run

if TYPE_CHECKING:
    from limpid.data.datamodule import RestorationData
    from limpid.runs.spec import RunSpec

#: Parts of what affects a result that a test takes from the weights it tests, not from its own configuration.
_OF_THE_WEIGHTS = ("network", "weights", "mode")


class Judgement(NamedTuple):
    """What a finished run may stand for.

    Attributes:
        reasons: why it is not comparable, a phrase each; none where it is.
        complete: by tested set, whether it is the published one, all of it, every image of it scored.
        comparable_sets: the sets on which the values may stand beside the paper's.
        as_printed: whether the weights that it trained are those of the paper's whole training.
    """

    reasons: tuple[str, ...]
    complete: dict[str, bool]
    comparable_sets: tuple[str, ...]
    as_printed: bool


def same_but_for_the_weights(parts: Mapping[str, object], unchanged: Mapping[str, object]) -> bool:
    """Whether a test of weights is otherwise what the row as it is would test.

    Args:
        parts: what affects the result of the test, as `limpid.store.fingerprint.affecting` gives it.
        unchanged: the same of the row with nothing changed.
    """
    return all(parts[key] == unchanged[key] for key in parts if key not in _OF_THE_WEIGHTS)


def same_counts(data: Mapping[str, object], unchanged: Mapping[str, object]) -> bool:
    """Whether two `data` blocks expect the same numbers of images: typing another number makes no set complete."""
    return list(_expected(data, "data")) == list(_expected(unchanged, "data"))


def weights_as_printed(file: Path, *runs: Run) -> bool:
    """Whether the checkpoint `file` is what a run left that finished the paper's whole training.

    Only a finished run can tell: a checkpoint of an unfinished training looks like one of a finished.

    Args:
        file: the checkpoint.
        runs: that may have left it, besides the run that it lies in.
    """
    from limpid import checkpoint

    found = [_results(run) for run in (Run(file.parent.parent), *runs)]
    left = [(one.get("provenance") or {}).get("weights") for one in found if one.get("trained_as_printed")]
    if not left or not file.is_file():
        return False
    return checkpoint.weights_fingerprint(checkpoint.weights(checkpoint.read(file))) in left


def _results(run: Run) -> Mapping[str, Any]:
    """What a run measured; nothing where there is none, or another file lies in its place."""
    try:
        return run.results() or {}
    except Damaged:
        return {}


def judge(spec: RunSpec, data: RestorationData, scored: Mapping[str, int]) -> Judgement:
    """What a finished run may stand for.

    Args:
        spec: of the run.
        data: its data module.
        scored: how many images of each test set have scores.
    """
    why = {name: images_missing(data.test[name], scored.get(name, 0)) for name in data.test}
    complete = {name: reason is None for name, reason in why.items()}
    common = list(_of_the_training(spec, data))
    row = known_row(spec.row)
    needed = needed_sets({} if row is None else row.printed, spec.config["data"].get("test") or {})
    sets = [why.get(name, f"{name} was not tested") for name in needed]
    reasons = [*common, *(reason for reason in sets if reason is not None)]
    return Judgement(
        tuple(dict.fromkeys(reasons)),
        complete,
        () if common else tuple(name for name, whole in complete.items() if whole),
        as_printed=spec.mode == "train" and not common,
    )


def images_missing(images: object, scored: int) -> str | None:
    """Why scores of `scored` images are not those of a published set, all of it, in a phrase; None if they are."""
    from limpid.data.datasets.base import why_not_whole

    reason = why_not_whole(images)
    if reason is None and scored != (there := len(images)):  # type: ignore[arg-type]
        return f"{scored} of {there} images of {getattr(images, 'name', 'a set')} were tested"
    return reason


def _of_the_training(spec: RunSpec, data: RestorationData) -> Iterator[str]:
    """Why nothing that the run measured is comparable, whatever it was tested on; a phrase each."""
    from limpid.data.datasets.base import why_not_whole

    if not spec.comparable:
        yield "it is not the row as it is, at budget paper"
    if spec.tested is not None and not spec.tested.as_printed:
        yield "the tested weights are not those of the row's whole training"
    for weights in spec.started_from:
        if not weights.as_printed:
            yield f"the weights of {weights.row} are not those of its whole training"
    if spec.mode != "train":
        return
    if (reason := why_not_whole(data.train)) is not None:
        yield f"of the training, {reason}"
    if spec.config["data"].get("val") is None:
        return
    # The validation images choose the weights, so that they are a part of the training.
    reason = "nothing was there to validate on" if data.val is None else why_not_whole(data.val)
    if reason is not None:
        yield f"of the training, {reason}"


def _expected(value: object, key: str) -> Iterator[tuple[str, object]]:
    """Every `expected` of a `data` block, those of splits too, with the key at which it stands."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            if name == "expected":
                yield key, member
            else:
                yield from _expected(member, f"{key}.{name}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _expected(member, f"{key}[{index}]")
