"""`limpid train`: do what a row does, store the run, and print paper beside measured."""

from __future__ import annotations

import math
import os
import sys
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from limpid.config.compose import composed_job, launch, launch_once
from limpid.errors import UserError
from limpid.runs import distributed, multirun, processes
from limpid.runs.interruption import end_in_order
from limpid.store.run_directory import Run

if TYPE_CHECKING:
    from limpid.runs.runner import Results

HELP = """limpid train [+PAPER/TABLE=ROW] [OVERRIDE ...]

Trains and tests a row (or only tests it, if it learns nothing), stores the run under its own name, and prints the
paper's numbers beside the measured ones. The same command again continues an interrupted run and skips a finished one.

  limpid train +rfd/table5=student budget=mini seed=1     a row, a smaller budget, another seed
  limpid train -m '+rfd/table5=glob(*)' budget=smoke       a sweep over a table (-m: multirun)
  limpid train model=ffa_net network.blocks=4 data=folder data.root=my_pairs
  limpid train +rfd/table5=student --cfg job --resolve     print the configuration that would run, and stop

budgets: paper (as printed), mini (minutes to hours on a CPU), smoke (two steps)
data:    scenes (made, no download), folder (your own pairs), reside_its, sots_indoor, ...
trainer: auto, cpu, gpu, ddp (all GPUs of a machine), ddp_cpu, fsdp, multi_node (under srun or torchrun), debug
logger:  csv (always), wandb, tensorboard, mlflow, all
useful:  data.root=DIR  rerun=true  callbacks=ema  compile=true  trainer.max_steps=N  optimizer.lr=X"""


def run(arguments: list[str], command: str = "train", text: str = HELP) -> int:
    """The exit status, after composing and doing one run, or a sweep of them.

    Args:
        arguments: the words of the command line.
        command: ``train``, or ``test``, which does runs in the same way.
        text: its help.
    """
    if "--help" in arguments or "-h" in arguments:
        print(text)
        return 0
    end_in_order()
    started = distributed.outside()
    if started is not None:
        for name, value in processes.QUIET.items():
            os.environ.setdefault(name, value)
    if any(argument in ("-m", "--multirun") for argument in arguments):
        if started is not None:
            raise UserError(
                f"A sweep cannot be shared by the {started.world} processes that {started.starter} started; start it "
                "once, and trainer=ddp starts the processes of each of its jobs."
            )
        with multirun.noted() as folder:
            lost = multirun.launched(lambda: launch(command, arguments, _job), arguments)
        return multirun.end(folder) or lost
    try:
        launch_once(command, arguments, _job)
    except processes.ProcessFailed as error:
        print(processes.told(error), file=sys.stderr)
        return 1
    return 0


def _job(config: DictConfig) -> float:
    """The mean PSNR of the first test set of one composed run, for sweepers that look for the best.

    Minus infinity, the worst, where the job failed or has none: a sweeper takes that, and stumbles over no number.
    """
    from hydra.core.hydra_config import HydraConfig

    job = HydraConfig.get().job
    label = job.override_dirname or str(config.command)
    number = 0 if OmegaConf.is_missing(job, "num") else int(job.num)
    from limpid.runs.resolve import resolve_composed

    with multirun.job_log(label, number) as log:
        spec = resolve_composed(composed_job(config))  # refuses what cannot be before anything heavy is imported
        from limpid.runs.runner import perform

        log.results = perform(spec, _show)
    sets = [] if log.results is None else list(log.results.metrics.values())
    value = sets[0]["psnr"]["mean"] if sets and "psnr" in sets[0] else math.nan
    return value if math.isfinite(value) else -math.inf


def _show(results: Results) -> None:
    """Print what came out, once where several processes do the run."""
    from limpid.results.console import show

    started = distributed.outside()
    if started is None or started.rank == 0:
        show(Run(results.directory), skipped=results.skipped)
