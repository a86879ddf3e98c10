"""Rich Feature Distillation: a dehazing student that is also drawn to the features of a super-resolution teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from limpid.inference import restored_image
from limpid.losses import Step
from limpid.models.batches import Batch
from limpid.models.restorer import Restorer
from limpid.models.teachers import TeacherOutput, load_teacher, refuse_another
from limpid.networks.feature_hooks import forward_with_features
from limpid.networks.frozen import Frozen


class RichFeatureDistillation(Restorer):
    """``L = MSE(S(hazy), clear) + w_FA * L_FA`` (rfd, equations 14 to 16): the network of this model is the student.

    The frozen teacher sees the clear image, and the affinity terms of the loss compare its features with the student's.
    It is loaded when training begins; testing, predicting and exporting know the student alone, and so do
    checkpoints, whose provenance names the teacher by the sha256 of its weights. Where no term requires a teacher
    there is none, and every step is the plain `Restorer`'s.

    Args:
        arguments: see `Restorer`.
        teacher: the arguments of `limpid.models.teachers.load_teacher`, and ``input_scale``: by how much the clear
            image is scaled for the teacher. 1 enlarges 460x620 to 920x1240 (the paper's high resolution), 0.5 gives a
            teacher of 2x back the image's own size (low resolution, table 6).
        settings: see `Restorer`.

    Raises:
        CannotRun: (when training begins) the teacher has no weights.
        UserError: (likewise) its checkpoint does not fit, or the run began with another teacher.
    """

    PROVIDES = Restorer.PROVIDES | {"teacher"}

    def __init__(self, *arguments: Any, teacher: Mapping[str, Any], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.teacher_settings = dict(teacher)
        self.input_scale = float(self.teacher_settings.pop("input_scale", 1.0))
        self.teacher: Frozen | None = None
        self.teacher_layers = [] if self.loss is None else self.loss.teacher_layers

    def setup(self, stage: str) -> None:
        """Load the teacher for training, if any term asks for it."""
        required = self.loss is not None and "teacher" in self.loss.requires
        if stage == "fit" and required and self.teacher is None:
            self.teacher, origin = load_teacher(**self.teacher_settings)
            self.provenance["teacher"] = {**origin, "input_scale": self.input_scale}

    def make_step(self, batch: Batch) -> Step:
        """The step that the terms see, with the teacher's features for the batch's clear images."""
        if self.teacher is None:
            return super().make_step(batch)
        target = batch.get("target")
        if target is None:  # the sentence about missing references
            return super().make_step(batch)
        teacher = self.teacher_forward(target)
        return replace(super().make_step(batch), teacher=teacher)

    @torch.no_grad()
    def teacher_forward(self, clear: Tensor) -> TeacherOutput:
        """The teacher's images and features for `clear` `(N, 3, H, W)` in [0, 1], in float32."""
        assert self.teacher is not None
        with torch.autocast(clear.device.type, enabled=False):
            if self.input_scale != 1:
                clear = F.interpolate(
                    clear, scale_factor=self.input_scale, mode="bicubic", antialias=True, align_corners=False
                ).clamp(0, 1)
            output, features = forward_with_features(self.teacher.module, clear, self.teacher_layers)
        restored = restored_image(output)
        return TeacherOutput(restored, (restored,), {name: restored_image(f) for name, f in features.items()})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with another teacher than the run began with.

        Raises:
            UserError: the weights differ.
        """
        before, now = (provenance.get("teacher") for provenance in (checkpoint["provenance"], self.provenance))
        refuse_another("teacher", "model.teacher.ckpt", before, now)
