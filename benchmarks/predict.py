"""`limpid predict` over a folder, beside the loops that a user would write: PyTorch in bf16 and float32, ONNX Runtime.

Every one is a process of its own: imports, weights, reading PNG, network, writing PNG. "Forward alone" is the time that
the network takes in the bf16 loop, read and written apart; the command is to take at most 1.2 times as long.

    python benchmarks/predict.py [--photographs 50] [--megapixels 0.3] [--network rfd_student]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from limpid.data.image_io import read_image, write_image
from limpid.data.scenes import Scenes
from measuring import Ratio

WANTED = 1 / 1.2

_PYTORCH = """
import json, sys, time, cv2, torch, limpid
from pathlib import Path
network, source, target, kind = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
torch.set_num_threads(2)
network = limpid.load(network)
spent = 0.0
with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=kind == "bf16"):
    for file in sorted(source.glob("*.png")):
        x = torch.from_numpy(cv2.imread(str(file))[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
        x = x.contiguous()
        start = time.perf_counter()
        output = network(x)
        spent += time.perf_counter() - start
        restored = getattr(output, "restored", output).float().clamp(0, 1)[0].permute(1, 2, 0).numpy()
        cv2.imwrite(str(target / file.name), (restored[..., ::-1] * 255).round().astype("uint8"))
print(json.dumps(spent))
"""

_ONNX = """
import json, sys, time, cv2, numpy, onnxruntime
from pathlib import Path
model, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 2
session = onnxruntime.InferenceSession(model, options)
name = session.get_inputs()[0].name
spent = 0.0
for file in sorted(source.glob("*.png")):
    x = numpy.ascontiguousarray(cv2.imread(str(file))[..., ::-1].transpose(2, 0, 1)[None].astype("float32") / 255)
    start = time.perf_counter()
    (restored,) = session.run(None, {name: x})[:1]
    spent += time.perf_counter() - start
    restored = restored[0].clip(0, 1).transpose(1, 2, 0)
    cv2.imwrite(str(target / file.name), (restored[..., ::-1] * 255).round().astype("uint8"))
print(json.dumps(spent))
"""


class Timed:
    """One program's run.

    Attributes:
        seconds: of the whole process, on the clock.
        cpu: of the processor, with what the system did for it.
        forward: that the program says its network took.
    """

    def __init__(self, words: list[str]) -> None:
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        before, start = os.times(), time.perf_counter()
        done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
        after, self.seconds = os.times(), time.perf_counter() - start
        self.cpu = after.children_user + after.children_system - before.children_user - before.children_system
        last = (done.stdout.strip().splitlines() or [""])[-1]
        self.forward = float(last) if last.replace(".", "").isdigit() else float("nan")


def photographs(folder: Path, count: int, megapixels: float) -> None:
    """Write `count` drawn scenes in haze."""
    folder.mkdir()
    side = (megapixels * 1e6 / 12) ** 0.5
    size = (int(3 * side), int(4 * side))
    scenes = Scenes("test", count, 192, 256, photograph_share=0)
    for number in range(count):
        x = torch.from_numpy(scenes.load(number)["target"].transpose(2, 0, 1).copy())[None]
        x = (0.6 * F.interpolate(x, size, mode="bicubic") + 0.36).clamp(0, 1)
        write_image(folder / f"{number}.png", x[0].permute(1, 2, 0).numpy())


def measure(network: str, count: int, megapixels: float) -> list[Ratio]:
    """The command beside each loop."""
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        photographs(place / "in", count, megapixels)
        command = [sys.executable, "-c", "from limpid.cli import main; main()"]
        predict = [*command, "predict", f"model={network}", f"input={place / 'in'}"]
        loop = [sys.executable, "-c", _PYTORCH, network, str(place / "in")]
        for name in ("loop", "float32", "onnx"):
            (place / name).mkdir()
        subprocess.run([*command, "export", f"model={network}", f"output={place / 'n.onnx'}"], check=True)
        ours = Timed([*predict, f"output={place / 'ours'}"])
        bf16 = Timed([*loop, str(place / "loop"), "bf16"])
        float32 = Timed([*loop, str(place / "float32"), "32"])
        onnx = Timed([sys.executable, "-c", _ONNX, str(place / "n.onnx"), str(place / "in"), str(place / "onnx")])
        half = Timed([*predict, f"output={place / 'half'}", "precision=bf16"])
        levels = apart(place / "ours", place / "half")
    what = f"{count} of {megapixels:g} megapixels, {network}"
    forward = f"predict {ours.seconds:.1f} s ({ours.cpu:.1f} s of processor), forward alone {bf16.forward:.1f} s"
    return [
        Ratio(f"predict beside the bf16 forward alone, {what}", bf16.forward / ours.seconds, WANTED, forward),
        Ratio("predict beside a loop in bf16", bf16.seconds / ours.seconds, None, _both(ours, bf16)),
        Ratio("predict beside a loop in float32", float32.seconds / ours.seconds, None, _both(ours, float32)),
        Ratio("predict beside a loop with ONNX Runtime", onnx.seconds / ours.seconds, None, _both(ours, onnx)),
        Ratio("precision=bf16 beside float32", ours.seconds / half.seconds, None, f"{_both(half, ours)}; {levels}"),
    ]


def apart(one: Path, other: Path) -> str:
    """How far the images of two folders are apart."""
    differences = [np.abs(read_image(file) - read_image(other / file.name)) * 255 for file in sorted(one.glob("*.png"))]
    difference = np.round(np.concatenate([d.ravel() for d in differences]))
    return f"{100 * (difference <= 1).mean():.2f} % of values within one level, at most {difference.max():.0f}"


def _both(ours: Timed, other: Timed) -> str:
    return f"{ours.seconds:.1f} and {other.seconds:.1f} s, of processor {ours.cpu:.1f} and {other.cpu:.1f} s"


def ratios(quick: bool) -> list[Ratio]:
    """What `make bench` shows."""
    return measure("rfd_student", 4 if quick else 50, 0.1 if quick else 0.3)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="rfd_student")
    parser.add_argument("--photographs", type=int, default=50)
    parser.add_argument("--megapixels", type=float, default=0.3)
    options = parser.parse_args()
    for ratio in measure(options.network, options.photographs, options.megapixels):
        print(ratio, flush=True)


if __name__ == "__main__":
    main()
