"""What only a library can judge, asked before a run's directory is made; `models.build` asks it of the optimizer.

A Trainer is made of its settings alone. What it refuses would otherwise be found once the run has begun, and with
`rerun=true` once its results are gone.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from limpid.config import instantiate
from limpid.config.compose import key_of
from limpid.errors import UserError, nearest, reason_of, shortened
from limpid.runs.processes import ProcessFailed
from limpid.runs.spec import RunSpec
from limpid.store.run_directory import Run


def refuse_without_checkpoints(config: Mapping[str, Any]) -> None:
    """Refuse a training that would keep no weights: the test after it reads them from there.

    Raises:
        UserError: `callbacks.checkpoint` is null or missing.
    """
    if not config["callbacks"].get("checkpoint"):
        raise UserError(
            "callbacks.checkpoint is null or missing, but a training keeps its weights by it; leave it as it is."
        )


def refuse_trainer(settings: Mapping[str, Any], allow: Sequence[str]) -> None:
    """Refuse a Trainer that cannot be made on this machine.

    Args:
        settings: of Lightning's Trainer, without what a run adds.
        allow: packages besides Limpid's usual ones that its objects may come from.

    Raises:
        UserError: naming its settings and the reason.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.pytorch.strategies import StrategyRegistry

    strategy = settings.get("strategy", "auto")
    known = ("auto", *StrategyRegistry)
    if isinstance(strategy, str) and strategy not in known:
        hint = nearest(strategy, known) or f"; there are {', '.join(known)}."
        raise UserError(f"There is no trainer.strategy={strategy}{hint}")
    # Of one process and without a cluster: whether several can be had, `distributed.place` has found out.
    one = {"devices": 1, "num_nodes": 1, "max_steps": -1, "max_epochs": 1, "val_check_interval": 1.0}
    alone = dict(settings) | one | ({"strategy": "auto"} if isinstance(strategy, str) else {})
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    instantiate.construct(alone | quiet | {"plugins": [LightningEnvironment()]}, "trainer", allow)


@contextmanager
def first_step_explained(spec: RunSpec, run: Run) -> Iterator[None]:
    """What fails before the first step is done is put down to the settings that were typed, where there are any.

    Sizes that do not fit each other, such as channels of a discriminator, are found by no signature. Without typed
    settings it is a failure of Limpid's own, and stays one. What classes of one's own raise keeps its traceback.

    Raises:
        UserError: naming the settings and the reason.
    """
    try:
        yield
    except (MemoryError, RuntimeError, TypeError, ValueError) as error:
        typed = [word for word in spec.overrides if "." in key_of(word)]
        lost = isinstance(error, ProcessFailed)
        if lost or not typed or run.status().get("step") or _is_of(error, spec.allow_targets):
            raise
        where = "at its first step" if spec.mode == "train" else "while it tests"
        raise UserError(
            f"The run fails {where} ({shortened(reason_of(error), 400)}); change what does not fit among "
            f"{shortened(' '.join(typed), 400)}."
        ) from error


def _is_of(error: Exception, packages: Sequence[str]) -> bool:
    """Whether code of one of the `packages` was at work where the error was raised.

    Of a data-loading process only the text of its traceback comes, which does not name packages.
    """
    if str(error).startswith("Caught "):
        return bool(packages)
    frames = traceback.walk_tb(error.__traceback__)
    return any(str(frame.f_globals.get("__name__")).partition(".")[0] in packages for frame, _ in frames)
