"""Rich Feature Distillation: a dehazing student that is also drawn to the features of a super-resolution teacher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid import checkpoint
from limpid.config.registry import build
from limpid.errors import CannotRun, UserError
from limpid.inference import restored_image
from limpid.losses.affinity import FeatureAffinity
from limpid.models.restorer import Batch, Restorer
from limpid.networks.feature_hooks import forward_with_features
from limpid.networks.frozen import Frozen


class Tapped(NamedTuple):
    """A network's image and the features it had on the way.

    Attributes:
        restored: `(N, 3, H, W)`.
        features: by tap.
    """

    restored: Tensor
    features: dict[str, Tensor]


class Teacher(NamedTuple):
    """A frozen teacher and what is known of it.

    Attributes:
        network: in evaluation mode, outside every state dict.
        origin: plain facts: its network, the sha256 of its weights, and where they come from.
    """

    network: Frozen
    origin: dict[str, Any]


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
        source: dict[str, Any] = {"trained": dict(loaded["provenance"])}
    elif weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = build(network, **(settings or {}))
        source = {"random": seed}
    else:
        raise CannotRun(
            remedy
            or f"The teacher {network} has no weights; train it (`limpid train +rfd/table4={network}`, or table3 for "
            "teachers of low resolution) and give model.teacher.ckpt=RUN/checkpoints/best.ckpt, or set "
            "model.teacher.weights=random to distil from a teacher that learnt nothing."
        )
    digest = checkpoint.weights_fingerprint(module.state_dict())
    return Teacher(Frozen(module), {"network": network, "weights": digest, **source})


class RichFeatureDistillation(Restorer):
    """``L = MSE(S(hazy), clear) + w_FA * L_FA`` (rfd, equations 14 to 16): the network of this system is the student.

    The frozen teacher sees the clear image, and the affinity terms of the loss compare its features with the student's.
    It is loaded when training begins; testing, predicting and exporting know the student alone, and so do
    checkpoints, whose provenance names the teacher by the sha256 of its weights. Where no affinity term has a weight
    there is no teacher, and every step is the plain `Restorer`'s.

    Args:
        arguments: see `Restorer`.
        teacher: the arguments of `load_teacher`, and ``input_scale``: by how much the clear image is scaled for the
            teacher. 1 enlarges 460x620 to 920x1240 (the paper's high resolution), 0.5 gives a teacher of 2x back the
            image's own size (low resolution, table 6).
        settings: see `Restorer`.

    Raises:
        CannotRun: (when training begins) the teacher has no weights.
        UserError: (likewise) its checkpoint does not fit, or the run began with another teacher.
    """

    def __init__(self, *arguments: Any, teacher: Mapping[str, Any], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.teacher_settings = dict(teacher)
        self.input_scale = float(self.teacher_settings.pop("input_scale", 1.0))
        self.teacher: Frozen | None = None
        terms = [t for t in self.loss.terms.values() if isinstance(t, FeatureAffinity)] if self.loss else []
        self.student_taps = list(dict.fromkeys(tap for term in terms for tap in term.student_taps))
        self.teacher_taps = list(dict.fromkeys(tap for term in terms for tap in term.teacher_taps))

    def setup(self, stage: str) -> None:
        """Load the teacher for training, if any term asks for it."""
        if stage == "fit" and self.teacher_taps and self.teacher is None:
            self.teacher, origin = load_teacher(**self.teacher_settings)
            self.provenance["teacher"] = {**origin, "input_scale": self.input_scale}

    def forward(self, x: Tensor) -> Any:
        """The student's output for `x` `(N, 3, H, W)` in [0, 1]; in training with the features that the loss needs."""
        if not (self.training and self.student_taps):
            return super().forward(x)
        x = x.contiguous(memory_format=self.memory_format)
        output, features = forward_with_features(self.network, x, self.student_taps)
        return Tapped(restored_image(output), {tap: restored_image(value) for tap, value in features.items()})

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """The loss of one batch, the teacher's features for its clear images at hand as `teacher_output`."""
        if self.teacher is not None:
            batch = {**batch, "teacher_output": self.taught(batch["target"])}
        return super().training_step(batch, batch_idx)

    @torch.no_grad()
    def taught(self, clear: Tensor) -> Tapped:
        """What the teacher makes of `clear` `(N, 3, H, W)` in [0, 1], and its features, in float32."""
        assert self.teacher is not None
        with torch.autocast(clear.device.type, enabled=False):
            if self.input_scale != 1:
                clear = F.interpolate(
                    clear, scale_factor=self.input_scale, mode="bicubic", antialias=True, align_corners=False
                ).clamp(0, 1)
            output, features = forward_with_features(self.teacher.module, clear, self.teacher_taps)
        return Tapped(restored_image(output), {tap: restored_image(value) for tap, value in features.items()})

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with another teacher than the run began with.

        Raises:
            UserError: the weights differ.
        """
        before, now = (p.get("teacher") for p in (checkpoint["provenance"], self.provenance))
        if before and now and before["weights"] != now["weights"]:
            raise UserError(
                f"This run began with another teacher (its weights' sha256 begins with {before['weights'][:8]}, now "
                f"{now['weights'][:8]}); give model.teacher.ckpt that one, or add rerun=true to start over."
            )
