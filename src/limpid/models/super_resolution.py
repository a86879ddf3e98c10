"""Super-resolution: pairs are made from clean images, and a network that enlarges is trained on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sized
from contextlib import nullcontext
from typing import Any

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from limpid.errors import UserError
from limpid.models.batches import Batch
from limpid.models.evaluation import PerImageScores
from limpid.models.restorer import Restorer, StepOutput
from limpid.ranges import Layers, NonNegativeFloat
from limpid.store.metrics_file import MetricSummary, Summary

#: How images may be scaled.
INTERPOLATIONS = ("bicubic", "bilinear")


def scaled(image: Tensor, size: tuple[int, int], interpolation: str = "bicubic") -> Tensor:
    """The `image` `(N, 3, H, W)` in [0, 1] at another (height, width), antialiased, clamped to [0, 1].

    Bicubic is Keys' cubic with a = -0.5, as MATLAB's and Pillow's; near the border its weights are renormalised, as
    Pillow's are.
    """
    if tuple(image.shape[-2:]) == size:
        return image
    return F.interpolate(image.float(), size, mode=interpolation, antialias=True, align_corners=False).clamp(0, 1)


class TeacherScores(PerImageScores):
    """Scores with facts about the network that a table shows beside them, such as its best epoch."""

    def __init__(self, metrics: Mapping[str, Callable[..., Tensor]]) -> None:
        super().__init__(metrics)
        self.facts: dict[str, float] = {}

    def summary(self, prefix: str = "") -> Summary:
        """The means of `PerImageScores.summary`; each set of the restored images has the facts too."""
        summary = super().summary(prefix)
        if prefix:
            return summary
        for values in summary.values():
            n = max((entry["n"] for entry in values.values()), default=0)
            for name, value in self.facts.items():
                values[name] = MetricSummary(mean=value, n=n, protocol=name)
        return summary


class SuperResolution(Restorer):
    """A network with a `scale` learns to enlarge small images, made from the clean `target` of any batch.

    The high-resolution image is the clean one, or an interpolation of it to `target_scale` times its size, as the
    920x1240 images of Rich Feature Distillation are: there its released code enlarges the very 460x620 image that is
    the input, so that what is learnt is the interpolation (which explains 60 dB and more in tables 2 and 4). The small
    image is the clean one scaled by `target_scale / scale`. Sides are first cut to what makes both whole.

    In each batch `small` is then what the network sees, `target` the high-resolution image, and `input` the small one
    enlarged by interpolation, so that scores and pictures show what that gives without learning.

    Args:
        arguments: see `Restorer`; the network has a `scale`.
        target_scale: how many times the clean image is enlarged to the high-resolution one.
        interpolation: ``bicubic`` or ``bilinear``, antialiased, wherever an image is scaled.
        last_layer: the part that learns more slowly, such as ``upsample``, or None.
        last_layer_rate: its share of the learning rate (0.1 in FSRCNN, Dong et al., ECCV 2016, section 4.1).
        full_precision: train in float32 whatever the trainer's precision. The rounding of bfloat16 alone leaves 54 to
            56 dB between an FSRCNN's output and the exact one, less than tables 2 and 4 print.
        settings: see `Restorer`.

    Raises:
        UserError: the network does not enlarge, or a setting is out of range.
    """

    def __init__(
        self,
        *arguments: Any,
        target_scale: Layers = 1,
        interpolation: str = "bicubic",
        last_layer: str | None = None,
        last_layer_rate: NonNegativeFloat = 0.1,
        full_precision: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        scale = getattr(self.network, "scale", None)
        if scale is None:
            raise UserError(
                f"The network {self.network_name} does not enlarge, so it cannot learn super-resolution; choose one "
                "that does, such as dsc_mc_fsrcnn, or another model."
            )
        if interpolation not in INTERPOLATIONS or target_scale < 1:
            raise UserError(
                f"model.interpolation is {interpolation!r} and model.target_scale {target_scale}, but the first must "
                f"be {' or '.join(INTERPOLATIONS)} and the second a whole number from 1 on."
            )
        self.provenance["target_scale"] = target_scale
        self.scale = int(scale)
        self.target_scale = int(target_scale)
        self.interpolation = interpolation
        self.full_precision = full_precision
        self.best: dict[str, float] | None = None
        self._images_per_step = 0
        self.scores: TeacherScores = TeacherScores(self.scores.metrics)
        if (optimizer := self.optimizer) is not None and last_layer is not None:
            self.optimizer = lambda parameters: self._grouped(optimizer, parameters, last_layer, last_layer_rate)

    def _grouped(
        self, optimizer: Callable[..., Optimizer], parameters: Iterable[nn.Parameter], last_layer: str, rate: float
    ) -> Optimizer:
        """The optimizer over two groups, of which the second has `rate` times the learning rate."""
        last = {id(p) for p in self.network.get_submodule(last_layer).parameters()}
        learnt = list(parameters)
        fast = [p for p in learnt if id(p) not in last]
        slow = [p for p in learnt if id(p) in last]
        made = optimizer([{"params": fast}, {"params": slow}])
        made.param_groups[1]["lr"] *= rate
        return made

    # Batches ----------------------------------------------------------------------------------------------------

    def pair(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """The small and the high-resolution image made from `clean` `(N, 3, H, W)` in [0, 1]."""
        multiple = self.scale // math.gcd(self.scale, self.target_scale)
        height, width = (side - side % multiple for side in clean.shape[-2:])
        clean = clean[..., :height, :width]

        def to(factor: int, part: int) -> Tensor:
            return scaled(clean, (height * factor // part, width * factor // part), self.interpolation)

        return to(self.target_scale, self.scale), to(self.target_scale, 1)

    def degrade(self, batch: Batch) -> Batch:
        """The batch with `small`, `input` and `target` made from its clean images.

        It is changed in place: callbacks that look at the batch afterwards see what was compared.

        Raises:
            UserError: it has no clean images.
        """
        if batch.get("target") is None:
            raise UserError(
                f"Super-resolution makes its pairs from clean images, and {batch['name'][0]} comes without one; choose "
                "data with references, such as data=scenes."
            )
        small, target = self.pair(batch["target"])
        plain = scaled(small, (target.shape[-2], target.shape[-1]), self.interpolation)
        batch["small"] = small
        batch["input"] = plain
        batch["target"] = target
        return batch

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The loss of one batch of small images."""
        batch = self.degrade(batch)
        if self._trainer is not None:
            self._images_per_step = len(batch["small"]) * self.trainer.world_size
        with torch.autocast(batch["small"].device.type, enabled=False) if self.full_precision else nullcontext():
            return super().training_step({**batch, "input": batch["small"]}, batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """The enlarged images of a batch of a validation set, for the callbacks; their scores are kept."""
        batch = self.degrade(batch)
        restored = self.restore(batch["small"])
        self.scores.add(dataloader_idx, batch, restored)
        return restored

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """The enlarged images of a batch of a test set, for the callbacks; their scores are kept."""
        batch = self.degrade(batch)
        restored = self.restore(batch["small"])
        self.scores.add(dataloader_idx, batch, restored)
        return restored

    # The best epoch ---------------------------------------------------------------------------------------------

    def on_validation_epoch_end(self) -> None:
        """Log the means, and note when the best PSNR so far came."""
        super().on_validation_epoch_end()
        psnr = self.scores.means().get("psnr")
        if psnr is None or self.trainer.state.fn != TrainerFn.FITTING or self.trainer.sanity_checking:
            return
        if self.best is None or psnr > self.best["psnr"]:
            self.best = {"psnr": psnr, "epoch": self._epochs_done()}

    def _epochs_done(self) -> float:
        """The number of times that every training image was seen, on average."""
        dataset = getattr(self.trainer.train_dataloader, "dataset", None)
        if not isinstance(dataset, Sized):
            return float(self.trainer.current_epoch)
        return self.batches_done * self._images_per_step / len(dataset)

    def on_test_epoch_start(self) -> None:
        """Begin to count, with the size of the network and the epoch of its best validation as tables 1 to 4 show."""
        super().on_test_epoch_start()
        self.scores.facts = {"params_k": sum(p.numel() for p in self.network.parameters()) / 1e3}
        if self.best is not None:
            self.scores.facts["epoch"] = self.best["epoch"]

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Add the best validation so far."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["best"] = self.best

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Go on from the best validation so far."""
        self.load_extra_state(checkpoint)

    def load_extra_state(self, saved: Mapping[str, Any]) -> None:
        """Take up the best validation so far."""
        self.best = saved.get("best")
