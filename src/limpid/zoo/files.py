"""Weights in safetensors files: tensors, and in the header the network that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from limpid.errors import UserError
from limpid.store.atomic_io import atomic_write, json_text
from limpid.surroundings import refusals_of_system

SUFFIX = ".safetensors"
#: The version of the header's entries; the same number as that of checkpoints.
_FORMAT = "1"


def write(
    path: Path,
    state: Mapping[str, Tensor],
    network: str,
    network_config: Mapping[str, object],
    provenance: Mapping[str, object] | None = None,
) -> None:
    """Write `state` whole or not at all; numbers that are not float32 become so, whole numbers stay.

    Args:
        path: where to.
        state: the network's own state dict.
        network: its name in the registry.
        network_config: its settings, plain values.
        provenance: plain facts on where the weights come from.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {
        name: (value.detach().float() if value.is_floating_point() else value.detach()).cpu().contiguous().clone()
        for name, value in state.items()
    }
    header = {"limpid": _FORMAT, "network": network, "network_config": json_text(network_config)}
    content = save(tensors, {**header, "provenance": json_text(provenance or {})})
    with refusals_of_system(), atomic_write(path) as file:
        file.write_bytes(content)


def tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file by name, and its header's metadata.

    Raises:
        UserError: it is cut short, damaged, or not such a file.
    """
    try:
        with safe_open(str(path), framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"The file {path} is cut short, damaged, or no safetensors file ({error}); copy it again."
        ) from error


def read(path: Path, device: str = "cpu") -> dict[str, object]:
    """The file at `path` in the form of a checkpoint.

    Raises:
        UserError: it is damaged, or its header does not say which network it holds.
    """
    state, header = tensors(path, device)
    try:
        config, provenance = (json.loads(header.get(key) or "{}") for key in ("network_config", "provenance"))
    except (json.JSONDecodeError, RecursionError):
        config = provenance = None
    if "network" not in header or not isinstance(config, dict) or not isinstance(provenance, dict):
        raise UserError(
            f"The header of {path} does not say which network of Limpid it holds; for weights from elsewhere use "
            f"`limpid zoo import NETWORK {path}`."
        )
    return {
        "limpid": int(_FORMAT) if header.get("limpid", _FORMAT) == _FORMAT else header["limpid"],
        "network": header["network"],
        "network_config": config,
        "provenance": provenance,
        "state_dict": {f"network.{name}": value for name, value in state.items()},
    }
