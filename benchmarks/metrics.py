"""Images per second of every metric, beside scikit-image, torchmetrics, kornia, deepinv and pypiqe where they have it.

    python benchmarks/metrics.py [--seconds 1.0] [--threads 1] [--device cpu] [--metrics psnr niqe]

On each line everybody gets the same images, with as many threads, and they take turns in an order that is drawn anew
each time; a figure is the median of the turns. With one thread it is the process's own time, which other programs on
the machine hardly change, otherwise time on the clock. A ratio above one means that Limpid is faster. In brackets
stands how far the mean over the images is from that of scikit-image in float64, or of Limpid where that has no such
metric: Limpid computes in float64 whatever it gets, the others in the type that they are given, and a library without
uint8 gets the conversion to float32 as part of its work. deepinv and pypiqe are left out where they are not installed.
NIQE, BRISQUE and SSEQ need LIVE's parameters (`LIMPID_PARAMS`).
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from functools import partial

import cv2
import kornia
import numpy as np
import torch
from skimage import color, data
from skimage import metrics as skimage_metrics
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from limpid import metrics
from limpid.errors import UserError
from limpid.metrics import images
from measuring import Ratio

Run = Callable[[], object]

SIZES = (16, 63, 63), (1, 256, 256), (8, 256, 256), (1, 512, 512), (1, 1024, 1024)  # images, height, width
TRUTH = "scikit-image in float64"


def photographs(count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """`count` crops of a photograph, and the same darkened and noisy; float32 in [0, 1]."""
    photograph = torch.from_numpy(np.tile(data.coffee(), (3, 3, 1))).permute(2, 0, 1) / 255
    clean = torch.stack([photograph[:, 3 * i : 3 * i + height, 5 * i : 5 * i + width] for i in range(count)])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 0.05
    return (0.8 * clean + noise).clamp(0, 1), clean


def each(function: Callable[..., object], *batches: Tensor) -> Run:
    """`function` over the images one by one, as arrays `(H, W, 3)` of their own type."""
    arrays = [[np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in batch.cpu()] for batch in batches]
    return lambda: [function(*some) for some in zip(*arrays, strict=True)]


def delta_e(one: np.ndarray, other: np.ndarray) -> float:
    """The mean CIEDE2000 difference of two RGB images."""
    return color.deltaE_ciede2000(color.rgb2lab(one), color.rgb2lab(other)).mean()


def with_reference(x: Tensor, y: Tensor) -> dict[str, dict[str, Run]]:
    """Limpid's full-reference metrics and what others have in their place, by the metric's name."""
    peak = 255 if x.dtype == torch.uint8 else 1
    unit = [batch.cpu().double() / peak for batch in (x, y)]

    def scikit(function: Callable[..., object], *, data_range: bool = True, **options: object) -> dict[str, Run]:
        ranges = [{"data_range": some} if data_range else {} for some in (peak, 1)]
        given, truth = (lambda a, b, more=more: function(a, b, **options, **more) for more in ranges)
        return {"scikit-image": each(given, x, y), TRUTH: each(truth, *unit)}

    def as_floats(function: Callable[[Tensor, Tensor], object]) -> Run:
        return lambda: function(x.float(), y.float()) if peak == 255 else function(x, y)

    def pixels(one: Tensor, other: Tensor) -> list[Tensor]:
        return [kornia.metrics.psnr(a, b, float(peak)) for a, b in zip(one, other, strict=True)]

    decibels = {"data_range": float(peak), "dim": (1, 2, 3), "reduction": "elementwise_mean"}
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
    similarity = skimage_metrics.structural_similarity
    return {
        "psnr": {
            "limpid": lambda: metrics.psnr(x, y),
            **scikit(skimage_metrics.peak_signal_noise_ratio),
            "torchmetrics": as_floats(partial(peak_signal_noise_ratio, **decibels)),
            "kornia": as_floats(pixels),
        },
        "ssim skimage7": {"limpid": lambda: metrics.ssim(x, y), **scikit(similarity, channel_axis=2)},
        "ssim wang": {
            "limpid": lambda: metrics.ssim(x, y, preset="wang"),
            **scikit(similarity, **gaussian),
            "torchmetrics": as_floats(partial(structural_similarity_index_measure, data_range=float(peak))),
            "kornia": as_floats(lambda a, b: kornia.metrics.ssim(a, b, 11, max_val=float(peak), padding="valid")),
        },
        "ssim zero_pad": {"limpid": lambda: metrics.ssim(x, y, preset="zero_pad")},
        "ssim matlab_rgb3d": {"limpid": lambda: metrics.ssim(x, y, preset="matlab_rgb3d")},
        "ciede2000": {"limpid": lambda: metrics.ciede2000(x, y), **scikit(delta_e, data_range=False)},
        "visible_edges": {"limpid": lambda: metrics.visible_edges(x, y).e},
    }


def without_reference(x: Tensor) -> dict[str, dict[str, Run]]:
    """Limpid's metrics without reference and what others have in their place, by the metric's name."""
    table: dict[str, dict[str, Run]] = {
        name: {"limpid": partial(getattr(metrics, name), x)} for name in ("piqe", "sseq", "brisque", "niqe")
    }
    levels = images.grey_levels(x)
    try:
        from deepinv.loss.metric import NIQE

        from limpid.metrics.niqe import NIQE_LIVE, _model, find

        for name, dtype in ("deepinv in float64", torch.float64), ("deepinv in float32", torch.float32):
            other = NIQE(weights_path=None, round_tensor=True, dtype=dtype, device=x.device)
            model = _model(find(NIQE_LIVE, "modelparameters.mat", None))
            other.mu_p, other.cov_p = (value.to(x.device, dtype) for value in model)
            table["niqe"][name] = partial(other, levels.to(dtype))
    except (ImportError, UserError):
        pass
    try:
        from pypiqe import piqe

        eight_bit = x if x.dtype == torch.uint8 else (x * 255).round().byte()
        table["piqe"]["pypiqe"] = each(lambda image: piqe(image)[0], eight_bit.flip(1))  # it takes BGR
    except ImportError:
        pass
    return table


def median_times(runs: dict[str, Run], seconds: float, device: str) -> dict[str, float]:
    """The median time of each run in seconds; they take turns for about `seconds` each."""
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in runs}
    begin, turns = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds * len(runs) or turns < 3:
        turns += 1
        for name in random.sample(list(runs), len(runs)):
            start = clock()
            runs[name]()
            if device != "cpu":
                torch.cuda.synchronize()
            times[name].append(clock() - start)
    return {name: statistics.median(some) for name, some in times.items()}


def mean(result: object) -> float:
    """The mean over images of what a run returned: a tensor, or a list of numbers or of tensors."""
    values = result if isinstance(result, list) else [result]
    return float(np.mean([float(torch.as_tensor(value, dtype=torch.float64).mean()) for value in values]))


def line(runs: dict[str, Run], count: int, seconds: float, device: str) -> str:
    """Limpid's images per second and its error, then the others' times as multiples of Limpid's and their errors."""
    values = {name: mean(run()) for name, run in runs.items()}  # which also warms everybody up
    truth = values.get(TRUTH, values["limpid"])
    times = median_times(runs, seconds, device)
    others = [
        f"{name} {times[name] / times['limpid']:.2f}" + ("" if name == TRUTH else f" ({abs(values[name] - truth):.0e})")
        for name in runs
        if name != "limpid"
    ]
    error = f"({abs(values['limpid'] - truth):.0e})" if TRUTH in runs else ""
    return f"{count / times['limpid']:>10.1f} {error:<8} {', '.join(others)}"


def ratios(quick: bool) -> list[Ratio]:
    """What `make bench` shows: one thread, one size, float32; all sizes and types are this script's own table."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    x, y = photographs(1, 512, 512)
    found = []
    for metric, runs in (with_reference(x, y) | without_reference(x)).items():
        if len(runs) < 2:
            continue
        try:
            times = median_times(
                {name: run for name, run in runs.items() if name != TRUTH}, 0.2 if quick else 1.0, "cpu"
            )
        except UserError:
            continue  # parameters that are not there
        ours = times.pop("limpid")
        found += [Ratio(f"{metric} beside {name}", other / ours) for name, other in times.items()]
    return found


def main() -> None:
    """Print one line per size, type of the images, and metric."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="of each contestant on each line")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch and OpenCV")
    parser.add_argument("--device", default="cpu", help="of Limpid, torchmetrics, kornia and deepinv")
    parser.add_argument("--metrics", nargs="*", default=[""], help="beginnings of the names of those to measure")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    print(f"{'images':>12} {'type':<8}{'metric':<18}{'images/s':>10} {'':<8} times as fast as")
    for size in SIZES:
        for dtype in torch.float32, torch.uint8:
            x, y = (batch.to(given.device) for batch in photographs(*size))
            if dtype == torch.uint8:
                x, y = ((255 * batch).round().byte() for batch in (x, y))
            for metric, runs in (with_reference(x, y) | without_reference(x)).items():
                if not metric.startswith(tuple(given.metrics)):
                    continue
                try:
                    text = line(runs, size[0], given.seconds, given.device)
                except UserError as reason:
                    text = f"{'-':>10} {str(reason)[:90]}"
                kind = str(dtype).removeprefix("torch.")
                print(f"{'x'.join(map(str, size)):>12} {kind:<8}{metric:<18}{text}", flush=True)


if __name__ == "__main__":
    main()
