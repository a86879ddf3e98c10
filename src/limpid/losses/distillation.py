"""Terms whose reference is another output: a teacher's, or what the network makes of the clear image that went in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limpid.inference import restored_image
from limpid.losses.charbonnier import stage_images
from limpid.losses.step import LossTerm, Step
from limpid.ranges import Channels, NonNegativeFloat


class TeacherL1(LossTerm):
    """Mean absolute difference of the restored image and the teacher's (equation 1).

    Args:
        all_stages: whether every stage is compared with the teacher's same stage, and summed; the paper's "restored
            image" is read as the last stage alone.
    """

    requires = frozenset({"teacher"})

    def __init__(self, all_stages: bool = False) -> None:
        super().__init__()
        self.all_stages = all_stages

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32; no gradient reaches the teacher."""
        assert step.teacher is not None
        images = stage_images if self.all_stages else lambda output: (restored_image(output),)
        pairs = zip(images(step.output), images(step.teacher), strict=True)
        return torch.stack([F.l1_loss(own.float(), other.detach().float()) for own, other in pairs]).sum()


class IdentityL1(LossTerm):
    """Mean absolute difference of a clear image and what the network makes of it (equation 8)."""

    requires = frozenset({"clear", "clear_output"})

    def forward(self, step: Step) -> Tensor:
        """The mean over all pixels and channels, in float32."""
        assert step.clear is not None
        assert step.clear_output is not None
        return F.l1_loss(restored_image(step.clear_output).float(), step.clear)


class ProjectedFeatures(LossTerm):
    """Collaborative knowledge transfer of MAWR (Chen et al., CVPR 2022): features meet in a space for all teachers.

    At each layer the student's features, and those of each teacher, are projected by two convolutions to half as many
    channels; the mean absolute difference draws either to the other. What keeps a teacher's projection from losing what
    it is given is the way back: two convolutions more, and the mean absolute difference of what they return from the
    teacher's features. The projections are learnt here, with the student, all by the same loss, as in the release.

    Args:
        features: names of layers of both networks, and how many times `channels` each has.
        channels: of the network's first level.
        teachers: the types of degradation that there are teachers for.
        back_weight: weight of the way back.
    """

    requires = frozenset({"features", "teacher", "domain"})

    def __init__(
        self,
        features: Mapping[str, Channels],
        channels: Channels,
        teachers: Sequence[str],
        back_weight: NonNegativeFloat,
    ) -> None:
        super().__init__()
        self.back_weight = back_weight
        self.network_layers = tuple(features)
        self.teacher_layers = self.network_layers
        # A layer's name may have dots, which the name of a module's part cannot have.
        self.part_of = {name: str(number) for number, name in enumerate(features)}
        wide = {self.part_of[name]: channels * times for name, times in features.items()}
        each: dict[str, int] = {}
        for kind in teachers:
            each |= {f"{kind}_{part}": c for part, c in wide.items()}
        self.student = nn.ModuleDict({part: _projection(c, c // 2) for part, c in wide.items()})
        self.teachers = nn.ModuleDict({name: _projection(c, c // 2) for name, c in each.items()})
        self.back = nn.ModuleDict({name: _projection(c // 2, c) for name, c in each.items()})

    def forward(self, step: Step) -> Tensor:
        """The sum over the layers, each a mean over the batch, in float32; no gradient reaches a teacher."""
        assert step.features is not None
        assert step.teacher is not None
        assert step.domain is not None
        domains = list(step.domain)
        total = []
        for name, part in self.part_of.items():
            own = self.student[part](step.features[name])
            others = step.teacher.features[name].detach()
            for kind in dict.fromkeys(domains):
                at = [i for i, domain in enumerate(domains) if domain == kind]
                projected = self.teachers[f"{kind}_{part}"](others[at])
                drawn = F.l1_loss(own[at].float(), projected.float())
                kept = F.l1_loss(self.back[f"{kind}_{part}"](projected).float(), others[at].float())
                total.append((drawn + self.back_weight * kept) * len(at) / len(domains))
        return torch.stack(total).sum()


def _projection(channels_in: int, channels_out: int) -> nn.Sequential:
    layers = [nn.Conv2d(c, channels_out, 3, padding=1, bias=False) for c in (channels_in, channels_out)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])
