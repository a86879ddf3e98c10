"""Images per second of every metric, beside scikit-image, torchmetrics and kornia where they have it.

    python benchmarks/metrics.py [--seconds 1.0] [--threads 1] [--device cpu]

All figures of a line are measured in one run on the same images, taking turns, and each is the best of its turns. A
ratio above one means that Limpid is faster. Limpid and scikit-image compute in float64; torchmetrics and kornia get
float32, as their users give it. NIQE, BRISQUE and SSEQ need LIVE's parameters (`LIMPID_PARAMS`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import kornia
import numpy as np
import torch
from skimage import color, data
from skimage import metrics as skimage_metrics
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from limpid import metrics
from limpid.errors import UserError

Run = Callable[[], object]

SIZES = (16, 63, 63), (1, 400, 600), (1, 720, 1280)  # images, height, width


def photographs(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """`count` crops of a photograph, and the same darkened and noisy; float32 in [0, 1]."""
    photograph = torch.from_numpy(np.tile(data.coffee(), (2, 3, 1))).permute(2, 0, 1) / 255
    clean = torch.stack([photograph[:, 3 * i : 3 * i + height, 5 * i : 5 * i + width] for i in range(count)])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 0.05
    return (0.8 * clean + noise).clamp(0, 1), clean


def each(function: Callable[..., object], *batches: Tensor) -> Run:
    """`function` over the images one by one, as float64 arrays `(H, W, 3)`."""
    arrays = [[image.permute(1, 2, 0).double().numpy() for image in batch.cpu()] for batch in batches]
    return lambda: [function(*images) for images in zip(*arrays, strict=True)]


def delta_e(one: np.ndarray, other: np.ndarray) -> float:
    """The mean CIEDE2000 difference of two RGB images."""
    return color.deltaE_ciede2000(color.rgb2lab(one), color.rgb2lab(other)).mean()


def contestants(x: Tensor, y: Tensor) -> dict[str, dict[str, Run]]:
    """Limpid's metric and what others have in its place, by the metric's name."""

    def similarity(**options: object) -> Run:
        return each(lambda a, b: skimage_metrics.structural_similarity(a, b, channel_axis=2, **options), x, y)

    def ours(preset: str) -> Run:
        return lambda: metrics.ssim(x, y, preset=preset)

    gaussian = {"data_range": 1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    decibels = {"data_range": 1.0, "dim": (1, 2, 3), "reduction": "elementwise_mean"}
    table: dict[str, dict[str, Run]] = {
        "psnr": {
            "limpid": lambda: metrics.psnr(x, y),
            "scikit-image": each(lambda a, b: skimage_metrics.peak_signal_noise_ratio(a, b, data_range=1), x, y),
            "torchmetrics": partial(peak_signal_noise_ratio, x, y, **decibels),
            "torchmetrics in float64": partial(peak_signal_noise_ratio, x.double(), y.double(), **decibels),
            "kornia": lambda: [kornia.metrics.psnr(a, b, 1.0) for a, b in zip(x, y, strict=True)],
        },
        "ssim skimage7": {"limpid": ours("skimage7"), "scikit-image": similarity(data_range=1)},
        "ssim wang": {
            "limpid": ours("wang"),
            "scikit-image": similarity(**gaussian),
            "torchmetrics": lambda: structural_similarity_index_measure(x, y, data_range=1.0),
            "kornia": lambda: kornia.metrics.ssim(x, y, 11, padding="valid"),
        },
        "ssim zero_pad": {"limpid": ours("zero_pad")},
        "ssim matlab_rgb3d": {"limpid": ours("matlab_rgb3d")},
        "ciede2000": {"limpid": lambda: metrics.ciede2000(x, y), "scikit-image": each(delta_e, x, y)},
        "visible_edges": {"limpid": lambda: metrics.visible_edges(x, y)},
    }
    for name in ("piqe", "sseq", "brisque", "niqe"):
        table[name] = {"limpid": partial(getattr(metrics, name), x)}
    return table


def best_times(runs: dict[str, Run], seconds: float, device: str) -> dict[str, float]:
    """The shortest time of each run in seconds; they take turns for about `seconds` each."""
    best = dict.fromkeys(runs, float("inf"))
    spent, turns = 0.0, 0
    while spent < seconds * len(runs) or turns < 3:
        turns += 1
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if device != "cpu":
                torch.cuda.synchronize()
            took = time.perf_counter() - start
            best[name], spent = min(best[name], took), spent + took
    return best


def main() -> None:
    """Print one line per size and metric."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each contestant on each line")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--device", default="cpu", help="of Limpid, torchmetrics and kornia")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{'images':>14}  {'metric':<18}{'images/s':>10}   times as fast as")
    for size in SIZES:
        x, y = (batch.to(given.device) for batch in photographs(*size))
        for metric, runs in contestants(x, y).items():
            try:
                best = best_times(runs, given.seconds, given.device)
            except UserError as reason:
                print(f"{'x'.join(map(str, size)):>14}  {metric:<18}{'-':>10}   {str(reason)[:90]}")
                continue
            ratios = [f"{name} {best[name] / best['limpid']:.2f}" for name in runs if name != "limpid"]
            speed = size[0] / best["limpid"]
            print(f"{'x'.join(map(str, size)):>14}  {metric:<18}{speed:>10.1f}   {', '.join(ratios)}", flush=True)


if __name__ == "__main__":
    main()
