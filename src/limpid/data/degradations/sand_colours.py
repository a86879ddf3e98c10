"""How the colours of sandstorms are estimated from photographs, for the library of `Sand`.

The sand-dust scattering model (`limpid.data.degradations.sand`) needs a global colour deviation A. Its authors' library
is not public. The one in `sand_colours.yaml` was made with

    python -m limpid.data.degradations.sand_colours FOLDER

from a folder of photographs of sandstorms; it holds numbers only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limpid.data.degradations.operators import Image
from limpid.data.image_io import SUFFIXES, read_image
from limpid.errors import UserError


def estimate_sand_colour(image: Image, clear_mean: float = 0.4, transmission: float = 0.8) -> NDArray[np.float32]:
    """The colour deviation A of a photograph of a sandstorm, under the grey-world assumption.

    Where t varies little, the mean over the image of I = A + (J - (1 - A)) t is A (1 + t) - t (1 - mean(J)). If the
    clear scene is grey on average and as bright as clear photographs are, then per channel

        A = (mean(I) + t (1 - clear_mean)) / (1 + t)

    so images made with A have the photograph's mean colour.

    Args:
        image: `(H, W, 3)` RGB in [0, 1].
        clear_mean: the mean of clear images in all channels; 150 outdoor photographs have 0.39 (red 0.39, blue 0.38).
        transmission: the mean transmission; the default is that of beta in [0.3, 0.6] at the middle depth 0.5.

    Returns:
        (3,) float32 in [0, 1].
    """
    mean = image.reshape(-1, 3).mean(axis=0, dtype=np.float64)
    estimate = (mean + transmission * (1 - clear_mean)) / (1 + transmission)
    return np.clip(estimate, 0, 1).astype(np.float32)


def is_sandy(image: Image, least_cast: float = 0.08) -> bool:
    """Whether the mean colour is that of sand: red above green above blue, and red above blue by `least_cast`."""
    red, green, blue = image.reshape(-1, 3).mean(axis=0)
    return bool(red > green > blue and red - blue >= least_cast)


def colour_library(images: Iterable[Image], apart: float = 0.01) -> NDArray[np.float32]:
    """The colours of the sandy images among `images`, without those nearer than `apart` to one before.

    Returns:
        (n, 3) float32, from the weakest cast (red minus blue) to the strongest.
    """
    kept: list[NDArray[np.float32]] = []
    for image in images:
        colour = estimate_sand_colour(image)
        if is_sandy(image) and all(np.abs(colour - other).max() >= apart for other in kept):
            kept.append(colour)
    return np.array(sorted(kept, key=lambda colour: float(colour[0] - colour[2])), np.float32).reshape(-1, 3)


def main(folder: str) -> None:
    """Print the library of all images below `folder`, as `sand_colours.yaml` has it."""
    files = sorted(f for f in Path(folder).rglob("*") if f.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"There is no image below {folder}; give a folder of photographs of sandstorms.")
    colours = colour_library(read_image(file) for file in files)
    print("# Global colour deviations A (red, green, blue) of the sand-dust scattering model, from the weakest cast to")
    print(f"# the strongest: what estimate_sand_colour gives for {len(colours)} photographs of sandstorms.")
    print("colours:")
    for colour in colours:
        print(f"  - [{', '.join(f'{value:.3f}' for value in colour)}]")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder")
    main(parser.parse_args().folder)
