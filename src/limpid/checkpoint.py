"""Checkpoint files: plain values and tensors, written so that a crash never leaves a broken one, read without pickle.

A checkpoint is `{limpid: 1, network, network_config, provenance, ...}` beside Lightning's own state. `state_dict` holds
the weights a result was measured with (the averaged ones under EMA) and `current_model_state`, if there, the raw ones.

Wherever a checkpoint's path is taken, ``zoo:NAME`` stands for the weights of a card (`limpid.zoo`), and a safetensors
file whose header names the network is a checkpoint too.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import torch
from torch import nn

from limpid import zoo
from limpid.config.registry import build, network_config, registered
from limpid.errors import UserError, nearest
from limpid.store.atomic_io import atomic_write
from limpid.zoo import files

#: The version of the format; readers refuse what they do not know.
FORMAT = 1

_PREFIX = "network."


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
    state_dict: dict[str, torch.Tensor]
    current_model_state: NotRequired[dict[str, torch.Tensor]]
    hyper_parameters: NotRequired[dict[str, object]]
    best: NotRequired[dict[str, float] | None]


def save(checkpoint: Mapping[str, object], path: Path) -> None:
    """Write `checkpoint` beside its place, make it durable, and move it there; the one before is kept as `.previous`.

    Raises:
        UserError: the file cannot be written (a full disk, for one); what was there before is left as it was.
    """
    try:
        with atomic_write(path, path.with_name(path.name + ".part")) as beside:
            with beside.open("wb") as file:
                torch.save(dict(checkpoint), file)
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                _keep_as_previous(path)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as a RuntimeError
        before = "the one before it is untouched" if path.exists() else "there is none before it"
        raise UserError(
            f"The checkpoint {path} could not be written ({str(error).partition(chr(10))[0]}); {before}: make room on "
            "the disk and give the same command again."
        ) from error
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _keep_as_previous(path: Path) -> None:
    """Give the checkpoint at `path` the name `.previous` too, without a moment in which neither is there."""
    keep = path.with_name(path.name + ".keep")
    keep.unlink(missing_ok=True)
    os.link(path, keep)
    keep.replace(previous(path))
    keep.unlink(missing_ok=True)  # after a crash just after this, both names were one file, and renaming did nothing


def previous(path: Path) -> Path:
    """The path under which the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def read(path: Path, device: str = "cpu") -> CheckpointContent:
    """The checkpoint at `path`, which may be ``zoo:NAME`` or a safetensors file.

    Raises:
        UserError: the file is missing, cut short, holds objects other than plain values and tensors, is not one of
            Limpid's, or hides a `_target_` among its values; or it is not what its zoo card says.
    """
    if (name := zoo.parse_zoo_name(path)) is not None:
        card = zoo.find(name)
        card.verify()
        checkpoint = _checked(files.read(card.weights, device), card.weights)
        if (checkpoint["network"], checkpoint["network_config"]) != (card.network, card.network_config):
            raise UserError(f"The zoo card {card.file} and its weights name different networks or settings.")
        return {**checkpoint, "provenance": {**checkpoint["provenance"], **card.provenance()}}
    if not path.is_file():
        hint = "; give ckpt=PATH to one that exists, or ckpt=zoo:NAME."
        if str(path) in zoo.cards():
            hint = f"; did you mean {zoo.PREFIX}{path}?"
        elif str(path) in registered():
            hint = f": {path} is a model; give model={path}."
        raise UserError(f"There is no checkpoint {path}{hint}")
    return _checked(files.read(path, device) if path.suffix == files.SUFFIX else unpickled(path, device), path)


def unpickled(path: Path, device: str = "cpu") -> Any:
    """The content of the file that `torch.save` wrote to `path`, plain values and tensors only.

    Raises:
        UserError: the file is cut short, or holds other objects.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"The checkpoint {path} holds Python objects or is not a checkpoint at all, so it is not opened: such a "
            "file can run any code. Save plain tensors (a state dict) and try again."
        ) from error
    except Exception as error:  # bytes that are no pickle at all are read as one, and any step of it may fail
        raise UserError(
            f"The checkpoint {path} is cut short or damaged; copy it again, or use {previous(path).name} beside it "
            "if that is there."
        ) from error


def _checked(checkpoint: object, path: Path) -> CheckpointContent:
    """The content of a checkpoint, once it is known to be Limpid's and to name no object by `_target_`."""
    if not isinstance(checkpoint, dict) or "limpid" not in checkpoint:
        raise UserError(f"The file {path} is not a checkpoint of Limpid: it does not say which network it holds.")
    if checkpoint["limpid"] != FORMAT:
        raise UserError(
            f"The checkpoint {path} has format {checkpoint['limpid']}, and this Limpid reads {FORMAT}; update Limpid."
        )
    plain = {key: value for key, value in checkpoint.items() if key not in ("state_dict", "current_model_state")}
    for key in _keys(plain):
        if key == "_target_":
            raise UserError(
                f"The checkpoint {path} asks for an object by _target_, which a checkpoint of Limpid never does; "
                "it is refused. Networks are rebuilt by their name alone."
            )
    config = checkpoint.get("network_config")
    if not isinstance(config, dict) or config.keys() & {"name", "allow_targets", "allow_nonfree", "_partial_"}:
        raise UserError(
            f"The checkpoint {path} gives settings that no network takes, so it is refused: Limpid did not write it."
        )
    return cast(CheckpointContent, checkpoint)


def weights(checkpoint: CheckpointContent, raw: bool = False) -> dict[str, torch.Tensor]:
    """The network's own state dict: the weights that were measured, or the `raw` ones where an average was kept."""
    measured = checkpoint["state_dict"]
    state = checkpoint.get("current_model_state", measured) if raw else measured
    return {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}


def network(checkpoint: CheckpointContent, where: Path, allow_targets: Sequence[str] = ()) -> nn.Module:
    """The network of a checkpoint, rebuilt by name, with its weights, ready to restore images.

    Raises:
        UserError: the name or the settings are unknown here, or the weights do not fit them.
    """
    module = build(checkpoint["network"], allow_targets=allow_targets, **checkpoint["network_config"])
    load(module, weights(checkpoint), where)
    return module.eval()


def load(module: nn.Module, state: Mapping[str, torch.Tensor], where: Path) -> None:
    """Put `state` into `module`, all of it.

    Raises:
        UserError: names or shapes differ.
    """
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        raise UserError(
            f"The weights of {where} do not fit the network they name: {str(error).splitlines()[-1].strip()}"
        ) from error


def trained(what: str | os.PathLike[str], allow_targets: Sequence[str] = ()) -> nn.Module:
    """A network with trained weights, ready to restore images; `limpid.load` is this function.

    Args:
        what: the name of a network, for its default weights in the zoo; ``zoo:NAME`` for those of a card; the path of a
            checkpoint or of a safetensors file; or the name of a prior, which needs no weights.
        allow_targets: packages besides Limpid's usual ones that a network's config may take it from.

    Returns:
        The network in evaluation mode, on the CPU. It maps a float32 tensor `(N, 3, H, W)` of RGB in [0, 1] to the
        restored image, of the same shape but not always within [0, 1], or to a named tuple with `.restored`. Gradients
        are kept where PyTorch keeps them. `limpid.restore` takes photographs of any kind instead, and gives them back.

    Raises:
        UserError: there are no such weights, or they are damaged or do not fit.
    """
    place = place_of(what, allow_targets)
    if place is None:
        return build(os.fspath(what), allow_targets=allow_targets).eval()
    return network(read(Path(place)), Path(place), allow_targets)


def place_of(what: str | os.PathLike[str], allow_targets: Sequence[str] = ()) -> str | None:
    """Where the weights lie that `what` names (see `trained`): a path or ``zoo:NAME``; None for a prior.

    Raises:
        UserError: nothing has that name, or the zoo has no weights for that network.
    """
    name = os.fspath(what)
    if zoo.parse_zoo_name(name) is not None:
        return name
    if name in registered():
        card = zoo.default_for(name)
        if card is not None:
            return f"{zoo.PREFIX}{card.name}"
        if not is_prior(name, allow_targets):
            raise UserError(
                f"The zoo has no weights for the network {name}; give the path of a checkpoint, or `limpid.build("
                f"{name!r})` for one that learnt nothing."
            )
        return None
    if not Path(name).exists():
        known = [*registered(), *(f"{zoo.PREFIX}{card}" for card in zoo.cards())]
        raise UserError(f"{name!r} is no network, no zoo:NAME and no file{nearest(name, known) or '.'}")
    return name


def is_prior(name: str, allow_targets: Sequence[str] = ()) -> bool:
    """Whether what the registry calls `name` learns nothing, and so needs no weights."""
    if str(network_config(name).get("_target_")).startswith("limpid.priors."):
        return True
    return not any(True for _ in build(name, allow_targets=allow_targets).parameters())


def fingerprint(path: Path) -> str:
    """The sha256 of the file at `path`, or of the weights that ``zoo:NAME`` stands for, in hex."""
    name = zoo.parse_zoo_name(path)
    return zoo.sha256(path if name is None else zoo.find(name).weights)


def weights_fingerprint(state: Mapping[str, torch.Tensor]) -> str:
    """The sha256 over names, shapes and bits of `state`, in hex: equal weights give equal fingerprints."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name}{tuple(state[name].shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


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
