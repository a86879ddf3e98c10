"""A method ready to restore images: a network with its weights or a prior, and the way images go through it.

`limpid predict`, `limpid serve`, videos and `limpid.restore` take theirs from here, so that they restore alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import limpid
from limpid import checkpoint, hints, zoo
from limpid.config.registry import build, network_config, registered
from limpid.errors import UserError
from limpid.inference import Adaptive

if TYPE_CHECKING:
    from torch import nn

    from limpid.inference import Inference

#: How many hex digits of the sha256 of weights an identity shows.
_DIGITS = 12


@dataclass(frozen=True)
class Method:
    """What restores images.

    Attributes:
        name: of the method: a prior's, a network's, or a card's of the zoo; for a checkpoint the stem of its file.
        network: in evaluation mode, on its device.
        inference: how images go through the network.
        identity: one line of ASCII that says network, weights and Limpid's version, such as
            ``Limpid 0.1.0, rfd_student, zoo:rfd_student_scenes 2e775fbce4e9``; equal lines restore alike.
    """

    name: str
    network: nn.Module
    inference: Inference
    identity: str

    def restore(self, x: Tensor, strength: float = 1.0) -> Tensor:
        """The restored image of `x`: float32, the same shape, in [0, 1], on the device of `x`, without gradients.

        Args:
            x: float32 `(N, 3, H, W)`, RGB in [0, 1].
            strength: how much of the change is made: 0 gives `x`, 1 what the method gives.
        """
        with torch.no_grad():
            return blended(x, self.inference(self.network, x), strength)


@torch.no_grad()
def blended(x: Tensor, restored: Tensor, strength: float) -> Tensor:
    """``x + strength * (restored - x)``, held to [0, 1]; `restored` may be written over, to need no more memory."""
    if strength == 1.0:
        return restored.clamp_(0.0, 1.0)
    return torch.lerp(x, restored, strength, out=restored).clamp_(0.0, 1.0)


def made_by(method: Method, strength: float) -> str:
    """The line that a result carries: the method's identity, and the strength where it is not 1."""
    return method.identity if strength == 1.0 else f"{method.identity}, strength {strength:g}"


def method(
    name: str,
    device: str = "auto",
    inference: Inference | None = None,
    allow_targets: Sequence[str] = (),
    allow_nonfree: bool = False,
) -> Method:
    """The method of a name, ready to use.

    Args:
        name: of a prior; of a network, for its default weights in the zoo; ``zoo:NAME`` for those of a card; the alias
            of one, such as ``haze``; or the path of a checkpoint or of a safetensors file.
        device: where the network works; ``auto`` is the first accelerator there is, else the CPU.
        inference: how images go through it; by default as conf/inference/adaptive.yaml says.
        allow_targets: packages besides Limpid's usual ones that a network's config may take it from.
        allow_nonfree: that a method may be used whose use others restrict.

    Raises:
        CannotRun: others restrict the use of the method, and nothing says that it may be used.
        UserError: there is no such method, its weights are damaged, or there is no such device.
    """
    where = device_named(device)
    name = checkpoint.own_name(name)
    if name not in registered() and zoo.parse_zoo_name(name) is None and not Path(name).is_file():
        hints.refuse_unknown(name, registered())
    place = checkpoint.place_of(name, allow_targets)
    if place is None:
        restricted = {"allow_nonfree"} & set(network_config(name))
        network = build(name, allow_targets=allow_targets, **dict.fromkeys(restricted, allow_nonfree))
        return method_of(network, name, None, where, inference)
    content = checkpoint.read(Path(place))
    network = checkpoint.network(content, Path(place), allow_targets)
    made = method_of(network, content["network"], place, where, inference)
    return replace(made, name=short_name(name))


def method_of(
    network: nn.Module,
    name: str,
    place: str | None,
    device: torch.device,
    inference: Inference | None = None,
    settings: str = "",
) -> Method:
    """The method that a `network` with its weights is.

    Args:
        network: ready to use; it is moved to the device.
        name: of the network, or of the prior.
        place: where its weights come from: a path or ``zoo:NAME``; None for a prior.
        device: where it works.
        inference: see `method`.
        settings: what differs from a prior's own settings, for the identity.

    Raises:
        UserError: it restores nothing.
    """
    from limpid.priors.trivial import Identity

    if isinstance(network, Identity):
        raise UserError(f"The model {name} has no network of its own, so it restores nothing; choose another.")
    words = [f"Limpid {limpid.__version__}", f"{name} {settings}".strip()]
    if place is not None:
        words.append(f"{_shown(place)} {checkpoint.fingerprint(Path(place))[:_DIGITS]}")
    identity = ", ".join(words).encode("ascii", "backslashreplace").decode()  # as EXIF has it
    inference = inference or _usual_inference()
    if place is not None and isinstance(inference, Adaptive) and (card := zoo.parse_zoo_name(place)) is not None:
        inference = inference.at(zoo.find(card).restore_at)
    return Method(name, network.eval().to(device), inference, identity)


def device_named(name: str) -> torch.device:
    """The device `name`; `auto` is the first accelerator there is, else the CPU.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"There is no device {name!r} here ({str(error).splitlines()[0]}); use device=auto or device=cpu."
        ) from error
    return device


def short_name(name: str) -> str:
    """The name of a method in what it is asked for by: without ``zoo:``, and of a file its stem."""
    card = zoo.parse_zoo_name(name)
    if card is not None:
        return card
    return Path(name).stem if Path(name).suffix or Path(name).is_file() else name


def _shown(place: str) -> str:
    """The name of a card, or of a file without its folder."""
    return place if zoo.parse_zoo_name(place) is not None else Path(place).name


def _usual_inference() -> Inference:
    from limpid.config.instantiate import construct
    from limpid.config.recipes import option

    inference: Inference = construct(option("inference", "adaptive"), "inference")
    return inference
