"""What an entry of the zoo, or a prior, is worth: tested and timed, and written into its card."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from limpid import profiling, zoo
from limpid.config.compose import key_of
from limpid.config.registry import registered
from limpid.errors import UserError, nearest
from limpid.methods import method
from limpid.results.frame import read_per_image
from limpid.results.paired import difference
from limpid.results.run_record import INPUT, MEASURED
from limpid.runs.resolve import resolve
from limpid.runs.runner import perform
from limpid.store.atomic_io import write_text
from limpid.store.metrics_file import MetricsFile
from limpid.store.run_directory import Run
from limpid.surroundings import refuse_unwritable
from limpid.zoo import create, priors
from limpid.zoo.card import Card, yaml_text
from limpid.zoo.measured import CardScores
from limpid.zoo.priors import PriorCard

if TYPE_CHECKING:
    import pandas as pd


def entry(name: str) -> Card | PriorCard:
    """The card of weights, or of a prior, of which nothing may be measured yet.

    Args:
        name: of the card, with or without ``zoo:``; or of the prior.

    Raises:
        UserError: there is neither.
    """
    from limpid.checkpoint import is_prior

    bare = name.removeprefix(zoo.PREFIX)
    if bare == name and name in registered() and is_prior(name):
        file = zoo.own_folder() / priors.FOLDER / f"{name}.yaml"
        return priors.priors().get(name) or PriorCard(name=name, file=file)
    if bare == name and bare not in zoo.cards() and bare not in zoo.aliases():
        hint = nearest(bare, [*zoo.cards(), *zoo.aliases(), *priors.priors()])
        raise UserError(f"{name!r} is neither an entry of the zoo nor a prior{hint or '.'}")
    return zoo.find(bare)


def measure(card: Card | PriorCard, words: Sequence[str], cost: bool = True) -> Card | PriorCard:
    """The card with what was measured now in the place of what it said; it is written once all is known.

    Args:
        card: of weights or of a prior.
        words: Hydra's, for `limpid test`, such as ``data=sots_indoor``; without any no set is tested.
        cost: whether seconds and memory of a megapixel are measured, as `limpid predict` takes them.

    Raises:
        UserError: a word is wrong, a set is not there, or nothing was asked for.
    """
    place = f"{zoo.PREFIX}{card.name}" if isinstance(card, Card) else card.name
    for key in map(key_of, words):
        if key in ("model", "ckpt", "network") or key.startswith("network."):
            raise UserError(f"What is measured is {place} as it is, so {key} cannot be set; leave it out.")
    if not words and not cost:
        raise UserError("Nothing is to be measured; say on what, such as data=sots_indoor, or leave out --scores-only.")
    refuse_unwritable(card.file.parent)
    chosen = f"ckpt={place}" if isinstance(card, Card) else f"model={place}"
    spec = resolve([chosen, *words], "test") if words else None
    if cost:  # first: in a process that has tested, memory that was freed is still there
        card = _with_cost(card, place)
    if spec is not None:
        results = perform(spec)
        for sentence in results.document.get("absent") or ():
            print(sentence, file=sys.stderr)
        card = replace(card, scores={**card.scores, **scores_of(Run(results.directory))})
    write_text(card.file, yaml_text(card.plain()))
    return card


def _with_cost(card: Card | PriorCard, place: str) -> Card | PriorCard:
    cost = profiling.cost_per_megapixel(method(place, "cpu").restore, torch.device("cpu"))
    return replace(
        card,
        seconds_per_megapixel=float(f"{cost.seconds:.3g}"),
        memory_per_megapixel=None if cost.memory_mb is None else round(cost.memory_mb, 1),
        measured_on=cost.machine,
    )


def scores_of(run: Run) -> CardScores:
    """The scores of a run as a card has them, with the input's and the interval of the gain; empty before it ends.

    Raises:
        Damaged: a file of the run is not as Limpid wrote it.
    """
    results = run.results() or MetricsFile()
    images = read_per_image(run.path)
    scores = create.scores(results.get("metrics") or {}, results.get("input") or {})
    for dataset, metrics in scores.items():
        for metric, score in metrics.items():
            interval = _interval(images[(images["set"] == dataset) & (images["metric"] == metric)])
            if "input" in score and interval is not None:
                score["interval"] = interval
    return scores


def _interval(images: pd.DataFrame) -> list[float] | None:
    """The interval of the mean gain over the images; None for a single one, or where a score is not finite."""
    own = images[images["source"] == MEASURED].set_index("image_number")["value"]
    untouched = images[images["source"] == INPUT].set_index("image_number")["value"]
    both = own.to_frame("own").join(untouched.rename("input"), how="inner")
    values = both.to_numpy(float)
    if len(both) < 2 or not all(map(math.isfinite, values.ravel())):
        return None
    gain = difference(list(both["own"]), list(both["input"]))
    return [round(gain.low, create.DECIMALS), round(gain.high, create.DECIMALS)]
