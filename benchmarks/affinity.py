"""The affinity term on a whole 460x620 image beside the N x N Gram and beside the network's step: time and memory.

Rich Feature Distillation's student and its teacher's image, pooled to N = 115 x 155 positions. The plain form makes
both N x N matrices and lets autograd keep what it wants. Every figure is of the term forwards and back.

    python benchmarks/affinity.py [--steps 3] [--threads 2]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor
from torch.nn import functional as F

import limpid
from limpid.losses.affinity import affinity_distance, pooled
from measuring import Ratio, growth_mb, interleaved, table
from train_step import composed, ours, words

SIZE = (460, 620)
POOL = 4


def gram_distance(student: Tensor, teacher: Tensor, distance: str) -> Tensor:
    """`affinity_distance` as it is written, for `(N, C, P)`."""
    h, c = student.mT @ student, teacher.mT @ teacher
    if distance == "kl":
        own, other = F.log_softmax(h, -1), F.log_softmax(c, -1)
        return (own.exp() * (own - other)).sum(-1).mean()
    return (h - c).square().mean() if distance == "l2" else (h - c).abs().mean()


def term(form: Callable[[Tensor, Tensor, str], Tensor], distance: str) -> Callable[[], float]:
    """The term forwards and back, on a random restored image and a random teacher's."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 3, *SIZE, generator=generator) for _ in range(2)]
    grid = (SIZE[0] // POOL, SIZE[1] // POOL)

    def run() -> float:
        restored = images[0].clone().requires_grad_()
        value = form(pooled(restored, grid), pooled(images[1], grid), distance)
        value.backward()
        return value.item()

    return run


def network_step() -> Callable[[], None]:
    """A step of the student on one image of that size, as `limpid train` takes it."""
    config = composed("rfd_student", [])
    restorer = limpid.model(*words("rfd_student", [])).train()
    assert restorer.optimizer is not None
    generator = torch.Generator().manual_seed(0)
    batch = {name: torch.rand(1, 3, *SIZE, generator=generator) for name in ("input", "target")}
    return ours(restorer, restorer.optimizer(restorer.network.parameters()), batch, str(config["trainer"]["precision"]))


def compare(repeats: int, grams: bool = True) -> list[Ratio]:
    """Each distance beside the network's step and, with `grams`, beside its plain form (4 GiB and more)."""
    positions = (SIZE[0] // POOL) * (SIZE[1] // POOL)
    matrix = positions**2 * 4 / 2**20
    found = []
    for distance in ("l2", "l1", "kl"):
        own = term(affinity_distance, distance)
        seconds = interleaved({"term": own, "step": network_step()}, repeats)
        memory = growth_mb(own)
        facts = f"{seconds['term'] * 1000:.0f} ms beside {seconds['step'] * 1000:.0f} ms"
        found.append(
            Ratio(f"affinity {distance} beside the network's step", seconds["step"] / seconds["term"], 1, facts)
        )
        facts = f"{memory:.1f} MiB beside {matrix:.0f} MiB for one matrix"
        found.append(Ratio(f"affinity {distance}, memory beside the N x N Gram", matrix / max(memory, 0.1), 100, facts))
        if grams:
            plain = term(gram_distance, distance)
            seconds = interleaved({"term": own, "plain": plain}, 1)
            facts = f"plain {seconds['plain'] * 1000:.0f} ms and {growth_mb(plain):.0f} MiB"
            found.append(
                Ratio(f"affinity {distance} beside its plain form", seconds["plain"] / seconds["term"], None, facts)
            )
    return found


def ratios(quick: bool) -> list[Ratio]:
    """What `make bench` shows."""
    return compare(1 if quick else 3, grams=not quick)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-grams", action="store_true", help="leave out the plain forms, which take 5 GiB")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(table(compare(options.steps, not options.no_grams)))


if __name__ == "__main__":
    main()
