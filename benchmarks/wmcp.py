"""WMCP-EM against its plain form, in one run: time, time per megapixel, and growth of memory.

The plain form unfolds the whole image and takes `torch.median` of the products, as equation 13 is written.

    python benchmarks/wmcp.py [--threads 2] [--patch 15]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from limpid.priors.wmcp import WMCP
from measuring import Ratio

REPEATS = 5
SIZES = ((240, 320), (460, 620), (720, 960), (1000, 1000), (1440, 1920))
COMPARED = (460, 620)


class PlainWMCP(WMCP):
    """WMCP-EM with the weighted median channel as it is written: all products of the image at once."""

    def scene_depth(self, image: Tensor, airlight: Tensor, sigma: float) -> Tensor:
        """Equations 13 and 14 of one image `(3, H, W)`: `(1, H, W)`."""
        patch, (_, height, width) = self.largest_patch, image.shape
        padded = F.pad(image[None], (patch // 2,) * 4, mode="replicate")
        neighbours = F.unfold(padded, patch).view(3, patch**2, height * width)
        distance = (neighbours - image.view(3, 1, -1)).square().sum(0)
        weights = (-distance / (2 * image.var(correction=0))).exp()
        return (weights * neighbours.amin(0)).median(0).values.view(1, height, width)


def hazy_scene(height: int, width: int) -> Tensor:
    """Smooth colours and fine texture under haze that thickens upwards, in 8-bit steps: `(1, 3, H, W)`."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, height // 40, width // 40, generator=generator)
    clear = F.interpolate(coarse, (height, width), mode="bilinear")
    clear = (clear + 0.1 * torch.randn(clear.shape, generator=generator)).clamp(0, 1)
    transmission = torch.linspace(0.2, 0.9, height).view(1, 1, height, 1)
    return ((clear * transmission + 0.9 * (1 - transmission)) * 255).round() / 255


def seconds(function: Callable[[Tensor], object], x: Tensor) -> float:
    """The time of one call."""
    start = time.perf_counter()
    function(x)
    return time.perf_counter() - start


def resident_mb(peak: bool) -> float:
    """Memory of this process in megabytes: the most it ever held, or what it holds now (Linux)."""
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def growth_mb(function: Callable[[Tensor], object], x: Tensor) -> float:
    """How far the peak of the process lies, after one call, above what it held before."""
    before = resident_mb(peak=False)
    function(x)
    return resident_mb(peak=True) - before


def beside_plain(fast: WMCP, plain: WMCP, repeats: int) -> Ratio:
    """The time of one image, the two forms in turn."""
    x = hazy_scene(*COMPARED)
    pairs = [(seconds(fast, x), seconds(plain, x)) for _ in range(repeats)]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    facts = f"{x.shape[2]}x{x.shape[3]}: {ours:.3f} s, plain {theirs:.3f} s"
    return Ratio("wmcp beside unfold and median", theirs / ours, None, facts)


def ratios(quick: bool) -> list[Ratio]:
    """What `make bench` shows."""
    fixed = {"smallest_patch": 15, "largest_patch": 15}
    fast, plain = WMCP(**fixed), PlainWMCP(**fixed)
    fast(hazy_scene(80, 80))
    return [beside_plain(fast, plain, 1 if quick else REPEATS)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--patch", type=int, default=15, help="side of the patch, the same for every size")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    fixed = {"smallest_patch": options.patch, "largest_patch": options.patch}
    fast, plain = WMCP(**fixed), PlainWMCP(**fixed)
    print(f"threads {options.threads}, patch {options.patch}, median of {REPEATS}")

    fast(hazy_scene(80, 80))  # loads what is loaded once
    # The peak of a process never falls, so the smaller user is asked first.
    print(f"memory growth, 1000 x 1000: {growth_mb(fast, hazy_scene(1000, 1000)):.0f} MB")
    x = hazy_scene(*COMPARED)
    print(f"memory growth, plain form, {x.shape[2]} x {x.shape[3]}: {growth_mb(plain, x):.0f} MB")

    difference = (fast.estimate(x).scene_depth - plain.estimate(x).scene_depth).abs().max().item()
    print(beside_plain(fast, plain, REPEATS))
    print(f"largest difference of the depth: {difference:.1e}")

    for height, width in SIZES:
        x = hazy_scene(height, width)
        took = statistics.median(seconds(fast, x) for _ in range(REPEATS))
        megapixels = height * width / 1e6
        print(f"{height} x {width}: {took:.3f} s, {took / megapixels:.3f} s per megapixel")


if __name__ == "__main__":
    main()
