"""WMCP-EM's figure 2: which patch suits which haze, and how haze narrows an image's spread of values.

Panel a is the paper's 2b, mean PSNR against the side of the patch for three densities of haze; panel b its 2c, the mean
standard deviation of hazy images (in 0 to 255) against the scattering coefficient. Dots in panel a mark the patch that
equation 15 chooses on average.
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from limpid import consoles
from limpid.data.datasets.base import CleanSet
from limpid.data.degradations.haze import WMCP_BETA, scatter, transmission_from_depth
from limpid.errors import UserError
from limpid.figures import plots
from limpid.figures.images import clean_images
from limpid.metrics import psnr
from limpid.priors.wmcp import WMCP, patch_size
from limpid.store.atomic_io import write_csv

#: The sides of patches and the scattering coefficients of the paper's figure.
PATCHES = (3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 25, 31)
BETAS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8)


class Level(NamedTuple):
    """One density of haze: the mean PSNR for each patch, the mean patch of equation 15, and its PSNR."""

    psnr: dict[int, float]
    chosen_patch: float
    chosen_psnr: float


def add_arguments(parser: ArgumentParser) -> None:
    """Give `parser` the flags of this figure; their values are the arguments of `draw`."""
    shown = " ".join(map(str, PATCHES))
    parser.add_argument("--images", default="scenes", help="scenes (default), or a set with depth such as nyu_depth")
    parser.add_argument("--data-root", metavar="DIR", help="where sets lie (default: LIMPID_DATA, else data)")
    parser.add_argument("--count", type=int, default=12, metavar="N", help="how many images (12)")
    parser.add_argument("--patches", type=int, nargs="+", default=PATCHES, metavar="N", help=f"odd sides ({shown})")
    parser.add_argument("--betas", type=float, nargs="+", default=BETAS, metavar="X", help="of panel b (0.2 to 1.8)")
    parser.add_argument("--airlight", type=float, default=0.9, metavar="X", help="its brightness (0.9)")
    parser.add_argument("--output", default="figures/wmcp", metavar="DIR", help="where files go (figures/wmcp)")


def draw(
    images: str,
    data_root: str | None,
    count: int,
    patches: Sequence[int],
    betas: Sequence[float],
    airlight: float,
    output: str,
) -> list[Path]:
    """The files that are written: a PNG and two CSV files.

    Args:
        images: ``scenes``, or the name of a set of clean images with depth.
        data_root: where sets lie; None is `LIMPID_DATA`, or ``data``.
        count: how many images.
        patches: sides of patches in pixels, odd and at least 3.
        betas: scattering coefficients of panel b.
        airlight: its brightness.
        output: the folder that receives the files.

    Raises:
        UserError: a patch is even or below 3, or the images are not there or have no depth.
    """
    patches = list(patches)
    if any(patch < 3 or patch % 2 == 0 for patch in patches):
        raise UserError(f"The patches are {patches}, but each must be odd and at least 3: a patch has a centre.")
    samples = list(_samples(clean_images(images, data_root), count))
    thickness = {name: statistics.fmean(choices) for name, choices in WMCP_BETA.items()}
    levels = {name: by_patch(samples, beta, airlight, patches) for name, beta in thickness.items()}
    spread = {beta: deviation(samples, beta, airlight) for beta in betas}
    folder = Path(output)
    rows: list[dict[str, object]] = []
    for name, level in levels.items():
        rows += [{"haze": name, "patch": patch, "psnr": value} for patch, value in level.psnr.items()]
    write_csv(folder / "patch_size.csv", rows)
    write_csv(folder / "deviation.csv", [{"beta": beta, "deviation": value} for beta, value in spread.items()])
    picture = _plot(levels, spread, f"{len(samples)} images of {images}")
    return [plots.write(picture, folder / "patch_size.png"), folder / "patch_size.csv", folder / "deviation.csv"]


def by_patch(samples: Sequence[tuple[Tensor, Tensor]], beta: float, airlight: float, patches: Sequence[int]) -> Level:
    """The mean PSNR of WMCP-EM for each fixed patch, and for the one that equation 15 chooses.

    Args:
        samples: clean images `(1, 3, H, W)` in [0, 1] and their depth `(1, 1, H, W)`.
        beta: scattering coefficient.
        airlight: brightness of the airlight.
        patches: sides in pixels, odd.
    """
    by_size: dict[int, list[float]] = {patch: [] for patch in patches}
    chosen, adaptive = [], []
    rule = WMCP()
    for image, depth in track(samples, f"beta {beta:g}", console=consoles.progress()):
        x = _hazy(image, depth, beta, airlight)
        for patch in patches:
            fixed = WMCP(smallest_patch=patch, largest_patch=patch)
            by_size[patch].append(float(psnr(fixed(x), image)))
        sigma = 255 * x.double().std(correction=0).item()
        chosen.append(patch_size(sigma, rule.patch_divisor, rule.smallest_patch, rule.largest_patch))
        adaptive.append(float(psnr(rule(x), image)))
    means = {patch: statistics.fmean(values) for patch, values in by_size.items()}
    return Level(means, statistics.fmean(chosen), statistics.fmean(adaptive))


def deviation(samples: Sequence[tuple[Tensor, Tensor]], beta: float, airlight: float) -> float:
    """The mean standard deviation of the hazy images, in 0 to 255; see `by_patch` for the arguments."""
    return statistics.fmean(
        255 * float(_hazy(image, depth, beta, airlight).double().std(correction=0)) for image, depth in samples
    )


def _samples(clean: CleanSet, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    for index in range(min(count, len(clean))):
        sample = clean.load(index)
        if "depth" not in sample:
            raise UserError(f"{sample['name']} has no depth; choose --images scenes, or a set with depth.")
        image, depth = (torch.from_numpy(np.ascontiguousarray(sample[key])) for key in ("target", "depth"))
        yield image.permute(2, 0, 1)[None].contiguous(), depth[None, None]


def _hazy(image: Tensor, depth: Tensor, beta: float, airlight: float) -> Tensor:
    return scatter(image, transmission_from_depth(depth, beta), airlight).clamp(0, 1)


def _plot(levels: Mapping[str, Level], spread: Mapping[float, float], images: str) -> Any:
    figure, (left, right) = plots.panels(2)
    for colour, (name, level) in zip(plots.COLOURS, levels.items(), strict=False):
        low, high = WMCP_BETA[name]
        label = f"{name}, beta {(low + high) / 2:g}"
        left.plot(list(level.psnr), list(level.psnr.values()), "-", color=colour, label=label)
        left.plot(level.chosen_patch, level.chosen_psnr, "o", color=colour)
    left.set(xlabel="side of the patch in pixels", ylabel="PSNR in dB", title="a   dots: the rule of equation 15")
    left.legend(frameon=False)
    right.plot(list(spread), list(spread.values()), "o-", color=plots.COLOURS[0])
    right.set(xlabel="scattering coefficient beta", ylabel="standard deviation, 0 to 255", title="b   hazy images")
    figure.suptitle(f"WMCP-EM on {images}", fontsize=10)
    return figure
