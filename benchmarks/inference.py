"""Whole against tiled inference: how far the images differ, the time, and the memory of an 8K photograph.

Weights are random: a network without channel attention should not differ at all, one with it differs by what a tile's
mean differs from the image's.

    python benchmarks/inference.py [--networks aod_net rfd_student] [--eight-k]
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
from torch import nn

import limpid
from limpid import checkpoint
from limpid.data.image_io import write_image
from limpid.data.scenes import Scenes
from limpid.inference import Full, Inference, Tiled, receptive_radius
from limpid.metrics import psnr
from measuring import Ratio

NETWORKS = ("aod_net", "rfd_student")
SIZE = (480, 640)
EIGHT_K = (4320, 7680)


def scene(height: int, width: int) -> torch.Tensor:
    """A drawn scene `(1, 3, H, W)`."""
    image = Scenes("test", 1, height, width, photograph_share=0).load(0)["target"]
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]


def timed(inference: Inference, network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The restored image, and the seconds it took."""
    start = time.perf_counter()
    return inference(network, x), time.perf_counter() - start


def compare(name: str, x: torch.Tensor) -> Ratio:
    """How tiles of 256 pixels differ from the whole image."""
    torch.manual_seed(0)
    network = limpid.build(name).eval()
    whole, whole_seconds = timed(Full(), network, x)
    tiled, tiled_seconds = timed(Tiled(256, 64, 16), network, x)
    radius = receptive_radius(network)
    network.float()
    reach = "sees everything" if radius is None else f"sees {radius} pixels"
    difference, decibel = (tiled - whole).abs().max(), psnr(tiled, whole).item()
    facts = f"{reach}; largest difference {difference:.1e}, PSNR {decibel:.1f} dB"
    return Ratio(f"{name} in tiles beside the whole image", whole_seconds / tiled_seconds, None, facts)


def eight_k(name: str) -> None:
    """Print the peak memory of `limpid predict` on an 8K photograph."""
    network = limpid.build(name)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        content = {"limpid": 1, "network": name, "network_config": {}, "provenance": {"row": None}, "state_dict": state}
        checkpoint.save(content, place / "n.ckpt")
        small = scene(*SIZE)[0].permute(1, 2, 0).numpy()
        repeats = (-(-EIGHT_K[0] // SIZE[0]), -(-EIGHT_K[1] // SIZE[1]), 1)
        write_image(place / "a.png", np.tile(small, repeats)[: EIGHT_K[0], : EIGHT_K[1]])
        command = [sys.executable, "-c", "from limpid.cli import main; main()", "predict", f"ckpt={place / 'n.ckpt'}"]
        subprocess.run([*command, f"input={place / 'a.png'}", f"output={place / 'b.png'}"], check=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{name}: predict of {EIGHT_K[1]}x{EIGHT_K[0]} held at most {peak:.0f} MB")


def ratios(quick: bool) -> list[Ratio]:
    """What `make bench` shows."""
    return [compare(name, scene(*SIZE)) for name in NETWORKS]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--eight-k", action="store_true", help="also the memory of an 8K photograph (minutes)")
    options = parser.parse_args()
    x = scene(*SIZE)
    for name in options.networks:
        print(compare(name, x))
        if options.eight_k:
            eight_k(name)


if __name__ == "__main__":
    main()
