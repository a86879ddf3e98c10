"""References to the weights of rows: ``row:PAPER/TABLE/ROW`` wherever a configuration expects a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from limpid.errors import UserError

#: How a reference begins.
PREFIX = "row:"
_FORM = re.compile(r"row:([^/:]+)/([^/:]+)/([^/:]+)")


def references(config: Mapping[str, object]) -> dict[str, str]:
    """Every reference in a configuration, by the dotted key at which it stands.

    A part whose `network` is null has no weights, and refers to none: the clear image in a teacher's place.
    """
    return dict(_found(config, ""))


def row_word(reference: str) -> str:
    """The Hydra word that chooses a reference's row: ``+rfd/table5=student`` for ``row:rfd/table5/student``.

    Raises:
        UserError: it is not of the form ``row:PAPER/TABLE/ROW``.
    """
    match = _FORM.fullmatch(reference)
    if match is None:
        raise UserError(
            f"The reference {reference!r} names no row; write row:PAPER/TABLE/ROW, such as row:rfd/table5/student."
        )
    paper, table, row = match.groups()
    return f"+{paper}/{table}={row}"


def replaced(value: object, places: Mapping[str, str | None]) -> Any:
    """The plain `value` with every string that is a key of `places` replaced by what stands there, at any depth."""
    if isinstance(value, Mapping):
        return {key: replaced(member, places) for key, member in value.items()}
    if isinstance(value, list):
        return [replaced(member, places) for member in value]
    return places.get(value, value) if isinstance(value, str) else value


def _found(value: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if "network" in value and value["network"] is None:
            return
        for name, member in value.items():
            yield from _found(member, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _found(member, f"{key}[{index}]")
    elif isinstance(value, str) and value.startswith(PREFIX):
        yield key, value
