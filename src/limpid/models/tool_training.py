"""The training of RL-Restore's tools, before the agent that chooses among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limpid import checkpoint
from limpid.errors import CannotRun, UserError
from limpid.losses import Step
from limpid.models.batches import Batch, known_of
from limpid.models.restorer import Restorer
from limpid.models.teachers import WeightsOrigin
from limpid.networks.rl_restore import RLRestore


def refuse_others(model: Restorer) -> None:
    """Refuse a model whose network has no tools, or would train on images that lie otherwise than it sees them.

    Raises:
        UserError: it is so.
    """
    if not isinstance(model.network, RLRestore):
        raise UserError(
            f"The network {model.network_name or type(model.network).__name__} has no tools, which is what "
            f"{type(model).__name__} trains or chooses among; choose network=rl_restore."
        )
    if model.loss is not None and model.network.transposed:
        raise UserError(
            "Training takes images as they lie, and network.transposed=true would restore others; leave it false; "
            "weights that were trained on transposed images may go on from there."
        )


class ToolTraining(Restorer):
    """Each tool of an `RLRestore` learns on images with its own distortion (Yu et al., CVPR 2018); the agent does not.

    A batch says by `tool` `(N,)` which tool each image is for, counted from 0, as `limpid.data.degradations`'
    `ToolDistortion` does. Where it says nothing, the tools take turns by the images' numbers. Validation and test apply
    to each image its own tool.

    Args:
        arguments: see `Restorer`; the network is an `RLRestore`.
        settings: see `Restorer`.

    Raises:
        UserError: the network is another, or (in a step) an image is for a tool that is not there.
    """

    network: RLRestore

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        refuse_others(self)
        self.network.agent.requires_grad_(False)

    def make_step(self, batch: Batch) -> Step:
        """The step with what each image's own tool makes of it."""
        images = batch["input"].contiguous(memory_format=self.memory_format)
        chosen = self.tools_of(batch)
        parts, places = [], []
        for number, tool in enumerate(self.network.tools):
            at = (chosen == number).nonzero().flatten()
            # A tool without images here gets a gradient of 0: processes that average gradients wait for all.
            parts.append(tool(images[at]) if len(at) else images[:0] + 0 * sum(p.sum() for p in tool.parameters()))
            places.append(at)
        output = torch.cat(parts)[torch.cat(places).argsort()]
        return Step(**known_of(batch), output=output)

    def restore_batch(self, batch: Batch) -> Tensor:
        """The images behind each one's own tool: float32, clamped to [0, 1]."""
        images, chosen = batch["input"].float(), self.tools_of(batch).tolist()
        with torch.no_grad():
            restored = [self.network.apply_tool(tool, x) for tool, x in zip(chosen, images.split(1), strict=True)]
        return torch.cat(restored).float().clamp(0.0, 1.0)

    def tools_of(self, batch: Batch) -> Tensor:
        """`(N,)`: the tool of each image, from 0.

        Raises:
            UserError: there is no such tool.
        """
        count = len(self.network.tools)
        chosen = batch.get("tool")
        if chosen is None:
            return batch["index"] % count
        if int(chosen.max()) >= count:
            raise UserError(
                f"The data has images for tool {int(chosen.max()) + 1}, and the network has {count} tools; give it as "
                "many by network.sizes, or choose other data."
            )
        return chosen


def load_tools(network: RLRestore, ckpt: str | Path | None, weights: str | None) -> WeightsOrigin:
    """The origin of a network's tools, once they have their weights.

    Args:
        network: whose tools they are.
        ckpt: a checkpoint of a network with as many tools of the same sizes.
        weights: ``random`` leaves the tools as they were drawn where there is no checkpoint; None refuses.

    Raises:
        CannotRun: there is no checkpoint, and `weights` is None.
        UserError: the checkpoint does not fit, or `weights` is another word.
    """
    if weights not in (None, "random"):
        raise UserError(f"model.tools.weights is {weights!r}, but it must be null or random.")
    if ckpt is None and weights is None:
        raise CannotRun(
            "The tools have no weights; train them (`limpid train +fdr/baselines=rl_restore_tools`) and give "
            "model.tools.ckpt=RUN/checkpoints/best.ckpt, or set model.tools.weights=random for tools that learnt "
            "nothing."
        )
    origin: WeightsOrigin = {"weights": None}
    if ckpt is None:
        origin["random"] = True
    else:
        loaded = checkpoint.read(Path(ckpt))
        if loaded["network"] != "rl_restore":
            raise UserError(
                f"The checkpoint {ckpt} holds the network {loaded['network']}, which has no tools; give "
                "model.tools.ckpt one of rl_restore."
            )
        start = "tools."
        state = {name: value for name, value in checkpoint.weights(loaded).items() if name.startswith(start)}
        named = {name.removeprefix(start): value for name, value in state.items()}
        checkpoint.load(network.tools, named, Path(ckpt))
        origin["trained"] = dict(loaded["provenance"])
    origin["weights"] = checkpoint.weights_fingerprint(network.tools.state_dict())
    return origin
