"""Uni-Removal's first stage: the knowledge of several teachers, one for each degradation, goes into one student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from limpid.errors import UserError
from limpid.inference import restore
from limpid.losses import Step
from limpid.models.batches import Batch
from limpid.models.decaying_loss_weights import DecayingLossWeights
from limpid.models.restorer import Restorer
from limpid.models.teachers import TeacherOutput, each_by_its_teacher, load_teachers, refuse_another, teacher_of


class KnowledgeTransfer(DecayingLossWeights):
    """``L_kt = L_pixel + alpha_2 (L_ig + alpha_1 L_fg)`` (equations 1 to 6): one student learns from several teachers.

    There is one frozen teacher for each type of degradation; it runs on the images of its own type alone, and in the
    precision of the step, like the student. What the teachers return is put together in the batch's order. Equal shares
    of the types in every batch are the data's business. The teachers are loaded when training begins; checkpoints hold
    the student alone, and their provenance names every teacher by the sha256 of its weights.

    Args:
        arguments: see `Restorer`; the network is the student, and its settings are those of random teachers too.
        teachers: by type of degradation (the `domain` of images), the arguments `network`, `ckpt` and `seed` of
            `limpid.models.teachers.load_teacher`.
        weights: of teachers without a checkpoint: None refuses them, ``random`` draws them, which is recorded.
        settings: see `DecayingLossWeights`; the paper's `decay` is 0.99 after each of 400 epochs.

    Raises:
        CannotRun: (when training begins) a teacher has no weights.
        UserError: (likewise) a checkpoint does not fit, the run began with another teacher, or (in a step) there is no
            teacher for an image.
    """

    PROVIDES = DecayingLossWeights.PROVIDES | {"teacher"}

    #: What trains a teacher.
    TEACHER_ROW = "uni_removal/teachers={kind}"

    def __init__(
        self,
        *arguments: Any,
        teachers: Mapping[str, Mapping[str, object]],
        weights: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        self.teacher_settings = teachers
        self.weights = weights
        self.teachers = nn.ModuleDict()

    def setup(self, stage: str) -> None:
        """Load the teachers for training."""
        required = self.loss is not None and "teacher" in self.loss.requires
        if stage != "fit" or not required or self.teachers:
            return
        student = (self.network_name, self.network_config)
        loaded = load_teachers(self.teacher_settings, self.weights, student, self.TEACHER_ROW)
        for kind, (teacher, origin) in loaded.items():
            if self.layers and _shapes(teacher.module) != _shapes(self.network):
                raise UserError(
                    f"The teacher for {kind} has another structure than the student, so that their features cannot "
                    f"be compared; give model.teachers.{kind}.ckpt one that was trained at the same budget, or set "
                    f"{self._weight_of_features()}=0."
                )
            teacher.module.to(memory_format=self.memory_format)  # type: ignore[call-overload]
            self.teachers[kind] = teacher
            self.provenance.setdefault("teachers", {})[kind] = origin

    def _weight_of_features(self) -> str:
        """The setting that takes out the first term that compares features."""
        assert self.loss is not None
        name = next(name for name, term in self.loss.named_terms().items() if term.network_layers)
        return f"loss.terms.{name}.weight"

    def make_step(self, batch: Batch) -> Step:
        """The step that the terms see of a batch, with the teachers' output where a term requires it."""
        assert self.loss is not None
        if "teacher" not in self.loss.requires:
            return super().make_step(batch)
        teacher = self.teacher_forward(batch)
        return replace(super().make_step(batch), teacher=teacher)

    def teacher_forward(self, batch: Batch) -> TeacherOutput:
        """The teachers' images and features for `batch`, each image by the teacher of its type.

        Raises:
            UserError: the batch holds a type that no teacher knows.
        """
        x = batch["input"].contiguous(memory_format=self.memory_format)
        return each_by_its_teacher(self.teachers, x, batch["domain"], self.layers)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with other teachers than the run began with.

        Raises:
            UserError: the weights of one differ.
        """
        before, now = (facts.get("teachers", {}) for facts in (checkpoint["provenance"], self.provenance))
        for kind in before.keys() & now.keys():
            refuse_another(f"teacher for {kind}", f"model.teachers.{kind}.ckpt", before[kind], now[kind])


class TeacherEnsemble(Restorer):
    """The teachers as they are, without training: every image is restored by the one for its type (table 4, first row).

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
        UserError: a checkpoint does not fit, or (in validation, test and prediction) there is no teacher for an image.
    """

    def __init__(
        self,
        network: nn.Module,
        *arguments: Any,
        teachers: Mapping[str, Mapping[str, object]],
        weights: str | None = None,
        **settings: Any,
    ) -> None:
        loaded = load_teachers(teachers, weights)
        ensemble = nn.ModuleDict({kind: teacher.network.module for kind, teacher in loaded.items()})
        super().__init__(ensemble, *arguments, **settings)
        self.provenance["teachers"] = {kind: teacher.origin for kind, teacher in loaded.items()}

    def restore_batch(self, batch: Batch) -> Tensor:
        """The images of a batch, each restored by the teacher for its type: float32, clamped to [0, 1].

        Raises:
            UserError: there is no teacher for an image.
        """
        assert isinstance(self.network, nn.ModuleDict)
        teachers = [teacher_of(self.network, kind) for kind in batch["domain"]]
        images = batch["input"].split(1)
        return torch.cat([restore(teacher, image) for teacher, image in zip(teachers, images, strict=True)])


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in network.state_dict().items()}
