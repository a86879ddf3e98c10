"""The fields of a card, as its dataclass has them, read from the plain values of a file."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limpid.errors import UserError, nearest

#: The type of each field whose annotation is one type, or that type or nothing.
_KINDS: dict[str, type] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list[str]": list,
    "list[kept.PublishedFile]": list,
}


def fields_of(kind: type, content: object, file: Path) -> dict[str, Any]:
    """The values for the fields of the dataclass `kind`, from the plain values `content` found in `file`.

    Raises:
        UserError: a field is missing, unknown or of another kind.
    """
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name != "file"}
    if not isinstance(content, Mapping):
        raise UserError(f"The zoo card {file} is not a list of fields; `limpid zoo add` writes one.")
    for key in content:
        if key not in fields:
            raise UserError(f"The zoo card {file} has an unknown field {key!r}{nearest(str(key), fields) or '.'}")
    values: dict[str, Any] = {key: _date_as_text(value) for key, value in content.items()}
    for field in fields.values():
        _check_field(field, values, file)
    return values


def _date_as_text(value: object) -> object:
    """The `value`, or its text where it is a date: YAML reads an unquoted one as a date."""
    return value.isoformat() if isinstance(value, datetime.date) else value


def _check_field(field: dataclasses.Field[Any], content: Mapping[str, object], file: Path) -> None:
    """Refuse a card without the `field`, or with another kind of value in it."""
    key = field.name
    if key not in content:
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            require((key,), content, file)
        return
    value = content[key]
    kind, _, rest = str(field.type).partition(" | ")
    wanted = _KINDS.get(kind, dict)
    taken = (int, float) if wanted is float else wanted
    right = isinstance(value, taken) and (wanted is bool or not isinstance(value, bool))
    if not right and not (rest and value is None):
        raise UserError(f"The field {key} of the zoo card {file} is {value!r}, but it must be a {wanted.__name__}.")


def require(keys: Sequence[str], content: Mapping[str, object], file: Path) -> None:
    """Refuse a card without one of the fields `keys`."""
    for key in keys:
        if key not in content:
            raise UserError(f"The zoo card {file} lacks the field {key}.")
