"""Checkpoint files: plain values and tensors, written so that a crash never leaves a broken one, read without pickle.

A checkpoint is `{limpid: 1, network, network_config, provenance, ...}` beside Lightning's own state. `state_dict` holds
the weights a result was measured with (the averaged ones under EMA) and `current_model_state`, if there, the raw ones.

Wherever a checkpoint's path is taken, ``zoo:NAME`` stands for the weights of a card (`limpid.zoo`), and a safetensors
file whose header names the network is a checkpoint too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from limpid import zoo
from limpid.config.registry import build, network_config, registered
from limpid.errors import Damaged, UserError, nearest
from limpid.paths import IS_NOT_THERE, why_no_file
from limpid.store.atomic_io import atomic_write, read_json, synchronize, write_json
from limpid.zoo import content, files, torch_files
from limpid.zoo.bounded import bounded
from limpid.zoo.content import FORMAT, CheckpointContent
from limpid.zoo.published import obtain

__all__ = ["FORMAT", "CheckpointContent", "fingerprint", "network", "read", "save", "trained", "weights"]

#: The file beside a run's checkpoints that holds the sha256 of each.
RECORD = "sha256.json"

_PREFIX = "network."
#: Ends the stem of a checkpoint that is kept because another took its place.
_PREVIOUS = ".previous"


def save(checkpoint: Mapping[str, object], path: Path, recorded: bool = False) -> None:
    """Write `checkpoint` beside its place, make it durable, and move it there; the one before is kept as `.previous`.

    Args:
        checkpoint: plain values and tensors.
        path: where it goes.
        recorded: whether its sha256 is noted beside it, so that `read` tells it from one that was changed.

    Raises:
        UserError: the file cannot be written (a full disk, for one); what was there before is left as it was.
    """
    try:
        with atomic_write(path, path.with_name(path.name + ".part")) as beside:
            with beside.open("wb") as file:
                torch.save(dict(checkpoint), file)
            synchronize(beside)
            if recorded:
                record(beside, path)
            if path.exists():
                _keep_as_previous(path)
        synchronize(path.parent)
    except (OSError, RuntimeError) as error:  # torch.save reports a full disk as a RuntimeError
        before = "the one before it is untouched" if path.exists() else "there is none before it"
        raise UserError(
            f"The checkpoint {path} could not be written ({str(error).partition(chr(10))[0]}); {before}: make room on "
            "the disk and give the same command again."
        ) from error


def record(file: Path, path: Path) -> None:
    """Note beside `path` the sha256 of the `file` that is to take its place, and that of the one before it.

    Both are noted before the file is moved, so that a kill at any moment leaves a file whose sha256 is known.
    """
    digests = [zoo.sha256(place) for place in (file, path) if place.is_file()]
    write_json(path.with_name(RECORD), {**_recorded(path), path.name: digests})


def _recorded(path: Path) -> dict[str, list[str]]:
    """The sha256 of the newest two checkpoints of each name in the folder of `path`, as far as they were noted."""
    try:
        noted: object = read_json(path.with_name(RECORD))
    except (OSError, ValueError):
        return {}
    lists = noted.items() if isinstance(noted, dict) else ()
    return {name: known for name, known in lists if isinstance(known, list)}


def _keep_as_previous(path: Path) -> None:
    """Give the checkpoint at `path` the name `.previous` too, without a moment in which neither is there."""
    keep = path.with_name(path.name + ".keep")
    keep.unlink(missing_ok=True)
    os.link(path, keep)
    keep.replace(previous(path))
    keep.unlink(missing_ok=True)  # after a crash just after this, both names were one file, and renaming did nothing


def previous(path: Path) -> Path:
    """The path under which the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.stem}{_PREVIOUS}{path.suffix}")


def read(path: Path, device: str = "cpu", refuse_non_finite: bool = False) -> CheckpointContent:
    """The checkpoint at `path`, which may be ``zoo:NAME`` or a safetensors file.

    Weights that others publish are fetched here when they are first used.

    Args:
        path: of the file.
        device: where its tensors go.
        refuse_non_finite: whether weights that are NaN or infinite are refused; otherwise a warning tells of them.

    Raises:
        Damaged: the file is cut short or changed; the sentence names the one before it, where that is whole.
        UserError: it is missing, holds objects other than plain values and tensors, is not one of Limpid's, or hides a
            `_target_` among its values; or it is not what its zoo card says, or could not be fetched.
    """
    if (name := zoo.parse_zoo_name(path)) is not None:
        card = obtain(zoo.find(name))
        card.verify()
        checkpoint = content.checked(files.read(card.weights, device), card.weights, refuse_non_finite)
        if (checkpoint["network"], checkpoint["network_config"]) != (card.network, card.network_config):
            raise UserError(f"The zoo card {card.file} and its weights name different networks or settings.")
        return {**checkpoint, "provenance": {**checkpoint["provenance"], **card.provenance()}}
    why = why_no_file(path)
    if why is not None:
        if str(path) in zoo.cards() or str(path) in zoo.aliases():
            raise UserError(f"There is no checkpoint {path}; did you mean {zoo.PREFIX}{path}?")
        if str(path) in registered():
            raise UserError(f"There is no checkpoint {path}: {path} is a model; give model={path}.")
        problem = f"There is no checkpoint {path}" if why == IS_NOT_THERE else f"The checkpoint {path} {why}"
        raise UserError(f"{problem}; give ckpt=PATH to one that exists, or ckpt=zoo:NAME.")
    try:
        return _read(path, device, refuse_non_finite)
    except Damaged as error:
        before = previous(path)
        if why_no_file(before) is not None or not _is_whole(before):
            raise
        sentence = f"{str(error).removesuffix('.')}, or use {before} beside it, which is whole."
        raise Damaged(sentence, error.reason) from error


def _read(path: Path, device: str = "cpu", refuse_non_finite: bool = True) -> CheckpointContent:
    known = _recorded(path).get(f"{path.stem.removesuffix(_PREVIOUS)}{path.suffix}")
    if known is not None and zoo.sha256(path) not in known:
        raise content.damaged(path, f"it is not the file that the run wrote: its sha256 is not in {RECORD}")
    if path.suffix == files.SUFFIX:
        return content.checked(files.read(path, device), path, refuse_non_finite)
    values = torch_files.content(path, device, checked=known is not None)
    return content.checked(values, path, refuse_non_finite)


def _is_whole(path: Path) -> bool:
    try:
        _read(path)
    except UserError:
        return False
    return True


def weights(checkpoint: CheckpointContent, raw: bool = False) -> dict[str, torch.Tensor]:
    """The network's own state dict: the weights that were measured, or the `raw` ones where an average was kept."""
    measured = checkpoint["state_dict"]
    state = checkpoint.get("current_model_state", measured) if raw else measured
    return {name.removeprefix(_PREFIX): value for name, value in state.items() if name.startswith(_PREFIX)}


def network(checkpoint: CheckpointContent, where: Path, allow_targets: Sequence[str] = ()) -> nn.Module:
    """The network of a checkpoint, rebuilt by name, with its weights, ready to restore images.

    Raises:
        UserError: the name or the settings are unknown here, ask for more than the weights fill, or the weights do not
            fit them.
    """
    name, settings = checkpoint["network"], checkpoint["network_config"]
    state = weights(checkpoint)
    try:
        if not settings.items() <= network_config(name).items():  # others may ask for any size
            with suppress(NotImplementedError), bounded(state), torch.device("meta"):
                build(name, allow_targets=allow_targets, **settings)  # takes no memory
        module = build(name, allow_targets=allow_targets, **settings)
    except UserError as error:
        raise UserError(f"The network in the checkpoint {where} cannot be made: {error}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError, MemoryError) as error:
        raise UserError(
            f"The network {name} cannot be made with the settings in the checkpoint {where} "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]}); give another checkpoint."
        ) from error
    load(module, state, where)
    return module.eval()


def load(module: nn.Module, state: Mapping[str, torch.Tensor], where: Path) -> None:
    """Put `state` into `module`, all of it.

    Raises:
        UserError: names, shapes or kinds of numbers differ.
    """
    for name, value in module.state_dict().items():
        if name in state and state[name].is_floating_point() != value.is_floating_point():
            raise UserError(
                f"The weights of {where} do not fit the network they name: {name} holds {state[name].dtype} in the "
                f"place of {value.dtype}."
            )
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        raise UserError(
            f"The weights of {where} do not fit the network they name: {str(error).splitlines()[-1].strip()}"
        ) from error


def trained(what: str | os.PathLike[str], allow_targets: Sequence[str] = ()) -> nn.Module:
    """A network with trained weights, ready to restore images; `limpid.load` is this function.

    Args:
        what: the name of a network, for its default weights in the zoo; ``zoo:NAME`` for those of a card, which are
            fetched where others publish them and they are not here yet; the alias of a card, such as ``haze``; the path
            of a checkpoint or of a safetensors file; or the name of a prior, which needs no weights.
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
    name = own_name(os.fspath(what))
    if zoo.parse_zoo_name(name) is not None:
        return name
    if name in registered():
        card = zoo.default_for(name)
        if card is not None:
            return f"{zoo.PREFIX}{card.name}"
        if not is_prior(name, allow_targets):
            raise UserError(
                f"The zoo has no weights for the network {name} at hand; give the path of a checkpoint, or "
                f"{zoo.how_to_name(name)}, or `limpid.build({name!r})` for one that learnt nothing."
            )
        return None
    if why_no_file(Path(name)) == IS_NOT_THERE:
        known = [*registered(), *(f"{zoo.PREFIX}{card}" for card in zoo.cards()), *zoo.aliases()]
        raise UserError(f"{name!r} is no network, no zoo:NAME and no file{nearest(name, known) or '.'}")
    return name


def own_name(name: str) -> str:
    """The ``zoo:NAME`` of a card where `name` is an alias of it, with or without ``zoo:``; anything else as it is.

    A network or a file of that name comes first.
    """
    if name in registered() or Path(name).is_file():
        return name
    card = None if zoo.parse_zoo_name(name) is not None else zoo.aliases().get(name)
    return zoo.own_name(name) if card is None else f"{zoo.PREFIX}{card.name}"


def is_prior(name: str, allow_targets: Sequence[str] = ()) -> bool:
    """Whether what the registry calls `name` learns nothing, and so needs no weights."""
    if str(network_config(name).get("_target_")).startswith("limpid.priors."):
        return True
    return not any(True for _ in build(name, allow_targets=allow_targets).parameters())


def fingerprint(path: Path) -> str:
    """The sha256 of the file at `path`, or of the weights that ``zoo:NAME`` stands for, in hex."""
    name = zoo.parse_zoo_name(path)
    return zoo.sha256(path if name is None else obtain(zoo.find(name)).weights)


def weights_fingerprint(state: Mapping[str, torch.Tensor]) -> str:
    """The sha256 over names, shapes and bits of `state`, in hex: equal weights give equal fingerprints."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name}{tuple(state[name].shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
