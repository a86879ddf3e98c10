"""Uni-Removal's first stage: the knowledge of several teachers, one for each degradation, goes into one student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.inference import restore, restored_image
from limpid.losses.charbonnier import stage_images
from limpid.models.restorer import Batch, Restorer
from limpid.models.rfd import Tapped, load_teacher
from limpid.networks.feature_hooks import forward_with_features
from limpid.networks.frozen import Frozen


class Taught(NamedTuple):
    """What the teachers made of a batch, each of its own images, in the batch's order.

    Attributes:
        restored: the images, `(N, 3, H, W)`.
        stages: the images of all stages; the last is `restored`.
        features: by name.
    """

    restored: Tensor
    stages: tuple[Tensor, ...]
    features: dict[str, Tensor]


def with_features(network: nn.Module, x: Tensor, names: Sequence[str]) -> Any:
    """The output of `network` for `x` `(N, 3, H, W)`, with `.features` where any are named.

    MPRNet gives them by names of its own, which are those of whole images; of another network they are named after its
    parts.
    """
    if not names:
        return network(x)
    if hasattr(network, "FEATURES"):
        return network(x, features=names)
    output, features = forward_with_features(network, x, names)
    return Tapped(restored_image(output), features)


class Student(Restorer):
    """What both stages share: features for the loss, and the weights of terms that decay from epoch to epoch."""

    def prepare(self, decay: Mapping[str, Mapping[str, float]] | None) -> None:
        """Note which features the loss compares, and which of its terms fade; see `KnowledgeTransfer`."""
        terms = [] if self.loss is None else self.loss.terms.values()
        self.taps = list(dict.fromkeys(name for term in terms for name in getattr(term, "features", ())))
        self.decay = {name: dict(by) for name, by in (decay or {}).items()}
        self.full_weights = {} if self.loss is None else dict(self.loss.weights)

    def forward(self, x: Tensor) -> Any:
        """The network's output for `x` `(N, 3, H, W)` in [0, 1]; in training with the features that the loss needs."""
        x = x.contiguous(memory_format=self.memory_format)
        return with_features(self.network, x, self.taps if self.training else ())

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed this step's randomness, and give every term its weight of this epoch."""
        super().on_train_batch_start(batch, batch_idx)
        self.weigh(batch_idx, self.trainer.datamodule.steps)  # type: ignore[attr-defined]

    def weigh(self, done: int, steps: int) -> None:
        """Give every term its weight after `done` of `steps` batches: `factor` for each of `of` parts that is over."""
        if self.loss is None:
            return
        for name, by in self.decay.items():
            if name in self.full_weights:
                self.loss.weights[name] = self.full_weights[name] * by["factor"] ** (done * int(by["of"]) // steps)


class KnowledgeTransfer(Student):
    """``L_kt = L_pixel + alpha_2 (L_ig + alpha_1 L_fg)`` (equations 1 to 6): one student learns from several teachers.

    There is one frozen teacher for each type of degradation; it runs on the images of its own type alone, and in the
    precision of the step, like the student. What the teachers return is put together in the batch's order as
    `teacher_output`. Equal shares of the types in every batch are the data's business. The teachers are loaded when
    training begins; checkpoints hold the student alone, and their provenance names every teacher by the sha256 of its
    weights.

    Args:
        arguments: see `Restorer`; the network is the student, and its settings are those of random teachers too.
        teachers: by type of degradation (the `domain` of images), the arguments `network`, `ckpt` and `seed` of
            `limpid.models.rfd.load_teacher`.
        weights: of teachers without a checkpoint: None refuses them, ``random`` draws them, which is recorded.
        decay: by the name of a term of the loss: `factor`, which multiplies its weight after each of `of` equal parts
            of the run. The paper has 0.99 after each of 400 epochs.
        settings: see `Restorer`.

    Raises:
        CannotRun: (when training begins) a teacher has no weights.
        UserError: (likewise) a checkpoint does not fit, the run began with another teacher, or (in a step) there is no
            teacher for an image.
    """

    #: What trains a teacher.
    TEACHER_ROW = "uni_removal/teachers={kind}"

    def __init__(
        self,
        *arguments: Any,
        teachers: Mapping[str, Mapping[str, Any]],
        weights: str | None = None,
        decay: Mapping[str, Mapping[str, float]] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.prepare(decay)
        self.teacher_settings, self.weights = teachers, weights
        self.teachers = nn.ModuleDict()

    def setup(self, stage: str) -> None:
        """Load the teachers for training."""
        if stage == "fit" and not self.teachers:
            same = (self.network_name, self.network_config)
            loaded = load_teachers(self.teacher_settings, self.weights, same, self.TEACHER_ROW)
            for kind, (teacher, origin) in loaded.items():
                if self.taps and _shapes(teacher.module) != _shapes(self.network):
                    raise UserError(
                        f"The teacher for {kind} has another structure than the student, so that their features cannot "
                        f"be compared; give model.teachers.{kind}.ckpt one that was trained at the same budget, or set "
                        f"{self._weight_of_features()}=0."
                    )
                teacher.module.to(memory_format=self.memory_format)  # type: ignore[call-overload]
                self.teachers[kind] = teacher
                self.provenance.setdefault("teachers", {})[kind] = origin

    def _weight_of_features(self) -> str:
        assert self.loss is not None
        name = next(name for name, term in self.loss.terms.items() if getattr(term, "features", ()))
        return f"loss.terms.{name}.weight"

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """The loss of one batch, with what the teachers make of it at hand."""
        return super().training_step({**batch, "teacher_output": self.taught(batch)}, batch_idx)

    @torch.no_grad()
    def taught(self, batch: Batch) -> Taught:
        """What the teachers make of `batch`, each of the images of its own type.

        Raises:
            UserError: the batch holds a type that no teacher knows.
        """
        x = batch["input"].contiguous(memory_format=self.memory_format)
        places = {
            kind: [i for i, k in enumerate(batch["domain"]) if k == kind] for kind in dict.fromkeys(batch["domain"])
        }
        outputs = [with_features(teacher_of(self.teachers, kind), x[at], self.taps) for kind, at in places.items()]
        order = torch.tensor([i for at in places.values() for i in at], device=x.device).argsort()
        stages = tuple(torch.cat(s)[order] for s in zip(*(stage_images(o) for o in outputs), strict=True))
        features = {name: torch.cat([o.features[name] for o in outputs])[order] for name in self.taps}
        return Taught(stages[-1], stages, features)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with other teachers than the run began with.

        Raises:
            UserError: the weights of one differ.
        """
        before, now = (p.get("teachers", {}) for p in (checkpoint["provenance"], self.provenance))
        for kind in before.keys() & now.keys():
            refuse_another(f"teacher for {kind}", f"model.teachers.{kind}.ckpt", before[kind], now[kind])


class Specialists(Restorer):
    """The teachers as they are, to be tested: every image is restored by the one for its type (table 4, first row).

    There is nothing to train. Where it is used, the configuration's network is ``identity``, so that no single
    checkpoint is asked for.

    Args:
        network: is replaced by the teachers.
        arguments: see `Restorer`.
        teachers: as in `KnowledgeTransfer`.
        weights: as there.
        settings: see `Restorer`; there is nothing to train.

    Raises:
        CannotRun: a teacher has no weights.
        UserError: a checkpoint does not fit, or (when testing) there is no teacher for an image.
    """

    def __init__(
        self,
        network: nn.Module,
        *arguments: Any,
        teachers: Mapping[str, Mapping[str, Any]],
        weights: str | None = None,
        **settings: Any,
    ) -> None:
        loaded = load_teachers(teachers, weights)
        specialists = nn.ModuleDict({kind: teacher.module for kind, (teacher, _) in loaded.items()})
        super().__init__(specialists, *arguments, **settings)
        self.provenance["teachers"] = {kind: origin for kind, (_, origin) in loaded.items()}

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Score images of one type; the restored images go on to the callbacks."""
        assert isinstance(self.network, nn.ModuleDict)
        assert len(set(batch["domain"])) == 1, "images are tested one by one"
        restored = restore(teacher_of(self.network, batch["domain"][0]), batch["input"])
        self.scores.add(dataloader_idx, batch, restored)
        return restored


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in network.state_dict().items()}


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
    found = teachers[kind]
    return found.module if isinstance(found, Frozen) else found


def load_teachers(
    teachers: Mapping[str, Mapping[str, Any]],
    weights: str | None,
    same: tuple[str, Mapping[str, Any]] | None = None,
    row: str = KnowledgeTransfer.TEACHER_ROW,
) -> dict[str, tuple[Frozen, dict[str, Any]]]:
    """The frozen teachers by type of degradation, and what is known of each.

    Args:
        teachers: see `KnowledgeTransfer`.
        weights: see there.
        same: name and settings of the student: the paper's teachers have its structure, random ones get it.
        row: what trains a teacher, with ``{kind}`` in its name, for the message when there is none.

    Raises:
        CannotRun: one has no weights.
        UserError: a checkpoint does not fit.
    """
    loaded = {}
    for kind, settings in teachers.items():
        own = {"network": settings["network"], "ckpt": settings.get("ckpt"), "seed": settings.get("seed", 0)}
        structure = same[1] if same and same[0] == own["network"] else None
        remedy = (
            f"The teacher for {kind} has no weights; train it (`limpid train +{row.format(kind=kind)}`) and give "
            f"model.teachers.{kind}.ckpt=RUN/checkpoints/best.ckpt, or set model.weights=random to learn from teachers "
            "that learnt nothing."
        )
        key = f"model.teachers.{kind}"
        teacher = load_teacher(**own, weights=weights, settings=structure, key=key, remedy=remedy)
        loaded[kind] = (teacher.network, teacher.origin)
    return loaded


def refuse_another(what: str, key: str, before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> None:
    """Refuse to go on with other weights than a run began with.

    Raises:
        UserError: they differ.
    """
    if before and now and before["weights"] != now["weights"]:
        raise UserError(
            f"This run began with another {what} (its weights' sha256 begins with {before['weights'][:8]}, now "
            f"{now['weights'][:8]}); give {key} that one, or add rerun=true to start over."
        )
