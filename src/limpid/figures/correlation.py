"""FDR-Net's figure 8 of a checkpoint: correlations before and after FDM, and channels answering distortions.

`correlation.png` has the absolute correlations of all channels (8a and 8b), phase by phase; `responses.png` how much
each channel after one phase's FDM answers blur, noise and JPEG of ten levels (8c); `correlation.json` the numbers.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limpid import checkpoint
from limpid.data.degradations import add_gaussian_noise, code_jpeg, gaussian_blur
from limpid.data.degradations.hybrid import BINS, QUALITY_EDGES, HybridDistortion
from limpid.data.image_io import list_images, read_image
from limpid.data.scenes import Scenes
from limpid.errors import UserError
from limpid.figures import plots
from limpid.models.fdr import fdm_correlations
from limpid.networks.fdr import FDRNet
from limpid.store.atomic_io import write_json

#: What the paper's section 4.5 reads.
PRINTED = {"before": 0.272, "after": 0.164}

DISTORTIONS = ("blur", "noise", "jpeg")

Image = NDArray[np.float32]


class Features(NamedTuple):
    """What a network makes of some images: per phase `(N, C, H, W)` before and after FDM, and of every FD layer."""

    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    layers: tuple[Tensor, ...]


def add_arguments(parser: ArgumentParser) -> None:
    """Give `parser` the flags of this figure; their values are the arguments of `draw`."""
    parser.add_argument("--ckpt", required=True, metavar="PATH", help="a checkpoint of FDR-Net")
    parser.add_argument("--output", metavar="DIR", help="where files go; figures/ in the checkpoint's run by default")
    parser.add_argument("--images", default="scenes", help="scenes (default), or a folder of clean photographs")
    parser.add_argument("--count", type=int, default=8, metavar="N", help="how many images (8)")
    parser.add_argument("--size", type=int, default=64, metavar="N", help="side of the square cut from each (64)")
    parser.add_argument("--phase", type=int, default=1, metavar="N", help="whose channels answer distortions (1)")
    parser.add_argument("--level", default="moderate", help="of the hybrid distortion of panel a and b (moderate)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the distortions (0)")


def draw(
    ckpt: str, output: str | None, images: str, count: int, size: int, phase: int, level: str, seed: int
) -> list[Path]:
    """The files that are written: two PNG and a JSON file.

    Args:
        ckpt: a checkpoint of FDR-Net.
        output: the folder that receives the files; None is `figures` in the checkpoint's run.
        images: ``scenes``, or a folder of clean photographs.
        count: how many images.
        size: side in pixels of the square that is cut from the middle of each.
        phase: the phase whose channels answer distortions, from 1 on.
        level: of the hybrid distortion on which correlations are measured.
        seed: of the distortions.

    Raises:
        UserError: the checkpoint holds no FDR-Net with FDM, it has no such phase, or there are not enough photographs.
    """
    path = Path(ckpt)
    network = checkpoint.network(checkpoint.read(path), path)
    if not isinstance(network, FDRNet) or not network.phases[0].branch.use_fdm:  # type: ignore[union-attr]
        raise UserError(f"The checkpoint {path} holds no FDR-Net with FDM, which this figure is of; give another.")
    if not 1 <= phase <= len(network.phases):
        raise UserError(f"There is no phase {phase}; this network has phases 1 to {len(network.phases)}.")
    clean = clean_images(images, count, size)
    rng = np.random.default_rng(seed)
    hybrid = HybridDistortion(level)
    features = features_of(network, [hybrid({"target": image}, rng)["input"] for image in clean])
    correlations = fdm_correlations(features.before, features.layers)
    means = {place: values.tolist() for place, values in correlations.items()}
    answers = responses(network, clean, phase, rng)
    folder = Path(output) if output else _beside(path)
    numbers = {
        "images": images,
        "count": count,
        "size": size,
        "phase": phase,
        "level": level,
        "seed": seed,
        "checkpoint": checkpoint.fingerprint(path),
        "correlation": {place: {"mean": float(np.mean(values)), "phases": values} for place, values in means.items()},
        "printed": PRINTED,
        "responses": {kind: values.tolist() for kind, values in answers.items()},
    }
    write_json(folder / "correlation.json", numbers)
    return [
        plots.write(_plot_correlations(features, means), folder / "correlation.png"),
        plots.write(_plot_responses(answers, phase), folder / "responses.png"),
        folder / "correlation.json",
    ]


@torch.no_grad()
def features_of(network: nn.Module, images: list[Image]) -> Features:
    """The features of `images`, all of one size `(H, W, 3)` in [0, 1]."""
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    output = network(x, keep_features=True)
    layers = len(output.features) // len(output.entering)
    return Features(output.entering, output.features[layers - 1 :: layers], output.features)


def correlation_matrix(features: Tensor) -> NDArray[np.float64]:
    """Absolute correlations `(C, C)` of the channels of `features` `(N, C, H, W)`, averaged over the images.

    A channel that is constant in an image has none there; one that is constant in all of them is NaN.
    """
    rows = features.double().flatten(2)
    centred = rows - rows.mean(-1, keepdim=True)
    norms = centred.norm(dim=-1, keepdim=True)
    directions = torch.where(norms > 1e-6 * rows.norm(dim=-1, keepdim=True), centred / norms, torch.nan)
    matrix: NDArray[np.float64] = (directions @ directions.mT).abs().nanmean(0).numpy()
    return matrix


def responses(
    network: nn.Module, clean: list[Image], phase: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float64]]:
    """The strength with which each channel after FDM answers each distortion: `{distortion: (levels, C)}`.

    The paper does not define its response. Here it is the mean absolute change, over positions and images, of the
    channel when the clean image is distorted by that distortion alone; it is 0 for a channel that takes no notice.

    Args:
        network: an FDR-Net.
        clean: images `(H, W, 3)` of one size.
        phase: from 1 on.
        rng: source of the noise.
    """
    reference = features_of(network, clean).after[phase - 1]
    curves: dict[str, NDArray[np.float64]] = {}
    for kind in DISTORTIONS:
        levels = []
        for level in range(1, BINS + 1):
            after = features_of(network, [distorted(image, kind, level, rng) for image in clean]).after[phase - 1]
            levels.append((after - reference).abs().double().mean((0, 2, 3)).numpy())
        curves[kind] = np.stack(levels)
    return curves


def distorted(image: Image, kind: str, level: int, rng: np.random.Generator) -> Image:
    """`image` with one distortion at `level` 1 to 10: the strong end of RL-Restore's bin of that number."""
    if kind == "blur":
        return gaussian_blur(image, 0.5 * level)
    if kind == "noise":
        return add_gaussian_noise(image, 5.0 * level, rng)
    return code_jpeg(image, QUALITY_EDGES[level])


def clean_images(images: str, count: int, size: int) -> list[Image]:
    """The images `(size, size, 3)` that are distorted.

    Args:
        images: ``scenes``, or a folder of photographs.
        count: how many.
        size: in pixels.

    Raises:
        UserError: there is no such folder, or it has too few images that are large enough.
    """
    if count < 1:
        raise UserError(f"--count is {count}, but it must be 1 or more.")
    if images == "scenes":
        scenes = Scenes("test", count, size, size)
        return [scenes.load(i)["target"] for i in range(count)]
    folder = Path(images).expanduser()
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; give --images FOLDER, or leave it out for made scenes.")
    crops: list[Image] = []
    for file in list_images(folder):
        pixels = read_image(file)
        top, left = ((side - size) // 2 for side in pixels.shape[:2])
        if min(top, left) >= 0 and len(crops) < count:
            crops.append(pixels[top : top + size, left : left + size])
    if len(crops) < count:
        raise UserError(
            f"The folder {folder} has {len(crops)} images of at least {size}x{size} pixels, and {count} are asked for; "
            "set a smaller count or size."
        )
    return crops


def _beside(ckpt: Path) -> Path:
    return (ckpt.parent.parent if ckpt.parent.name == "checkpoints" else ckpt.parent) / "figures"


def _plot_correlations(features: Features, means: Mapping[str, Sequence[float]]) -> Any:
    from matplotlib.figure import Figure

    count = len(features.before)
    figure = Figure(figsize=(2.2 * count + 0.8, 5.0), layout="constrained")
    axes = figure.subplots(2, count, squeeze=False)
    for row, (place, tensors) in enumerate((("before", features.before), ("after", features.after))):
        for i, tensor in enumerate(tensors):
            shown = axes[row][i].imshow(correlation_matrix(tensor), vmin=0, vmax=1)
            axes[row][i].set(title=f"phase {i + 1}, {place} FDM: {means[place][i]:.3f}", xticks=[], yticks=[])
            axes[row][i].title.set_fontsize(8)
    figure.colorbar(shown, ax=axes, label="absolute correlation of two channels", shrink=0.7)
    return figure


def _plot_responses(answers: Mapping[str, NDArray[np.float64]], phase: int) -> Any:
    figure, axes = plots.panels(len(answers), 3.6, 3.0)
    strongest = max(float(values.max()) for values in answers.values())
    for axis, (kind, values) in zip(axes, answers.items(), strict=True):
        axis.grid(visible=False)
        ends = (0.5, values.shape[1] + 0.5, BINS + 0.5, 0.5)
        shown = axis.imshow(values, vmin=0, vmax=strongest, aspect="auto", extent=ends)
        axis.set(title=kind, xlabel=f"channel after phase {phase}'s FDM", ylabel="level")
    figure.colorbar(shown, ax=axes, label="mean absolute change of the channel")
    return figure
