"""What Lightning keeps in a checkpoint to go on with a training, checked before Lightning reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import lightning
from torch import Tensor

#: The loops of a Trainer whose progress is kept.
_LOOPS = ("fit_loop", "validate_loop", "test_loop", "predict_loop")
_NUMBERS = (bool, int, float)


def wrong_state(checkpoint: Mapping[str, Any], trainer: lightning.Trainer) -> str | None:
    """What a training cannot go on from in a checkpoint of Lightning's, in a few words; None where all is as it writes.

    Args:
        checkpoint: the content of one.
        trainer: that is to go on; its own state has the form that is wanted.
    """
    return next(_problems(checkpoint, trainer), None)


def _problems(checkpoint: Mapping[str, Any], trainer: lightning.Trainer) -> Iterator[str]:
    step = checkpoint["provenance"].get("step")
    if type(step) is not int or step < 0:
        yield "it does not say after how many steps it was written"
    for key in ("epoch", "global_step"):
        if type(checkpoint.get(key)) is not int or checkpoint[key] < 0:
            yield f"its {key} is no number of them"
    loops = checkpoint.get("loops")
    yield from _unlike({name: getattr(trainer, name).state_dict() for name in _LOOPS}, loops, "loops")
    callbacks = checkpoint.get("callbacks")
    if not isinstance(callbacks, dict) or not all(isinstance(state, dict) for state in callbacks.values()):
        yield "the state of its callbacks is none"
    for key in ("optimizer_states", "lr_schedulers"):
        states = checkpoint.get(key)
        if not isinstance(states, list) or not all(isinstance(state, dict) for state in states):
            yield f"its {key} are none"
            return
    for state in checkpoint["optimizer_states"]:
        yield from _of_optimizer(state)


def _unlike(wanted: object, found: object, where: str) -> Iterator[str]:
    """Where `found` has not the names and types of `wanted`; it may have more names."""
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            yield f"{where} is missing or of another type"
            return
        for key, member in wanted.items():
            yield from _unlike(member, found.get(key), f"{where}.{key}")
    elif type(found) is not type(wanted) or (type(found) is int and found < 0):
        yield f"{where} is missing or of another type"


def _of_optimizer(state: Mapping[str, Any]) -> Iterator[str]:
    """What in the state of an optimizer it cannot take."""
    moments, groups = state.get("state"), state.get("param_groups")
    if not isinstance(moments, dict) or not all(isinstance(values, dict) for values in moments.values()):
        yield "the moments in its optimizer_states are none"
        return
    for values in moments.values():
        if not all(isinstance(value, Tensor | None) or type(value) in _NUMBERS for value in values.values()):
            yield "the moments in its optimizer_states are none"
    if not isinstance(groups, list) or not all(_is_group(group) for group in groups):
        yield "the groups in its optimizer_states are none"


def _is_group(group: object) -> bool:
    numbers = group.get("params") if isinstance(group, dict) else None
    return isinstance(numbers, list) and all(type(number) is int for number in numbers)
