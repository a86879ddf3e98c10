"""How much restored videos flicker, with and without smoothing over time.

The camera pans over each photograph of a folder, in small steps, with fresh noise in each frame as a camera's. Flicker
is the mean absolute difference of the mean brightness of consecutive frames, in grey levels of 255; that of the input
is what the pan itself does. Printed for each method are the mean over photographs, and the largest step from one frame
to the next.

    python benchmarks/flicker.py PHOTOGRAPHS [--methods dcp,wmcp] [--smoothing 0,0.5,1,2] [--photographs 12]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from limpid.data.photo_io import READABLE, read_photograph
from limpid.errors import UserError
from limpid.methods import Method, method
from limpid.video.settings import usual_settings
from limpid.video.smoothing import Smoother, steady

RATE = 25  # frames a second
SIDE = 480  # the longest side, in pixels, that photographs are looked at
STEP = 1.5  # pixels that the camera moves from frame to frame
NOISE = 2 / 255  # its standard deviation


def pan(image: Tensor, frames: int) -> list[Tensor]:
    """Frames `(3, h, w)` of a pan over `image` `(3, H, W)` from left to right, two thirds of its width at a time."""
    generator = torch.Generator().manual_seed(0)
    height, width = image.shape[1:]
    shown = width * 2 // 3
    starts = [round(STEP * number) for number in range(frames)]
    crops = [image[:, :, min(start, width - shown) :][:, : height * 2 // 3, :shown] for start in starts]
    return [(crop + NOISE * torch.randn(crop.shape, generator=generator)).clamp(0, 1) for crop in crops]


def restored(one: Method, frames: list[Tensor], seconds: float, cut: float) -> list[Tensor]:
    """The frames restored one after the other, with a time constant of `seconds`."""
    smoother = Smoother(seconds, cut)
    steadied = steady(one, smoother)
    results = []
    for number, frame in enumerate(frames):
        smoother.begin(frame, number / RATE)
        results.append(steadied.restore(frame[None])[0])
    return results


def steps(frames: list[Tensor]) -> np.ndarray:
    """The absolute differences of the mean brightness of consecutive frames, in grey levels of 255."""
    return np.abs(np.diff([255 * float(frame.mean()) for frame in frames]))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--methods", default="dcp,wmcp")
    parser.add_argument("--smoothing", default="0,0.5,1,2")
    parser.add_argument("--photographs", dest="most", type=int, default=12)
    parser.add_argument("--frames", type=int, default=40)
    asked = parser.parse_args()
    clips = []
    files = sorted(file for file in asked.photographs.rglob("*") if file.suffix.lower() in READABLE)
    for file in files[:: max(1, len(files) // asked.most)][: asked.most]:
        try:
            pixels = torch.from_numpy(read_photograph(file).pixels).permute(2, 0, 1)[None]
        except UserError:
            continue
        share = min(1.0, SIDE / max(pixels.shape[-2:]))
        small = torch.nn.functional.interpolate(pixels, scale_factor=share, mode="bilinear", antialias=True)[0]
        clips.append(pan(small, asked.frames))
    before = [steps(frames) for frames in clips]
    print(f"{len(clips)} photographs, {asked.frames} frames each")
    print(f"{'input':<14} {'':>8} {np.mean([s.mean() for s in before]):8.3f} {np.max([s.max() for s in before]):8.2f}")
    for name in asked.methods.split(","):
        for seconds in map(float, asked.smoothing.split(",")):
            after = [steps(restored(method(name), frames, seconds, usual_settings().cut)) for frames in clips]
            mean, most = np.mean([s.mean() for s in after]), np.max([s.max() for s in after])
            print(f"{name:<14} {seconds:6g} s {mean:8.3f} {most:8.2f}")


if __name__ == "__main__":
    main()
