"""How fast images come: training pairs beside a plain loop that reads, decodes and crops, patches, names, start-up.

    python benchmarks/data.py [--seconds 5] [--images 24] [--names 100000]

All figures come from one process and one thread, on files made for the purpose from a photograph in scikit-image; those
of a block take turns, and each is the median of its turns. Times are those of the processor, so that other programs do
not count, nor does a slow disk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage import data as photographs

from limpid.config import instantiate
from limpid.config.recipes import card
from limpid.data.cache import cached
from limpid.data.datamodule import TrainingView
from limpid.data.datamodules import Recipe
from measuring import Ratio

CROP = 128
SIZES = {"GoPro's 1280x720": (720, 1280), "DIV2K's 2040x1356": (1356, 2040)}


def picture(height: int, width: int, number: int) -> np.ndarray:
    """A photograph enlarged to this size, with the noise of a camera, 8-bit BGR; each number another."""
    rng = np.random.default_rng(number)
    enlarged = cv2.resize(photographs.coffee(), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(enlarged + rng.normal(0, 3, enlarged.shape), 0, 255).astype(np.uint8)


def rates(runs: dict[str, Callable[[], int]], seconds: float) -> dict[str, float]:
    """The median number per second of what each run counts; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    begin = time.process_time()
    while time.process_time() - begin < seconds * len(runs) or len(next(iter(found.values()))) < 3:
        for name, run in runs.items():
            start = time.process_time()
            count = run()
            found[name].append(count / (time.process_time() - start))
    return {name: statistics.median(some) for name, some in found.items()}


def report(title: str, runs: dict[str, Callable[[], int]], seconds: float) -> list[Ratio]:
    """Print each rate, and how many times the first one it is; return the latter."""
    measured = rates(runs, seconds)
    first = next(iter(measured.values()))
    print(title)
    for name, rate in measured.items():
        print(f"  {name:<44}{rate:>10.1f}/s {rate / first:>8.2f}x", flush=True)
    others = list(measured.items())[1:]
    return [Ratio(f"data: {name}", rate / first, None, f"{rate:.1f}/s, {title}") for name, rate in others]


def plain_loop(files: list[tuple[Path, Path]], order: Iterator[tuple[int, int]], count: int) -> int:
    """Read, decode and crop, as a first data set is written: OpenCV, float32 RGB, a tensor."""
    for _ in range(count):
        epoch, index = next(order)
        rng = np.random.default_rng([0, epoch, index])
        both = [cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB) for file in files[index]]
        top, left = (int(rng.integers(side - CROP + 1)) for side in both[0].shape[:2])
        for image in both:
            cut = image[top : top + CROP, left : left + CROP].astype(np.float32) / 255
            torch.from_numpy(np.ascontiguousarray(cut.transpose(2, 0, 1)))
    return count


def through(view: TrainingView, order: Iterator[tuple[int, int]], count: int) -> int:
    """Samples as training gets them."""
    for _ in range(count):
        view[next(order)]
    return count


def endless(images: int) -> Iterator[tuple[int, int]]:
    """(epoch, index) in random order, for ever."""
    epoch = 0
    while True:
        yield from ((epoch, int(i)) for i in np.random.default_rng(epoch).permutation(images))
        epoch += 1


def pairs(folder: Path, images: int, seconds: float) -> list[Ratio]:
    """Training pairs of GoPro's size."""
    height, width = SIZES["GoPro's 1280x720"]
    for number in range(images):
        for n, kind in enumerate(("blur", "sharp")):
            file = folder / f"GOPRO_Large/train/a/{kind}/{number:06}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), picture(height, width, 2 * number + n))
    plain = instantiate.construct({**card("gopro", folder), "split": "train"}, "gopro")
    kept = cached(instantiate.construct({**card("gopro", folder), "split": "train"}, "gopro"), folder / "cache", 10)
    d4 = Recipe("gopro", folder).augment
    runs = {
        "a loop of cv2.imread and crop": lambda: plain_loop(plain.files, orders[0], images),
        "Limpid": lambda: through(TrainingView(plain, CROP, None, 0), orders[1], images),
        "Limpid with the cache": lambda: through(TrainingView(kept, CROP, None, 0), orders[2], images),
        "Limpid with the cache, flips and turns": lambda: through(turning, orders[3], images),
    }
    orders = [endless(images) for _ in runs]
    turning = TrainingView(kept, CROP, d4, 0)
    found = report(f"pairs of {CROP}x{CROP} from PNGs of {width}x{height}, one core", runs, seconds)
    size = sum(file.stat().st_size for file in (folder / "cache").glob("*.npy"))
    print(f"  the cache takes {size / images / 1e6:.1f} MB a pair on disk")
    return found


def hybrid(folder: Path, images: int, seconds: float) -> list[Ratio]:
    """Hybrid-distorted patches of photographs of DIV2K's size."""
    height, width = SIZES["DIV2K's 2040x1356"]
    for number in range(images):
        file = folder / f"DIV2K/DIV2K_train_HR/{number + 1:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), picture(height, width, number))
    runs = {}
    for name, cache in (("Limpid", None), ("Limpid with the cache", str(folder / "cache"))):
        data = Recipe("div2k_hybrid", folder, cache=cache)
        for number in range(len(data.train.scaled) if cache else 0):
            data.train.scaled.load(number)  # the first look at a photograph is the one that decodes and scales it
        view, order = TrainingView(data.train, data.crop, data.augment, 0), endless(images)
        runs[name] = lambda view=view, order=order: through(view, order, 4 * images)
    return report(f"patches of 63x63 with blur, noise and JPEG, from PNGs of {width}x{height}, one core", runs, seconds)


def names(folder: Path, count: int) -> None:
    """A set of many names: pairing them, and how long until the first batch is known."""
    home = folder / "RESIDE/ITS"
    for kind in ("hazy", "clear"):
        (home / kind).mkdir(parents=True)
    for number in range(count // 10):
        (home / f"clear/{number}.png").touch()
        for turn in range(10):
            (home / f"hazy/{number}_{turn + 1}_0.9{turn}.png").touch()
    start = time.process_time()
    found = instantiate.construct(card("reside_its", folder), "reside_its").pairs()
    paired = time.process_time()
    data = Recipe("reside_its", folder, batch_size=8)
    data.require(training=True)
    data.plan(None, 10)
    next(iter(data._sampler(0, 1)))
    begun = time.process_time()
    print(f"{len(found)} names of RESIDE ITS's kind")
    print(f"  reading the folders and pairing {paired - start:>28.2f} s")
    print(f"  from the recipe to the first batch's names {begun - paired:>17.2f} s", flush=True)


def ratios(quick: bool) -> list[Ratio]:
    """What `make bench` shows."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found = []
    for block in (pairs, hybrid):
        with tempfile.TemporaryDirectory() as folder:
            found += block(Path(folder), 4 if quick else 24, 0.5 if quick else 5)
    return found


def main() -> None:
    """Print the three blocks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5, help="of each contestant")
    parser.add_argument("--images", type=int, default=24, help="large images of each kind")
    parser.add_argument("--names", type=int, default=100_000, help="names to pair")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for block in (pairs, hybrid):
        with tempfile.TemporaryDirectory() as folder:
            block(Path(folder), given.images, given.seconds)
    with tempfile.TemporaryDirectory() as folder:
        names(Path(folder), given.names)


if __name__ == "__main__":
    main()
