"""One step of Uni-Removal's transfer beside a plain one, which runs every teacher on everything.

Ours runs each teacher on the images of its own type, and VGG-19 once on each of the three batches of images: the
student's, the teachers', the degraded ones. Plain goes through the types in a loop: each teacher restores the whole
batch, VGG-19 sees all it restored and the degraded images again, and the rows of its type are kept. Both reach
the same loss. They take turns, with the same batch, weights, optimizer and threads; plain is in float32 and NCHW, and
once more in our precision and layout, so that what the form alone gains is seen.

    python benchmarks/transfer_step.py [--steps 5] [--threads 2] [OVERRIDE ...]
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor

import limpid
from limpid.losses import Step
from limpid.losses.charbonnier import stage_images
from limpid.losses.contrastive import contrastive_loss
from limpid.models.features import output_with_features
from limpid.models.teachers import TeacherOutput, teacher_of
from limpid.models.uni_removal import KnowledgeTransfer
from measuring import Ratio, growth_mb, interleaved, table
from train_step import batch_of, composed, words

KINDS = ("haze", "rain", "blur")
OVERRIDES = [
    "data=scenes_mixture",
    "training.mini.vgg19_weights=random",
    "model.weights=random",
    *(f"model.teachers.{kind}.ckpt=null" for kind in KINDS),
]


def transfer(memory_format: str, overrides: list[str]) -> tuple[KnowledgeTransfer, dict[str, Any]]:
    """A narrow student with its three teachers, all with random weights, and a batch of the three types."""
    settings = [*OVERRIDES, f"memory_format={memory_format}", *overrides]
    config = composed("uni_removal_transfer", settings)
    restorer: Any = limpid.model(*words("uni_removal_transfer", settings))
    restorer.setup("fit")
    return restorer.train(), batch_of(config)


def our_loss(restorer: KnowledgeTransfer, batch: dict[str, Any]) -> Tensor:
    """What `KnowledgeTransfer.training_step` computes."""
    assert restorer.loss is not None
    total: Tensor = restorer.loss(restorer.make_step(batch))[0]
    return total


def plain_loss(restorer: KnowledgeTransfer, batch: dict[str, Any]) -> Tensor:
    """The same loss, type by type."""
    assert restorer.loss is not None
    x, domain, terms = batch["input"], batch["domain"], restorer.loss.terms
    contrast: Any = terms["image_contrast"]
    student = restorer(x)
    anchors = contrast.embed(student.restored)
    stages: list[Tensor] = []
    features = {name: torch.empty(0) for name in restorer.layers}
    losses = []
    for kind in KINDS:
        at = torch.tensor([k == kind for k in domain])
        with torch.no_grad():
            output = output_with_features(teacher_of(restorer.teachers, kind), x, restorer.layers)
            positives, negatives = contrast.embed(output.restored), contrast.embed(x)
        stages = [torch.where(at[:, None, None, None], new, old) for new, old in _pairs(stage_images(output), stages)]
        features = {
            name: torch.where(at[:, None, None, None], new, features[name] if len(features[name]) else new)
            for name, new in output.features.items()
        }
        own = torch.eye(len(x), dtype=torch.bool)[at]
        every = torch.ones(int(at.sum()), len(x), dtype=torch.bool)
        losses.append(contrastive_loss(anchors[at], positives, negatives, own, every, contrast.temperature))
    teacher = TeacherOutput(stages[-1], tuple(stages), features)
    step = Step(x, None, student, domain=domain, features=student.features, teacher=teacher)
    values = {name: term(step) for name, term in terms.items() if name != "image_contrast"}
    values["image_contrast"] = torch.cat(losses).mean()
    return torch.stack([restorer.loss.weights[name] * value.float() for name, value in values.items()]).sum()


def _pairs(new: Any, old: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(new, old or new, strict=True))


def stepped(
    loss: Callable[[KnowledgeTransfer, dict[str, Any]], Tensor],
    restorer: KnowledgeTransfer,
    batch: dict[str, Any],
    mixed: bool,
) -> Callable[[], float]:
    """One step that goes down `loss`; it returns the loss."""
    assert restorer.optimizer is not None
    optimizer = restorer.optimizer(restorer.network.parameters())

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            total = loss(restorer, batch)
        total.backward()
        optimizer.step()
        return total.item()

    return step


def compare(repeats: int, overrides: list[str]) -> list[Ratio]:
    """Ours beside plain, in float32 and in our precision."""
    restorer, batch = transfer("channels_last", overrides)
    second, third = copy.deepcopy(restorer), transfer("contiguous_format", overrides)[0]
    start = {"ours": our_loss(third, batch).item(), "plain": plain_loss(third, batch).item()}
    assert abs(start["ours"] - start["plain"]) < 1e-4 * abs(start["plain"]), start  # one loss, two ways to it
    steps = {
        "ours": stepped(our_loss, restorer, batch, True),
        "plain": stepped(plain_loss, third, batch, False),
        "plain alike": stepped(plain_loss, second, batch, True),
    }
    seconds = interleaved(steps, repeats)
    memory = {name: growth_mb(step) for name, step in steps.items()}
    each = {name: f"{value * 1000:.0f} ms and {memory[name]:.0f} MiB" for name, value in seconds.items()}
    size = "x".join(map(str, batch["input"].shape))
    return [
        Ratio("transfer step", seconds["plain"] / seconds["ours"], 3, f"batch {size}: {each['ours']}, {each['plain']}"),
        Ratio("transfer step, by its form alone", seconds["plain alike"] / seconds["ours"], None, each["plain alike"]),
        Ratio("transfer step, memory", memory["plain"] / memory["ours"]),
    ]


def ratios(quick: bool) -> list[Ratio]:
    """What `make bench` shows."""
    return compare(1 if quick else 5, [])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(table(compare(options.steps, options.overrides)))


if __name__ == "__main__":
    main()
