"""DA-Net's last stage: both translators and both dehazing networks learn together."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from limpid.config.registry import build
from limpid.errors import UserError
from limpid.losses import Step
from limpid.losses.adversarial import Game, LeastSquares, game_of
from limpid.models.adversarial import Adversarial
from limpid.models.batches import Batch
from limpid.models.da_net_dehazing import TRANSLATORS, TRANSLATORS_REMEDY
from limpid.models.da_net_translators import IMAGES, judged_images, named_discriminators, translated_step
from limpid.models.haze_domains import haze_domains, translate
from limpid.models.image_pool import ImagePool
from limpid.models.restorer import StepOutput
from limpid.models.start import load_start
from limpid.models.teachers import WeightsOrigin, refuse_another
from limpid.networks.da_net import DANet, DANetTranslators, DehazingReturns
from limpid.ranges import CountOrNone

#: What the discriminators of features are called.
FEATURES = ("real_features", "synthetic_features")
_REMEDY = (
    "DA-Net's last stage starts from a dehazing network for {kind} haze; train it (`limpid train "
    "+uni_removal/baselines=da_net_{kind}`, or add prerequisites=run) and give "
    "model.start.{key}=RUN/checkpoints/last.ckpt, or set model.start.weights=random to start from one that learnt "
    "nothing."
)


class DomainAdaptiveDehazing(Adversarial):
    """DA-Net (Shao et al., CVPR 2020, section 3.3): the network is that for real haze, beside it all others learn.

    Each of the two dehazing networks sees the pairs and the real images in its own domain, translated or as they are:
    these are the two `branches` of a step. In each step they and the translators learn first, on one loss, then all
    discriminators. The other network, the translators, the discriminators and the pools are in Lightning's state, so
    that a run continues, but not in the network that a checkpoint rebuilds.

    A batch holds `input`, `target`, `real`, and the depth of both; see `limpid.models.haze_domains`.

    Args:
        arguments: see `Restorer`; the network is a `DANet`, for real haze.
        translators: settings of `da_net_translators`.
        discriminators: of `real_images` and `synthetic_images`, and of `real_features` and `synthetic_features`.
        adversarial: what is otherwise in the optimizer of the translators and the discriminators, such as `lr`.
        start: the checkpoints that the training starts from: `ckpt` of the network, `synthetic` of that for made haze,
            `translators` of the translators; without one `weights`: None refuses, ``random`` starts from a network that
            learnt nothing, which is recorded.
        game: what the discriminators make of the scores; None is `LeastSquares`. Terms of the loss have their own.
        pool: how many translated images of either domain are kept for the discriminators.
        settings: see `Restorer`; optimizer and learning-rate scheduler are made twice.

    Raises:
        CannotRun: (when training begins) there is nothing to start from.
        UserError: the network or the discriminators are others; (when training begins) a checkpoint does not fit, or
            the run began with another one; or (in a step) there is no depth.
    """

    PROVIDES = (Adversarial.PROVIDES | {"cycles", "identities", "feature_scores", "branches", "real_output"}) - {
        "features"
    }

    network: DANet
    discriminator: nn.ModuleDict

    def __init__(
        self,
        *arguments: Any,
        translators: Mapping[str, Any],
        discriminators: Mapping[str, nn.Module],
        adversarial: Mapping[str, Any],
        start: Mapping[str, str | None],
        game: Game | None = None,
        pool: CountOrNone = 50,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        if not isinstance(self.network, DANet):
            raise UserError(
                f"This training compares all that two of DA-Net's networks return, and {type(self.network).__name__} "
                "is none; choose network=da_net, or another model."
            )
        self.synthetic = copy.deepcopy(self.network)
        self.translators: DANetTranslators = build(TRANSLATORS, **translators)  # type: ignore[assignment]
        self.discriminator = named_discriminators(discriminators, (*IMAGES, *FEATURES))
        self.adversarial = dict(adversarial)
        self.start = dict(start)
        self.game = game_of(game, LeastSquares())
        self.pools = nn.ModuleDict({name: ImagePool(pool) for name in IMAGES})

    def setup(self, stage: str) -> None:
        """Load the networks that the training starts from."""
        if stage != "fit" or "start" in self.provenance:
            return
        origins: dict[str, Any] = {}
        for part, key, module in (("real", "ckpt", self.network), ("synthetic", "synthetic", self.synthetic)):
            remedy = _REMEDY.format(kind=part, key=key)
            origins[part] = self._started(module, self.network_name, key, remedy)
        origins["translators"] = self._started(self.translators, TRANSLATORS, "translators", TRANSLATORS_REMEDY)
        self.provenance["start"] = origins

    def _started(self, module: nn.Module, name: str, key: str, remedy: str) -> WeightsOrigin:
        """Where the weights of `module` come from, once they are in it; see `load_start`."""
        return load_start(module, name, None, self.start.get(key), self.start.get("weights"), remedy)

    def configure_network(self, memory_format: str = "channels_last", compile: bool = False) -> None:
        """Say how the networks are computed; see `Restorer`."""
        super().configure_network(memory_format, compile)
        for other in (self.synthetic, self.translators):
            other.to(memory_format=self.memory_format)  # type: ignore[call-overload]

    def generators(self) -> list[nn.Module]:
        """All that learns against the discriminators."""
        return [*super().generators(), self.synthetic, self.translators]

    def make_optimizers(self) -> list[Optimizer]:
        """One for both dehazing networks and, with other settings, the translators; one for the discriminators."""
        dehazing = [*super().generators(), self.synthetic]
        groups = [
            {"params": _learnt(dehazing)},
            {"params": _learnt([self.translators]), **self.adversarial},
        ]
        judges = [{"params": _learnt([self.discriminator]), **self.adversarial}]
        return [self.make_optimizer(groups), self.make_optimizer(judges)]  # type: ignore[arg-type]

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """The losses of one step of the networks and one of the discriminators; the networks' terms are logged."""
        assert self.loss is not None
        domains = haze_domains(self, batch)
        translation = translate(self.translators, domains, "identities" in self.loss.requires)
        self.discriminator.requires_grad_(False)  # the networks' loss passes through it and leaves nothing there
        step = translated_step(batch, translation, self.discriminator)
        real = self._branch(step, self.network, translation.to_real, domains.real)
        synthetic = self._branch(step, self.synthetic, domains.synthetic, translation.to_synthetic)
        # In the domain of real haze the pairs are translated; in that of made haze the real images are.
        made = {"real_features": _features(real.output), "synthetic_features": _features(synthetic.real_output)}
        seen = {"real_features": _features(real.real_output), "synthetic_features": _features(synthetic.output)}
        scores = [self.discriminator[name](made[name]) for name in FEATURES]
        step = replace(step, output=real.output, real_output=real.real_output, branches=[real, synthetic])
        total, terms = self.loss(replace(step, feature_scores=scores))
        self.optimize(0, total, batch_idx)
        self.discriminator.requires_grad_(True)
        photographs = {"real_images": domains.real, "synthetic_images": domains.synthetic}
        judged = judged_images(self.discriminator, self.pools, self.game, photographs, translation)
        for name in FEATURES:
            judge = self.discriminator[name]
            judged = judged + self.game.discriminator_loss(judge(seen[name].detach()), judge(made[name].detach()))
        self.optimize(1, judged, batch_idx)
        return self.log_turn(total, terms, judged)

    def _branch(self, step: Step, network: nn.Module, pairs: Tensor, real: Tensor) -> Step:
        """What one of the networks sees and returns."""
        shown = [images.contiguous(memory_format=self.memory_format) for images in (pairs, real)]
        return replace(step, input=pairs, output=network(shown[0]), real_output=network(shown[1]))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on from other networks than the run began with.

        Raises:
            UserError: their weights differ.
        """
        before, now = (facts.get("start") or {} for facts in (checkpoint["provenance"], self.provenance))
        for part, key in (("real", "ckpt"), ("synthetic", "synthetic"), ("translators", "translators")):
            refuse_another(f"start ({part})", f"model.start.{key}", before.get(part), now.get(part))


def _features(output: object) -> Tensor:
    """The coarsest features that a dehazing network returned."""
    assert isinstance(output, DehazingReturns)
    return output.features


def _learnt(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    """The parameters of `modules` that learn."""
    parameters = chain.from_iterable(module.parameters() for module in modules)
    return [p for p in parameters if p.requires_grad]
