"""Terms whose reference is another output: a teacher's, or what the network makes of the clear image that went in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.inference import restored_image
from limpid.losses.charbonnier import stage_images


class TeacherL1(nn.Module):
    """Mean absolute difference of the restored image and the teacher's, `batch["teacher_output"]` (equation 1).

    Args:
        all_stages: whether every stage is compared with the teacher's same stage, and summed; the paper's "restored
            image" is read as the last stage alone.
    """

    def __init__(self, all_stages: bool = False) -> None:
        super().__init__()
        self.all_stages = all_stages

    def forward(self, output: Any, batch: Mapping[str, Any]) -> Tensor:
        """The mean over all pixels and channels, in float32; no gradient reaches the teacher."""
        images = stage_images if self.all_stages else lambda o: (restored_image(o),)
        pairs = zip(images(output), images(batch["teacher_output"]), strict=True)
        return torch.stack([F.l1_loss(own.float(), other.detach().float()) for own, other in pairs]).sum()


class IdentityL1(nn.Module):
    """Mean absolute difference of a clear image and what the network makes of it (equation 8).

    The batch must hold the images `clear` and the network's `clear_output` for them.
    """

    def forward(self, output: Any, batch: Mapping[str, Any]) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        return F.l1_loss(restored_image(batch["clear_output"]).float(), batch["clear"])


class ProjectedFeatures(nn.Module):
    """Collaborative knowledge transfer of MAWR (Chen et al., CVPR 2022): features meet in a space for all teachers.

    At each tap the student's features, and those of each teacher, are projected by two convolutions to half as many
    channels; the student's are drawn to its teacher's by their mean absolute difference. What keeps a teacher's
    projection from losing what it is given is the way back: two convolutions more, and the mean absolute difference of
    what they return from the teacher's features. The projections are learnt here, with the student.

    The output and `batch["teacher_output"]` must have `.features`, a dict; the batch must hold `domain`.

    Args:
        features: names of the features, and how many times `channels` each has.
        channels: of the network's first level.
        teachers: the types of degradation that there are teachers for.
    """

    def __init__(self, features: Mapping[str, int], channels: int, teachers: Sequence[str]) -> None:
        super().__init__()
        self.features = tuple(features)
        # A tap's name may have dots, which a module's part cannot.
        self.taps = {name: str(tap) for tap, name in enumerate(features)}
        wide = {self.taps[name]: channels * times for name, times in features.items()}
        each = {f"{kind}_{tap}": c for kind in teachers for tap, c in wide.items()}
        self.student = nn.ModuleDict({tap: _projection(c, c // 2) for tap, c in wide.items()})
        self.teachers = nn.ModuleDict({name: _projection(c, c // 2) for name, c in each.items()})
        self.back = nn.ModuleDict({name: _projection(c // 2, c) for name, c in each.items()})

    def forward(self, output: Any, batch: Mapping[str, Any]) -> Tensor:
        """The sum over the taps, each a mean over the batch, in float32; no gradient reaches a teacher."""
        domains, total = batch["domain"], []
        for name, tap in self.taps.items():
            own, others = self.student[tap](output.features[name]), batch["teacher_output"].features[name].detach()
            for kind in dict.fromkeys(domains):
                at = [i for i, domain in enumerate(domains) if domain == kind]
                projected = self.teachers[f"{kind}_{tap}"](others[at])
                drawn = F.l1_loss(own[at].float(), projected.detach().float())
                kept = F.l1_loss(self.back[f"{kind}_{tap}"](projected).float(), others[at].float())
                total.append((drawn + kept) * len(at) / len(domains))
        return torch.stack(total).sum()


def _projection(channels_in: int, channels_out: int) -> nn.Sequential:
    layers = [nn.Conv2d(c, channels_out, 3, padding=1, bias=False) for c in (channels_in, channels_out)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])
