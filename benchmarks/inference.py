"""Tiles beside the whole image, with trained weights: how far they differ, across a seam too, time, and memory at 8K.

python benchmarks/inference.py [--networks aosr rfd_student] [--megapixels 3 12] [--eight-k]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import limpid
from limpid import zoo
from limpid.data.image_io import write_image
from limpid.data.scenes import Scenes
from limpid.inference import Adaptive
from limpid.metrics import psnr
from measuring import Ratio

NETWORKS = tuple(card.network for card in zoo.cards().values() if card.default and card.at_hand)
EIGHT_K = (4320, 7680)
MARGIN = 32
_WHOLE = 4  # megapixels


def photograph(height: int, width: int) -> torch.Tensor:
    """A drawn scene in even haze, enlarged to `(1, 3, H, W)`."""
    image = Scenes("test", 1, 512, 512 * width // height, photograph_share=0).load(0)["target"]
    x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    return (0.6 * F.interpolate(x, (height, width), mode="bicubic") + 0.36).clamp(0, 1)


def compare(name: str, megapixels: float) -> Ratio:
    """How the tiles of `limpid predict` differ from the whole image, in grey levels.

    Beyond `_WHOLE` megapixels, from tiles laid otherwise: the whole would need tens of gigabytes.
    """
    side = (megapixels * 1e6 / 6) ** 0.5
    x, network = photograph(int(2 * side), int(3 * side)), limpid.load(name)
    adaptive = Adaptive(margin=MARGIN)
    start = time.perf_counter()
    tiled = adaptive(network, x)
    tiled_seconds = time.perf_counter() - start
    start = time.perf_counter()
    reference = {"largest": 1e6} if megapixels <= _WHOLE else {"tile": 896, "overlap": 192}
    whole = Adaptive(**reference, margin=MARGIN)(network, x)
    whole_seconds = time.perf_counter() - start
    difference = 255 * (tiled - whole)
    across = seam(difference, adaptive)
    facts = (
        f"at most {difference.abs().max():.2f} levels apart, {across:.2f} across a seam; PSNR "
        f"{psnr(tiled, whole).item():.1f} dB; {tiled_seconds:.1f} s"
    )
    other = "the whole" if megapixels <= _WHOLE else "other tiles"
    return Ratio(f"{name}, {megapixels:g} megapixels: tiles beside {other}", whole_seconds / tiled_seconds, None, facts)


def seam(difference: torch.Tensor, adaptive: Adaptive) -> float:
    """How far a `difference` to the whole image changes from one pixel to the next where a tile begins or ends."""
    steps = [0.0]
    for dim in (-2, -1):
        for span in adaptive.tiled.spans(difference.shape[dim]):
            for place in (span.first, span.first + adaptive.tiled.blend):
                if 0 < place < difference.shape[dim]:
                    before, after = difference.narrow(dim, place - 1, 2).split(1, dim)
                    steps.append((after - before).abs().max().item())
    return max(steps)


def eight_k(name: str) -> None:
    """Print the peak memory of `limpid predict` on an 8K photograph, and its seconds."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_image(place / "a.png", photograph(*EIGHT_K)[0].permute(1, 2, 0).numpy())
        command = [sys.executable, "-c", "from limpid.cli import main; main()", "predict", f"model={name}"]
        start = time.perf_counter()
        subprocess.run([*command, f"input={place / 'a.png'}", f"output={place / 'b.png'}"], check=True)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{name}: predict of {EIGHT_K[1]}x{EIGHT_K[0]} held at most {peak:.0f} MB, and took {seconds:.0f} s")


def ratios(quick: bool) -> list[Ratio]:
    """What `make bench` shows."""
    return [compare(name, 1.2 if quick else 3) for name in NETWORKS]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--megapixels", nargs="+", type=float, default=[3])
    parser.add_argument("--eight-k", action="store_true", help="only the memory of an 8K photograph (minutes)")
    options = parser.parse_args()
    for name in options.networks:
        if options.eight_k:
            eight_k(name)
            continue
        for megapixels in options.megapixels:
            print(compare(name, megapixels), flush=True)


if __name__ == "__main__":
    main()
