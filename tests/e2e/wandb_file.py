"""Reads an offline wandb file: the log format of LevelDB around the messages of wandb's own protocol."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK, _HEADER = 32768, struct.Struct("<IHB")  # checksum, length, and whether the piece begins or ends a message
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


def messages(path: Path) -> Iterator[Any]:
    """The records of the file, in order."""
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    assert data[:4] == b":W&B", "not a wandb file"
    at, message = 7, b""
    while at + _HEADER.size <= len(data):
        if _BLOCK - at % _BLOCK < _HEADER.size:  # too little of the block is left for a piece
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        message = data[at : at + length] if kind in (_FULL, _FIRST) else message + data[at : at + length]
        at += length
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(message)
            yield record


class Segment:
    """What one start of a run left in its offline file.

    Attributes:
        id: of the run.
        config: what was configured.
        points: everything that was logged, in order; values as JSON has them.
        axes: the metric that defines the axis of others, by their pattern.
        folder: where media lie.
    """

    def __init__(self, folder: Path) -> None:
        [file] = folder.glob("run-*.wandb")
        self.folder, self.id = folder / "files", ""
        self.config: dict[str, Any] = {}
        self.points: list[dict[str, Any]] = []
        self.axes: dict[str, str] = {}
        self.exit_code: int | None = None
        for record in messages(file):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.id = record.run.run_id
                self.config |= _items(record.run.config.update)
            elif kind == "config":
                self.config |= _items(record.config.update)
            elif kind == "history":
                self.points.append(_items(record.history.item))
            elif kind == "metric":
                self.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
            elif kind == "exit":
                self.exit_code = record.exit.exit_code

    def logged(self, key: str) -> list[tuple[int, Any]]:
        """`(step, value)` of everything logged under `key`, the step on the run's own axis."""
        return [(point["limpid/step"], point[key]) for point in self.points if key in point]


def _items(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        inside = found
        for key in outer:
            inside = inside.setdefault(key, {})
        inside[last] = json.loads(item.value_json)
    return found
