"""Frozen teachers: loading them, running them on a batch, and the refusal to exchange them in a resumed run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Required, TypedDict

import torch
from torch import Tensor, nn

from limpid import checkpoint
from limpid.config.registry import build
from limpid.errors import CannotRun, UserError
from limpid.losses.charbonnier import stage_images
from limpid.models.features import features_of, output_with_features
from limpid.networks.frozen import Frozen


class TeacherSettings(TypedDict, total=False):
    """The settings of one of several teachers; see `load_teacher`."""

    network: Required[str | None]
    ckpt: str | None
    seed: int


class WeightsOrigin(TypedDict, total=False):
    """The origin of weights, as plain facts.

    Attributes:
        weights: their sha256; None where there are none.
        network: the registry's name of their network.
        trained: the provenance of the checkpoint that they were read from.
        random: the seed that they were drawn with, or True where they are those of the run's own seed.
    """

    weights: Required[str | None]
    network: str | None
    trained: dict[str, object]
    random: int


class Teacher(NamedTuple):
    """A frozen teacher and what is known of it.

    Attributes:
        network: in evaluation mode, outside every state dict.
        origin: its network, the sha256 of its weights, and where they come from.
    """

    network: Frozen
    origin: WeightsOrigin


class TeacherOutput(NamedTuple):
    """The images and features of one or several teachers for a batch, in the batch's order.

    Attributes:
        restored: the images, `(N, 3, H, W)`.
        stages: the images of all stages; the last is `restored`.
        features: `(N, C, h, w)`, by the names of layers.
    """

    restored: Tensor
    stages: tuple[Tensor, ...]
    features: dict[str, Tensor]


def load_teacher(
    network: str | None,
    ckpt: str | Path | None = None,
    weights: str | None = None,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    key: str = "model.teacher",
    remedy: str | None = None,
) -> Teacher:
    """The teacher that a configuration describes.

    Args:
        network: its name in the registry; None stands for the clear image itself, a control that the paper lacks.
        ckpt: its checkpoint, which wins over `weights`.
        weights: ``random`` draws them where there is no checkpoint, which is recorded; None refuses.
        seed: of random weights.
        settings: of a network with random weights, where they differ from the registry's.
        key: where the teacher stands in the configuration, for messages.
        remedy: how to get weights, for the message when there are none.

    Raises:
        CannotRun: there are no weights.
        UserError: the checkpoint holds another network, or `weights` is neither None nor ``random``.
    """
    if weights not in (None, "random"):
        raise UserError(f"{key}.weights is {weights!r}, but it must be null or random; a file goes to ckpt.")
    if network is None:
        return Teacher(Frozen(nn.Identity()), {"network": None, "weights": None})
    if ckpt is not None:
        path = Path(ckpt)
        loaded = checkpoint.read(path)
        if loaded["network"] != network:
            raise UserError(
                f"The teacher's checkpoint {path} holds the network {loaded['network']}, but the teacher is {network}; "
                f"give a checkpoint of that network, or set {key}.network={loaded['network']}."
            )
        module = checkpoint.network(loaded, path)
        origin: WeightsOrigin = {"network": network, "weights": None, "trained": dict(loaded["provenance"])}
    elif weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build(network, **(settings or {}))
        origin = {"network": network, "weights": None, "random": seed}
    else:
        raise CannotRun(
            remedy
            or f"The teacher {network} has no weights; train it (`limpid train +rfd/table4={network}`, or table3 for "
            "teachers of low resolution) and give model.teacher.ckpt=RUN/checkpoints/best.ckpt, or set "
            "model.teacher.weights=random to distil from a teacher that learnt nothing."
        )
    origin["weights"] = checkpoint.weights_fingerprint(module.state_dict())
    return Teacher(Frozen(module), origin)


def load_teachers(
    teachers: Mapping[str, TeacherSettings],
    weights: str | None,
    student: tuple[str, Mapping[str, object]] | None = None,
    row: str = "uni_removal/teachers={kind}",
) -> dict[str, Teacher]:
    """The teachers by type of degradation.

    Args:
        teachers: by type of degradation, the arguments `network`, `ckpt` and `seed` of `load_teacher`.
        weights: of teachers without a checkpoint; see there.
        student: name and settings of the student: the paper's teachers have its structure, random ones get it.
        row: what trains a teacher, with ``{kind}`` in its name, for the message when there is none.

    Raises:
        CannotRun: one has no weights.
        UserError: a checkpoint does not fit.
    """
    loaded = {}
    for kind, settings in teachers.items():
        network = settings["network"]
        structure = student[1] if student and student[0] == network else None
        remedy = (
            f"The teacher for {kind} has no weights; train it (`limpid train +{row.format(kind=kind)}`) and give "
            f"model.teachers.{kind}.ckpt=RUN/checkpoints/best.ckpt, or set model.weights=random to learn from teachers "
            "that learnt nothing."
        )
        key = f"model.teachers.{kind}"
        ckpt = settings.get("ckpt")
        loaded[kind] = load_teacher(network, ckpt, weights, settings.get("seed", 0), structure, key, remedy)
    return loaded


def teacher_of(teachers: nn.ModuleDict, kind: str) -> nn.Module:
    """The network for images of the type `kind`.

    Raises:
        UserError: there is none.
    """
    if kind not in teachers:
        raise UserError(
            f"There is no teacher for images of the type {kind!r}; there are teachers for {', '.join(teachers)}. "
            f"Choose data of these types, or add model.teachers.{kind}."
        )
    teacher = teachers[kind]
    return teacher.module if isinstance(teacher, Frozen) else teacher


@torch.no_grad()
def each_by_its_teacher(
    teachers: nn.ModuleDict, x: Tensor, domains: Sequence[str], layers: Sequence[str]
) -> TeacherOutput:
    """The teachers' images and features for `x`, each image by the teacher of its type.

    Args:
        teachers: by type of degradation.
        x: `(N, 3, H, W)` in [0, 1].
        domains: the type of each image.
        layers: whose features are wanted.

    Raises:
        UserError: there is a type that no teacher knows.
    """
    positions: dict[str, list[int]] = {}
    for position, kind in enumerate(domains):
        positions.setdefault(kind, []).append(position)
    outputs = [output_with_features(teacher_of(teachers, kind), x[at], layers) for kind, at in positions.items()]
    order = torch.tensor(list(chain.from_iterable(positions.values())), device=x.device).argsort()
    stages_of_teachers = zip(*map(stage_images, outputs), strict=True)
    stages = tuple(torch.cat(images)[order] for images in stages_of_teachers)
    features: dict[str, Tensor] = {}
    for name in layers:
        parts = [features_of(output)[name] for output in outputs]
        features[name] = torch.cat(parts)[order]
    return TeacherOutput(stages[-1], stages, features)


def refuse_another(what: str, key: str, before: WeightsOrigin | None, now: WeightsOrigin | None) -> None:
    """Refuse to go on with other weights than a run began with.

    Args:
        what: they belong to, for the sentence.
        key: where they are given in the configuration.
        before: the origin in the checkpoint, with the sha256 `weights`.
        now: the origin in this process.

    Raises:
        UserError: they differ.
    """
    if before and now and before["weights"] != now["weights"]:
        raise UserError(
            f"This run began with another {what} (its weights' sha256 begins with {str(before['weights'])[:8]}, "
            f"now {str(now['weights'])[:8]}); give {key} that one, or add rerun=true to start over."
        )
