"""What was measured of the methods that learn nothing: `priors/NAME.yaml` in a folder of the zoo.

They have no weights, so that there is no card of theirs; but what was measured of them stands beside what was measured
of weights.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from limpid.config.yaml_files import values_of
from limpid.errors import UserError
from limpid.zoo import card as cards
from limpid.zoo.fields import fields_of
from limpid.zoo.measured import CardScores, refuse_scores

#: Where they lie, below each folder of the zoo.
FOLDER = "priors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PriorCard:
    """What was measured of one prior.

    Attributes:
        name: of the prior, as the registry has it; also the stem of the file.
        scores: see `limpid.zoo.card.Card`, as the three that follow.
        seconds_per_megapixel: what restoring a photograph of a megapixel takes.
        memory_per_megapixel: the growth of memory while it does, in units of 2^20 bytes.
        measured_on: the machine on which these two were measured.
        file: the card's own file; not written into it.
    """

    name: str
    scores: CardScores = dataclasses.field(default_factory=dict)
    seconds_per_megapixel: float | None = None
    memory_per_megapixel: float | None = None
    measured_on: str | None = None
    file: Path = Path()

    def plain(self) -> dict[str, object]:
        """What is known, as plain values."""
        values = dataclasses.asdict(self)
        return {key: value for key, value in values.items() if key != "file" and value not in (None, {})}


def read(file: Path) -> PriorCard:
    """What was measured of the prior in `file`.

    Raises:
        UserError: it is no such file.
    """
    measured = PriorCard(**fields_of(PriorCard, values_of(file), file), file=file)
    if measured.name != file.stem:
        raise UserError(f"The zoo card {file} is named {measured.name!r}, but its name must be the file's.")
    refuse_scores(measured.scores, file)
    return measured


def priors() -> dict[str, PriorCard]:
    """What was measured of each prior, by its name.

    Raises:
        UserError: a file is broken.
    """
    by_name: dict[str, PriorCard] = {}
    for folder in cards.folders():
        for file in sorted((folder / FOLDER).glob("*.yaml")):
            if file.stem not in by_name:
                by_name[file.stem] = read(file)
    return by_name
