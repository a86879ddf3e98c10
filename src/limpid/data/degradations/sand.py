"""Sandstorms by the sand-dust scattering model, with the integrated variable that AOSR-Net learns.

Si et al., AOSR-Net: all-in-one sandstorm removal network, 2023, equations 2, 3, 5 and 6 and algorithm 1:

    I = A + (J - A') t,    t = exp(-beta d),    A' = 1 - A
    J = Phi (I - alpha) + b,    alpha = 1.6,  b = 1

I is the image in the sandstorm, J the clear one, A the global colour deviation, A' its complement, t the transmission,
d the scene depth, Phi the integrated variable. The paper writes beta for both the attenuation and the control
coefficient; the latter is `b` here. With b = 1, equation 6 is Phi = (J - b) / (I - alpha): A, A' and t cancel. I leaves
[0, 1] and is clipped, as a file would hold it; Phi is made from the clipped I, so equation 5 gives back J exactly, and
Phi stays within [0, 1 / 0.6]. With t = 1 the model gives J + 2 A - 1: the cast does not vanish at the camera.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from limpid.data.degradations.haze import scatter, transmission_from_depth
from limpid.data.degradations.operators import Image, Sample, checked_range, current
from limpid.data.degradations.pseudo_depth import checked_source, depth_of
from limpid.errors import UserError
from limpid.ranges import FiniteFloat, NonNegativeFloat, PositiveFloat, Share

#: AOSR-Net's control coefficients alpha and b (section III B).
ALPHA, CONTROL = 1.6, 1.0
#: Colour deviations of photographs of sandstorms; `limpid.data.degradations.sand_colours` made it.
LIBRARY = Path(__file__).with_name("sand_colours.yaml")


@cache
def load_sand_colours(file: Path = LIBRARY) -> NDArray[np.float32]:
    """The library (n, 3) float32 RGB in [0, 1]; read once, not to be written to."""
    colours = np.array(yaml.safe_load(file.read_text(encoding="utf-8"))["colours"], np.float32)
    colours.flags.writeable = False
    return colours


def sand_scatter(
    image: Image, transmission: NDArray[np.float32], colour: Sequence[float] | NDArray[np.generic]
) -> Image:
    """The image in a sandstorm, I = A + (J - (1 - A)) t (equation 2); nothing is clipped.

    Args:
        image: the clear image J `(H, W, 3)` in [0, 1].
        transmission: t `(H, W, 1)` in (0, 1], or what broadcasts.
        colour: the colour deviation A (3,) in [0, 1].
    """
    deviation = np.asarray(colour, image.dtype)
    return deviation + (image - (1 - deviation)) * transmission


#: How a sandstorm is made, by the name that `Sand` takes.
MODELS: dict[str, Callable[[Image, NDArray[np.float32], NDArray[np.float32]], Image]] = {
    "deviation": sand_scatter,
    "scattering": scatter,
}


def integrated_variable(clear: Image, sandy: Image, alpha: float = ALPHA, control: float = CONTROL) -> Image:
    """Phi = (J - b) / (I - alpha), for which equation 5 gives J from I.

    Args:
        clear: J in [0, 1].
        sandy: I in [0, 1], of the same shape.
        alpha: above 1, so that the denominator is never 0.
        control: b.
    """
    return (clear - np.float32(control)) / (sandy - np.float32(alpha))


def restored_from_phi(phi: Image, sandy: Image, alpha: float = ALPHA, control: float = CONTROL) -> Image:
    """J = Phi (I - alpha) + b (equation 5)."""
    return phi * (sandy - np.float32(alpha)) + np.float32(control)


class Sand:
    """Puts a sandstorm of a drawn density and colour on a sample.

    Args:
        beta: range of the attenuation coefficient, per relative depth, drawn uniformly.
        colours: the library of colour deviations A, each three numbers in [0, 1]; None is the one that comes with this
            module, which was estimated from photographs of sandstorms because the paper's is not public.
        depth: ``sample`` takes the sample's `depth`, ``stand_in`` guesses it from the clear image (see
            `stand_in_depth`; it is no measurement), ``either`` guesses where the sample has none, ``drawn`` draws one.
            Depth is divided by its maximum, so that it is relative to the furthest point.
        model: ``deviation`` is AOSR-Net's equation 2, in which the cast is at the camera too; ``scattering`` is that of
            haze with the colour as its airlight, I = J t + A (1 - t).
        alpha: AOSR-Net's control coefficient, above 1.
        control: the other one, `b`.

    Raises:
        UserError: a setting is out of bounds.
    """

    def __init__(
        self,
        beta: Sequence[NonNegativeFloat] = (0.3, 0.6),
        colours: Sequence[Sequence[Share]] | None = None,
        depth: str = "either",
        model: str = "deviation",
        alpha: PositiveFloat = ALPHA,
        control: FiniteFloat = CONTROL,
    ) -> None:
        self.beta = checked_range("sandstorm", "beta", beta)
        if alpha <= 1:
            raise UserError(f"The sandstorm's alpha is {alpha}, but it must be above 1, or Phi could be infinite.")
        library = load_sand_colours() if colours is None else np.array(list(map(list, colours)), np.float32)
        if library.ndim != 2 or library.shape[1] != 3 or not ((library >= 0) & (library <= 1)).all():
            raise UserError("The sandstorm's colours must be a list of colours, each of three numbers within 0 and 1.")
        self.colours = library
        self.depth = checked_source("sandstorm", depth)
        if model not in MODELS:
            raise UserError(f"The sandstorm's model is {model!r}, but it must be deviation or scattering.")
        self.scatter = MODELS[model]
        self.alpha = alpha
        self.control = control

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample in a sandstorm.

        Args:
            sample: `target` `(H, W, 3)`, and `depth` (H, W) where it is known, in any unit, 0 at the camera.
            rng: source of beta and the colour, drawn in this order.

        Returns:
            The sample with `input` in [0, 1], `phi` `(H, W, 3)` for which `restored_from_phi(phi, input)` is the
            target, `beta`, and `sand_colour` (3,).

        Raises:
            UserError: the sample has no depth and none may be guessed.
        """
        beta = float(rng.uniform(*self.beta))
        colour = self.colours[rng.integers(len(self.colours))].copy()
        transmission = transmission_from_depth(self._relative_depth(sample, rng), beta)[..., None]
        sandy = np.clip(self.scatter(current(sample), transmission, colour), 0, 1)
        phi = integrated_variable(sample["target"], sandy, self.alpha, self.control)
        return sample | {"input": sandy, "phi": phi, "beta": beta, "sand_colour": colour}

    def _relative_depth(self, sample: Sample, rng: np.random.Generator) -> NDArray[np.float32]:
        scene_depth = depth_of(sample, self.depth, "The sandstorm", rng)
        furthest = scene_depth.max()
        return scene_depth / furthest if furthest > 0 else scene_depth
