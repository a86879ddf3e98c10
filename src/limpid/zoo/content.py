"""What a checkpoint holds, and the check that one does hold it: types, names of objects, numbers that are none."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from torch import Tensor

from limpid.errors import Damaged, ResultWarning, UserError

#: The version of the format; readers refuse what they do not know.
FORMAT = 1

_STATES = ("state_dict", "current_model_state")
#: The types of what stands beside the weights, and of facts on the run; all but the first two may be missing or None.
_TYPES: dict[str, type] = {"network": str, "network_config": dict, "provenance": dict, "hyper_parameters": dict}
_NEEDED = ("network", "network_config", "provenance", "state_dict")
_FACTS: dict[str, type] = {
    **dict.fromkeys(("step", "seed", "training_images"), int),
    **dict.fromkeys(("row", "budget", "data"), str),
    **dict.fromkeys(("teacher", "teachers", "start", "tools", "translators"), dict),
}
_LONGEST_NAME = 200
#: Words among the settings of a network that would be more than settings.
_NO_SETTINGS = {"name", "allow_targets", "allow_nonfree", "_partial_"}


class CheckpointContent(TypedDict):
    """What a checkpoint holds, beside Lightning's own state.

    Attributes:
        limpid: the version of the format.
        network: the network's name in the registry.
        network_config: its settings there, plain values.
        provenance: plain facts on the run, and where its weights come from.
        state_dict: the weights that a result was measured with, by name.
        current_model_state: the raw weights, where `state_dict` is their average.
        hyper_parameters: what `LightningModule.save_hyperparameters` kept.
        best: the best validation so far, of a training of super-resolution.
    """

    limpid: int
    network: str
    network_config: dict[str, Any]
    provenance: dict[str, Any]
    state_dict: dict[str, Tensor]
    current_model_state: NotRequired[dict[str, Tensor]]
    hyper_parameters: NotRequired[dict[str, object]]
    best: NotRequired[dict[str, float] | None]


def damaged(path: Path, reason: str) -> Damaged:
    """The error that says why the checkpoint at `path` cannot be used."""
    return Damaged(f"The checkpoint {path} is cut short or damaged ({reason}); copy it again.", reason)


def checked(checkpoint: object, path: Path, refuse_non_finite: bool) -> CheckpointContent:
    """The content of a checkpoint, once it is known to be Limpid's and to name no object by `_target_`.

    Args:
        checkpoint: plain values and tensors.
        path: where they come from, for the sentence.
        refuse_non_finite: whether weights that are NaN or infinite are refused; otherwise a warning tells of them.

    Raises:
        Damaged: something in it has another type than Limpid writes.
        UserError: it is not Limpid's, of another format, or names objects.
    """
    if not isinstance(checkpoint, dict) or "limpid" not in checkpoint:
        raise UserError(f"The file {path} is not a checkpoint of Limpid: it does not say which network it holds.")
    if type(checkpoint["limpid"]) is int and checkpoint["limpid"] != FORMAT:
        raise UserError(
            f"The checkpoint {path} has format {checkpoint['limpid']}, and this Limpid reads {FORMAT}; update Limpid."
        )
    for key in _keys({key: value for key, value in checkpoint.items() if key not in _STATES}):
        if key == "_target_":
            raise UserError(
                f"The checkpoint {path} asks for an object by _target_, which a checkpoint of Limpid never does; "
                "it is refused. Networks are rebuilt by their name alone."
            )
    reason = next(_wrong_types(checkpoint), None)
    if reason is not None:
        raise damaged(path, reason)
    if checkpoint["network_config"].keys() & _NO_SETTINGS:
        raise UserError(
            f"The checkpoint {path} gives settings that no network takes, so it is refused: Limpid did not write it."
        )
    strange = next(_non_finite(checkpoint), None)
    if strange is not None and refuse_non_finite:
        raise damaged(path, f"weights of it are no finite numbers, {strange} for one")
    if strange is not None:
        warnings.warn(
            f"The checkpoint {path} holds weights that are no finite numbers, {strange} for one: what such a network "
            "restores is no image.",
            ResultWarning,
            stacklevel=2,
        )
    return cast(CheckpointContent, checkpoint)


def _wrong_types(checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """What has another type than Limpid writes, in a few words each."""
    if type(checkpoint["limpid"]) is not int:
        yield f"its format is {_shown(checkpoint['limpid'])}"
    yield from (f"it lacks {key}" for key in _NEEDED if checkpoint.get(key) is None)
    yield from _of_other_types(checkpoint, _TYPES, "")
    yield from _of_other_types(checkpoint["provenance"], _FACTS, "provenance.")
    if not checkpoint["network"].isprintable() or len(checkpoint["network"]) > _LONGEST_NAME:
        yield f"network is {_shown(checkpoint['network'])}, which names none"
    for key in ("network_config", "provenance"):
        yield from _not_plain(checkpoint[key], key)
    best = checkpoint.get("best")
    if best is not None and not (isinstance(best, dict) and all(type(value) is float for value in best.values())):
        yield f"best is {_shown(best)}"
    for key in _STATES:
        yield from _no_state(checkpoint.get(key, {}), key)


def _of_other_types(values: Mapping[str, object], types: Mapping[str, type], where: str) -> Iterator[str]:
    for key, kind in types.items():
        value = values.get(key)
        if value is not None and type(value) is not kind:
            yield f"{where}{key} is {_shown(value)}, not {_KINDS[kind]}"


_KINDS = {int: "a whole number", str: "text", dict: "values by name"}


def _not_plain(value: object, where: str) -> Iterator[str]:
    """What is no number, text, list or dict by text, at any depth."""
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                yield f"{where} has the name {_shown(key)}"
            yield from _not_plain(member, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for number, member in enumerate(value):
            yield from _not_plain(member, f"{where}.{number}")
    elif value is not None and type(value) not in (bool, int, float, str):
        yield f"{where} is {_shown(value)}"


def _no_state(state: object, where: str) -> Iterator[str]:
    """What of a state dict is no tensor of numbers, or has no name."""
    if not isinstance(state, dict):
        yield f"{where} is {_shown(state)}, not tensors by name"
        return
    for name, value in state.items():
        if not isinstance(name, str):
            yield f"{where} has the name {_shown(name)}"
        elif not isinstance(value, Tensor) or value.is_complex():
            yield f"{where}.{name} is {_shown(value)}, not real numbers"


def _shown(value: object) -> str:
    """A value in short, as a sentence names it."""
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}"
    text = repr(value) if isinstance(value, bool | int | float | str | None) else f"a {type(value).__name__}"
    return text if len(text) < 60 else f"{text[:60]}..."


def _non_finite(checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """The names of the weights that are NaN or infinite somewhere."""
    for key in _STATES:
        for name, value in checkpoint.get(key, {}).items():
            # What is not finite makes the sum so, which is found faster; so may large numbers.
            if value.is_floating_point() and not value.float().sum().isfinite() and not value.float().isfinite().all():
                yield f"{key}.{name}"


def _keys(value: object) -> Iterator[str]:
    """Every string key anywhere in nested dicts and lists."""
    if isinstance(value, Mapping):
        for key, member in value.items():
            if isinstance(key, str):
                yield key
            yield from _keys(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _keys(member)
