"""What a network costs: parameters, size on disk, multiplications, time, memory."""

from __future__ import annotations

import io
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from limpid.zero_shot.base import LearnsOnEachImage

_PROC = Path("/proc/self")


class Cost(NamedTuple):
    """The cost of restoring one image.

    Attributes:
        params: how many numbers the network learns.
        size_mb: its state dict as a file, in units of 2^20 bytes.
        gflops: two for each multiply-add of convolutions and matrix products, in units of 1e9; what works element by
            element is not counted, and None stands for a network that has nothing else.
        latency_ms: the median time of a forward pass.
        peak_memory_mb: the growth of memory during a forward pass, in units of 2^20 bytes: of the accelerator's
            tensors, or of the process on a CPU (None where the system does not tell).
    """

    params: int
    size_mb: float
    gflops: float | None
    latency_ms: float
    peak_memory_mb: float | None


def cost(network: nn.Module, height: int, width: int, device: torch.device, repeats: int = 5) -> Cost:
    """The cost of `network` on one random RGB image of `height` x `width`, in float32, without gradients.

    Args:
        network: as it is; its weights do not matter.
        height: of the image in pixels.
        width: of the image in pixels.
        device: where to measure.
        repeats: forward passes that are timed, after one that warms up.

    Of a method that learns on each image, one step is measured: making the networks, learning once, and the result.
    """
    params = parameter_count(network, height, width)
    if isinstance(network, LearnsOnEachImage):
        network = network.with_steps(1)
    network = network.eval().to(device)
    x = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        memory = _peak_growth(network, x)  # in the first pass: later ones find the memory still there
        gflops = _gflops(network, x)
        latency = statistics.median(_seconds(network, x) for _ in range(repeats))
    return Cost(params, _file_size(network) / 2**20, gflops, latency * 1000, memory)


class CostPerMegapixel(NamedTuple):
    """What restoring a photograph of a megapixel costs.

    Attributes:
        seconds: the median time, of an accelerator or of one core of the processor.
        memory_mb: the growth of memory, see `Cost.peak_memory_mb`.
        machine: on which it was measured, see `machine`.
    """

    seconds: float
    memory_mb: float | None
    machine: str


#: Height and width of the photograph that `cost_per_megapixel` restores.
_MEGAPIXEL = (800, 1250)


def cost_per_megapixel(restore: Callable[[Tensor], Tensor], device: torch.device, repeats: int = 3) -> CostPerMegapixel:
    """The cost of restoring one random photograph of 800 x 1250 pixels.

    A processor restores it in one thread, whose own time is counted: what else the machine does adds little to it.

    Args:
        restore: maps `(1, 3, H, W)` in [0, 1] to the restored image.
        device: where it works.
        repeats: how often it is timed, after once to warm up.
    """
    x = torch.rand(1, 3, *_MEGAPIXEL, generator=torch.Generator().manual_seed(0)).to(device)
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            memory = _peak_growth(restore, x)
            seconds = statistics.median(_seconds(restore, x, clock) for _ in range(repeats))
    finally:
        torch.set_num_threads(threads)
    return CostPerMegapixel(seconds, memory, machine(device))


def machine(device: torch.device) -> str:
    """The name of the accelerator that is `device`, or of the processor, of which one core works."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"one core of {_processor()}" if device.type == "cpu" else device.type


def _processor() -> str:
    """The processor's name as Linux tells it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def parameter_count(network: nn.Module, height: int, width: int) -> int:
    """How many numbers `network` learns; of a method that learns on each image, on one of `height` x `width`."""
    if isinstance(network, LearnsOnEachImage):
        return network.learnt_parameters(height, width)
    return sum(p.numel() for p in network.parameters())


def _gflops(network: nn.Module, x: Tensor) -> float | None:
    """The count of PyTorch itself, during one real pass."""
    counter = FlopCounterMode(display=False)
    with counter:
        network(x)
    return counter.get_total_flops() / 1e9 or None


def _file_size(network: nn.Module) -> int:
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    return len(file.getvalue()) if network.state_dict() else 0


def _seconds(network: Callable[[Tensor], object], x: Tensor, clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    network(x)
    _wait(x.device)
    return clock() - start


def _wait(device: torch.device) -> None:
    """Let an accelerator finish what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _peak_growth(network: Callable[[Tensor], object], x: Tensor) -> float | None:
    if x.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(x.device)
        before = torch.cuda.memory_allocated(x.device)
        network(x)
        _wait(x.device)
        return (torch.cuda.max_memory_allocated(x.device) - before) / 2**20
    if x.device.type != "cpu" or not os.access(_PROC / "clear_refs", os.W_OK):
        return None
    # Linux remembers the most memory a process held; 5 makes it forget (proc_pid_clear_refs).
    (_PROC / "clear_refs").write_text("5")
    before_kb = _status_kb("VmRSS")
    network(x)
    return max(0, _status_kb("VmHWM") - before_kb) / 1024


def _status_kb(field: str) -> int:
    lines = (_PROC / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
