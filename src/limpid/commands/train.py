"""`limpid train`: do what a row does, store the run, and print paper beside measured."""

from __future__ import annotations

import math
import os
import sys
from typing import Any

from omegaconf import DictConfig, OmegaConf

from limpid.config.compose import Single, launch
from limpid.errors import UserError
from limpid.runs import distributed, multirun, prerequisites
from limpid.store.run_directory import Run

HELP = """limpid train [+PAPER/TABLE=ROW] [OVERRIDE ...]

Trains and tests a row (or only tests it, if it learns nothing), stores the run under its own name, and prints the
paper's numbers beside the measured ones. The same command again continues an interrupted run and skips a finished one.

  limpid train +rfd/table5=student budget=mini seed=1     a row, a smaller budget, another seed
  limpid train -m '+rfd/table5=glob(*)' budget=smoke       a sweep over a table (-m: multirun)
  limpid train model=ffa_net network.blocks=4 data=folder data.root=my_pairs
  limpid train +rfd/table5=student --cfg job               print the configuration and stop

budgets: paper (as printed), mini (minutes to hours on a CPU), smoke (two steps)
data:    scenes (made, no download), folder (your own pairs), reside_its, sots_indoor, ...
trainer: auto, cpu, gpu, ddp (all GPUs of a machine), ddp_cpu, fsdp, multi_node (under srun or torchrun), debug
logger:  csv (always), wandb, tensorboard, mlflow, all
useful:  data.root=DIR  rerun=true  callbacks=ema  compile=true  trainer.max_steps=N"""


def run(arguments: list[str]) -> int:
    """Compose and perform; the exit status."""
    return composed("train", HELP, arguments)


def composed(verb: str, text: str, arguments: list[str]) -> int:
    """What verbs that perform runs have in common: help, one run, or a sweep of them."""
    if "--help" in arguments or "-h" in arguments:
        print(text)
        return 0
    started = distributed.outside()
    if started is not None:
        for name, value in distributed.QUIET.items():
            os.environ.setdefault(name, value)
    if any(a in ("-m", "--multirun") for a in arguments):
        if started is not None:
            raise UserError(
                f"A sweep cannot be shared by the {started.world} processes that {started.starter} started; start it "
                "once, and trainer=ddp starts the processes of each of its jobs."
            )
        with multirun.noted() as folder:
            launch(verb, arguments, _job)
        return multirun.end(folder)
    single = Single(_job)
    launch(verb, arguments, single)
    if isinstance(single.error, distributed.ProcessFailed):
        print(distributed.told(single.error), file=sys.stderr)
        return 1
    if single.error is not None:
        raise single.error
    return 0


def _job(config: DictConfig) -> float:
    """One composed run. Returns the mean PSNR of its first test set, for sweepers that look for the best.

    Minus infinity, the worst, where the job failed or has none: a sweeper takes that, and stumbles over no number.
    """
    from hydra.core.hydra_config import HydraConfig

    job = HydraConfig.get().job
    label = job.override_dirname or str(config.verb)
    number = 0 if OmegaConf.is_missing(job, "num") else int(job.num)
    results = multirun.attempt(lambda: _perform(config), label, number)
    sets: list[dict[str, Any]] = list(((results or {}).get("metrics") or {}).values())
    value = sets[0]["psnr"]["mean"] if sets and "psnr" in sets[0] else math.nan
    return value if math.isfinite(value) else -math.inf


def _perform(config: DictConfig) -> dict[str, Any]:
    from limpid.runs.resolve import prepare

    return _performed(prepare(config))  # refuses what cannot be before anything heavy is imported


def _performed(plain: dict[str, Any]) -> dict[str, Any]:
    """Perform a prepared run, its prerequisites first where that is asked for, and show what came out."""
    plain = prerequisites.fulfilled(plain, _performed)
    from limpid.results.console import show
    from limpid.runs.runner import perform

    results = perform(plain)
    started = distributed.outside()
    if started is None or started.rank == 0:
        show(Run(plain["run"]), skipped=bool(results.get("skipped")))
    return {**results, "run": plain["run"]}
