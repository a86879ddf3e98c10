"""DA-Net's second stage: a dehazing network for one domain, beside translators that learnt before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from limpid.config.registry import build
from limpid.errors import UserError
from limpid.losses import Step
from limpid.models.batches import Batch
from limpid.models.haze_domains import pair_depth
from limpid.models.real_images import real_images
from limpid.models.restorer import Restorer
from limpid.models.start import load_start
from limpid.models.teachers import refuse_another
from limpid.networks.da_net import DANetTranslators
from limpid.networks.frozen import Frozen

#: The registry's name of the translators.
TRANSLATORS = "da_net_translators"
TRANSLATORS_REMEDY = (
    "DA-Net dehazes images that trained translators bring to one domain; train them (`limpid train "
    "+uni_removal/baselines=da_net_translators`, or add prerequisites=run) and give "
    "model.start.translators=RUN/checkpoints/last.ckpt, or set model.start.weights=random to take translators that "
    "learnt nothing."
)


class TranslatedDehazing(Restorer):
    """A network that learns on pairs and on real images, either of which are translated (Shao et al., CVPR 2020).

    For real haze the pairs are translated (`translate` is ``pairs``), for made haze the real images (``real``). The
    translators are frozen; they are not part of the state.

    A batch holds `input`, `target` and `real`, and the depth of the pairs where these are translated.

    Args:
        arguments: see `Restorer`.
        translate: ``pairs`` or ``real``.
        translators: settings of `da_net_translators`.
        start: `translators`, their checkpoint; without one `weights`: None refuses, ``random`` takes translators that
            learnt nothing, which is recorded.
        settings: see `Restorer`.

    Raises:
        CannotRun: (when training begins) there are no translators.
        UserError: `translate` is neither, or (when training begins) the checkpoint does not fit, or the run began with
            another one.
    """

    PROVIDES = Restorer.PROVIDES | {"real_output"}

    def __init__(
        self,
        *arguments: Any,
        translate: str,
        translators: Mapping[str, Any],
        start: Mapping[str, str | None],
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, **settings)
        if translate not in ("pairs", "real"):
            raise UserError(f"model.translate is {translate!r}, but it must be pairs or real.")
        self.translate = translate
        self.translators = Frozen(build(TRANSLATORS, **translators))
        self.start = dict(start)

    def setup(self, stage: str) -> None:
        """Load the translators."""
        if stage == "fit" and "translators" not in self.provenance:
            given = (self.start.get("translators"), self.start.get("weights"))
            module = self.translators.module
            origin = load_start(module, TRANSLATORS, None, *given, TRANSLATORS_REMEDY)
            self.provenance["translators"] = origin

    def make_step(self, batch: Batch) -> Step:
        """The step that the terms of the loss see of a batch, once one side of it is translated."""
        degraded, real = batch["input"], real_images(self, batch)
        translators = self.translators.module
        assert isinstance(translators, DANetTranslators)
        with torch.no_grad():
            if self.translate == "pairs":
                degraded = translators.to_real(degraded, pair_depth(batch))
            else:
                real = translators.to_synthetic(real)
        step = super().make_step({**batch, "input": degraded})
        return replace(step, real_output=self(real))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with other translators than the run began with.

        Raises:
            UserError: their weights differ.
        """
        before, now = (facts.get("translators") for facts in (checkpoint["provenance"], self.provenance))
        refuse_another("pair of translators", "model.start.translators", before, now)
