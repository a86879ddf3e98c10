"""Terms that compare what a network finds of the haze, transmission and airlight, with the true values."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from limpid.errors import UserError
from limpid.losses.perceptual import Perceptual
from limpid.losses.step import LossTerm, Step


class HazeMap(LossTerm):
    """The difference of a map of the haze that the network finds from the true one.

    The network's output is a named tuple, an attribute of which is the map. Where a network gives a map of more
    channels than the true one has, each is compared with it.

    Args:
        name: of the true map: ``transmission`` or ``airlight``.
        found: the attribute of the output that is compared; None for one of the same `name`.
        function: takes the found and the true map, float32 `(N, C, H, W)`, or `(N, 3)` of airlights, and gives one
            number; None for the mean absolute difference.

    Raises:
        UserError: there is no map of that name.
    """

    def __init__(
        self, name: str, found: str | None = None, function: Callable[[Tensor, Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        if name not in ("transmission", "airlight"):
            raise UserError(f"The map of the haze is {name!r}, but it must be transmission or airlight.")
        self.name = name
        self.found = found or name
        self.function = function or nn.L1Loss()
        self.requires = frozenset({name})

    def forward(self, step: Step) -> Tensor:
        """The value, in float32.

        Raises:
            UserError: the network gives no such map, or the data does not know the true one.
        """
        found, true = found_map(step, self.found), known_map(step, self.name)
        return self.function(found, true.expand_as(found))


class TransmissionFeatures(Perceptual):
    """The distance of the transmission that a network finds from the true one, in VGG's features (DCPDN, section 3.2).

    Args:
        arguments: see `Perceptual`.
        settings: likewise.
    """

    requires = frozenset({"transmission"})

    def forward(self, step: Step) -> Tensor:
        """The mean over the batch, in float32; transmissions of one channel are shown as grey images.

        Raises:
            UserError: the network gives no transmission, or the data does not know it.
        """
        found, true = found_map(step, "transmission"), known_map(step, "transmission")
        shape = (len(found), 3, *found.shape[-2:])
        return self.between(found.expand(shape), true.expand(shape))


class TransmissionEdges(LossTerm):
    """``mean | |d t| - |d t*| |`` of the differences of neighbouring pixels, across and down, summed (DCPDN, 3.2)."""

    requires = frozenset({"transmission"})

    def forward(self, step: Step) -> Tensor:
        """The value, in float32.

        Raises:
            UserError: the network gives no transmission, or the data does not know it.
        """
        found = found_map(step, "transmission")
        true = known_map(step, "transmission").expand_as(found)
        across, down = (F.l1_loss(found.diff(dim=d).abs(), true.diff(dim=d).abs()) for d in (-1, -2))
        return across + down


def found_map(step: Step, name: str) -> Tensor:
    """The map `name` in the network's output, float32.

    Raises:
        UserError: there is none.
    """
    found = getattr(step.output, name, None)
    if not isinstance(found, Tensor):
        raise UserError(
            f"A term of the loss compares the {name} that the network finds, and its output has none; choose a network "
            "that gives it in training, such as network=mscnn, or leave the term out."
        )
    return found.float()


def known_map(step: Step, name: str) -> Tensor:
    """The true map `name`, ``transmission`` or ``airlight``, float32; raises UserError where the data has none."""
    return (step.known_transmission if name == "transmission" else step.known_airlight).float()
