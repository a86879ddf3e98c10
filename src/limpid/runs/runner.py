"""From a `RunSpec` to results: model, data and trainer are built once, then the run is done in its directory.

`python -m limpid.runs.runner RUN` does the run whose config.yaml lies in the directory RUN; the processes of a run and
requeued jobs start there.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import Logger

from limpid import checkpoint, loggers, profiling
from limpid.config import instantiate
from limpid.config.registry import network_config
from limpid.data.datamodule import RestorationData
from limpid.data.own_sets import refuse_absent
from limpid.errors import CannotRun, UserError
from limpid.models import Restorer
from limpid.models.build import WORDS, ModelConfig, build_model, model_words
from limpid.models.evaluation import INPUT_PREFIX
from limpid.models.fsdp import FullySharded
from limpid.paths import runs
from limpid.results.rows import NO_SET
from limpid.runs import continuing, distributed, fine_tuning, processes, rehearsal, untrained
from limpid.runs.comparable import judge
from limpid.runs.distributed import Place
from limpid.runs.environment import describe, quieten
from limpid.runs.interruption import Interrupted, end_in_order, interruptible
from limpid.runs.prerequisites import fulfil
from limpid.runs.processes import ProcessFailed
from limpid.runs.rendezvous import Rendezvous, meeting
from limpid.runs.resolve import resolve
from limpid.runs.scorable import refuse_unscorable
from limpid.runs.spec import RunSpec, read_spec
from limpid.runs.trainer import of_run
from limpid.store.fingerprint import scored_metrics
from limpid.store.metrics_file import MetricsFile, MetricSummary, Summary
from limpid.store.run_directory import Run
from limpid.surroundings import refusals_of_system


@dataclass
class Results:
    """The results of a run.

    Attributes:
        directory: where the run lies.
        metrics: ``{set: {metric: {"mean", "n", "protocol"}}}``, as metrics.json has it under that key.
        document: the whole of metrics.json.
        skipped: whether the run was done already.
    """

    directory: Path
    document: MetricsFile
    skipped: bool = False

    @property
    def metrics(self) -> Summary:
        """The mean of each metric on each set, with the number of images and the protocol's id."""
        return dict(self.document.get("metrics") or {})


class Runner:
    """Does one run: trains and tests, tests, or profiles, in the run's own directory.

    A run that is done is not done again, but its weights are tested again where a test set has come that it lacked; one
    that was interrupted continues where it was. Where it takes several processes, they are started and watched here, or
    this is one of them.

    Args:
        spec: the run, with its prerequisites fulfilled.
    """

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.run_directory = Run(spec.directory)
        self.config = spec.settled()
        #: Whether to start over; a job that is queued again, or restarted, goes on with what it has begun.
        self.rerun = bool(self.config["rerun"]) and not continuing.is_of_this_job(self.run_directory)
        #: The processes of the run, where there are several.
        self.meeting: Rendezvous | None = None
        #: Why each test set that is not there is not; `build_data` finds out.
        self.absent: list[str] = []

    def run(self) -> Results:
        """The results of the run, which is done here.

        Raises:
            CannotRun: a data set is not there; nothing was written then. A publisher's is not asked for where the run
                is done.
            UserError: another process holds the run, it was made with other settings, or its devices are not there.
            ProcessFailed: one of several processes failed or was killed.
        """
        quieten()
        if self.spec.mode != "profile" and distributed.outside() is not None:
            self.meeting = self._meeting(distributed.place(self.config["trainer"]))  # all see what the first one does
        if not self.rerun and self.run_directory.done:
            refuse_absent(self.config["data"], self.spec.mode, self.spec.allow_targets)
            results = self.run_directory.results() or {}
            if not (results.get("absent") and self._more_is_there(results)):
                return Results(self.spec.directory, results, skipped=True)
        torch.set_float32_matmul_precision("highest")  # no TF32: a step's numbers are those of float32
        loggers.require(self.config["logger"])
        if self.spec.mode == "profile":
            return self._profile()
        network = self._construct("network")
        untrained.refuse(self.spec, network)
        if self.spec.initial is not None:
            fine_tuning.refuse_unfitting(self.spec.initial, network, self.spec)
        place = distributed.place(self.config["trainer"])
        if not place.watched:
            rehearsal.refuse_trainer(self.config["trainer"], self.spec.allow_targets)
        self.meeting = self.meeting or self._meeting(place)
        data = self.build_data(place.world)
        if place.watched or place.rank > 0:
            return self._fit_and_test(place, data)
        if self.spec.mode == "train":
            metrics = instantiate.construct(scored_metrics(self.config), "metrics", self.spec.allow_targets)
            refuse_unscorable(data, metrics)
        with self._held(place.world):
            if place.starts:
                processes.launch(self.spec.directory, place.world)
                return Results(self.spec.directory, self.run_directory.results() or {})
            return self._fit_and_test(place, data)

    # What a run is made of ----------------------------------------------------------------------------------------

    def build_data(self, world: int = 1) -> RestorationData:
        """The data module, its test sets those that are there, its length known.

        Args:
            world: how many processes share each step's images.

        Raises:
            CannotRun: the training set is missing, or every test set is.
        """
        trains = self.spec.mode == "train"
        data: RestorationData = self._construct("data")
        self.absent = data.require(training=trains)
        if trains:
            data.plan(self.config["trainer"]["max_steps"], self.config["trainer"]["max_epochs"], world)
        return data

    def build_model(self) -> Restorer:
        """The LightningModule with its network, loss, optimizer, learning-rate shape and metrics."""
        spec = self.spec
        config = ModelConfig.of(self.config)
        if spec.tested is not None:
            target = network_config(spec.tested.network)["_target_"]
            config = replace(config, network={"_target_": target, **spec.tested.settings})
        model = build_model(config, spec.network, training=spec.mode == "train", provenance=spec.provenance)
        model.save_hyperparameters({WORDS: model_words(spec.overrides)}, logger=False)
        return model

    def build_trainer(self, data: RestorationData, place: Place, opened: Sequence[Logger] = ()) -> lightning.Trainer:
        """The Trainer of Lightning for this run; see `limpid.runs.trainer.of_run`."""
        every = None if self.spec.mode != "train" else min(self.config["trainer"]["val_check_interval"], data.steps)
        return of_run(self.spec, self.config, place, opened, validates=data.val is not None, every=every)

    def _meeting(self, place: Place) -> Rendezvous | None:
        return meeting(place, self.config["trainer"].get("timeout_minutes"), runs())

    def _construct(self, key: str) -> Any:
        return instantiate.construct(self.config[key], key, self.spec.allow_targets)

    # The two halves -----------------------------------------------------------------------------------------------

    def fit(self, trainer: lightning.Trainer, model: Restorer, data: RestorationData) -> None:
        """Train, from the last checkpoint if there is one."""
        # The first process may have cleared the run: the others wait for it here, and go by what it sees.
        trainer.strategy.connect(model)
        trainer.strategy.setup_environment()
        last = self.run_directory.last_checkpoint
        if trainer.is_global_zero and not last.is_file() and not self.rerun:
            continuing.continue_shorter(self.spec, model, data.steps, trainer.accumulate_grad_batches)
        before = continuing.provenance_of_last(self.run_directory, trainer) if trainer.is_global_zero else {}
        before = trainer.strategy.broadcast(before)
        continuing.refuse_other_images(model, data.train, before)
        done = before.get("step")
        if done is not None and done >= data.steps:
            return
        if done is None and self.spec.initial is not None:
            fine_tuning.start_from(self.spec.initial, model, says=trainer.is_global_zero)
        data.batches_done = done or 0
        if done is not None and trainer.is_global_zero:
            print(f"continues at step {done} of {data.steps}", file=sys.stderr)
        trainer.fit(model, datamodule=data, ckpt_path=None if done is None else str(last))

    def test(self, trainer: lightning.Trainer, model: Restorer, data: RestorationData, weights: Path | None) -> None:
        """Load `weights`, if there are any, and score the test sets."""
        if weights is not None:
            loaded = checkpoint.read(weights)
            checkpoint.load(model.network, checkpoint.weights(loaded), weights)
            model.load_extra_state(loaded)
        if data.test:
            trainer.test(model, datamodule=data, verbose=False)

    @refusals_of_system()
    def _fit_and_test(self, place: Place, data: RestorationData) -> Results:
        """The results after training and testing, in this process or as one of several; the loggers get them."""
        stored = self.spec.stored()
        with loggers.open_loggers(stored, self.run_directory, writes=place.rank == 0) as opened:
            lightning.seed_everything(self.spec.seed, workers=False, verbose=False)
            model = self.build_model()
            trainer = self.build_trainer(data, place, opened)
            weights = None if self.spec.tested is None else self.spec.tested.file
            if self.spec.mode == "train":
                self._in_company(trainer, lambda: self.fit(trainer, model, data))
                weights = self.run_directory.chosen_checkpoint
                if isinstance(trainer.strategy, FullySharded):
                    model = self.build_model()  # the trained one holds a part of its parameters
            self._in_company(trainer, lambda: self.test(trainer, model, data, weights))
            document = self._document(model, data, weights)
            if trainer.is_global_zero:
                self.run_directory.finish(document, model.scores.rows)
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                trainer.strategy.barrier()
                torch.distributed.destroy_process_group()
            loggers.record_outcome(opened, stored, document, model.scores.rows, data.steps)
        return Results(self.spec.directory, document)

    def _in_company(self, trainer: lightning.Trainer, do: Callable[[], None]) -> None:
        """Do a half of the run, and say what ended it from outside: a signal, the machine, or a lost process."""
        company = nullcontext() if self.meeting is None else self.meeting.watched()
        ending = interruptible(lambda: trainer.fit_loop.epoch_loop.batch_progress.total.completed)
        explained = rehearsal.first_step_explained(self.spec, self.run_directory)
        with explained, ending, company:  # the settings are put down for what neither of the others explains
            do()

    def _document(self, model: Restorer, data: RestorationData, weights: Path | None) -> MetricsFile:
        """The content of metrics.json: per set the mean of each metric, the network's size, and the weights' origin."""
        parameters = profiling.parameter_count(model.network, *self.config["cost"]["image_size"])
        metrics = model.scores.summary()
        for entry in metrics.values():
            images = max((value["n"] for value in entry.values()), default=0)
            entry["params_m"] = {"mean": parameters / 1e6, "n": images, "protocol": "parameters"}
        provenance = self.spec.provenance | {"monitored": data.monitored}
        if weights is not None:
            loaded = checkpoint.read(weights)
            provenance["weights"] = checkpoint.weights_fingerprint(checkpoint.weights(loaded))
            provenance["trained"] = dict(loaded["provenance"])
            provenance["checkpoint"] = weights.name
        elif self.spec.mode == "test":
            provenance = {**model.provenance, **provenance}  # of several teachers, each with the sha256 of its weights
        scored = {name: int(entry["params_m"]["n"]) for name, entry in metrics.items()}
        judged = judge(self.spec, data, scored)
        return {
            "metrics": metrics,
            "input": model.scores.summary(INPUT_PREFIX),
            "comparable": not judged.reasons,
            "not_comparable": list(judged.reasons),
            "comparable_sets": list(judged.comparable_sets),
            "trained_as_printed": judged.as_printed,
            "complete": judged.complete,
            "absent": self.absent,
            "provenance": provenance,
        }

    @refusals_of_system()
    def _profile(self) -> Results:
        """The cost of the network, measured on the machine's accelerator if it has one, and stored as a run."""
        network = self._construct("network")
        height, width = self.config["cost"]["image_size"]
        device = torch.accelerator.current_accelerator() or torch.device("cpu")
        with self._held(1):
            measured = profiling.cost(network, height, width, device, self.config["cost"]["repeats"])
            figures = {
                "params_m": (measured.params / 1e6, "parameters"),
                "size_mb": (measured.size_mb, "state_dict_file"),
                "gflops": (measured.gflops, "two_per_multiply_add"),
                "ms": (measured.latency_ms, f"median_forward_{device.type}"),
            }
            values: dict[str, MetricSummary] = {}
            for name, (value, protocol) in figures.items():
                if value is not None:
                    values[name] = {"mean": value, "n": 1, "protocol": protocol}
            document: MetricsFile = {
                "metrics": {NO_SET: values},
                "input": {},
                "comparable": False,  # a time is one machine's own
                "provenance": self.spec.provenance,
            }
            self.run_directory.finish(document, [])
            stored = self.spec.stored()
            with loggers.open_loggers(stored, self.run_directory) as opened:
                loggers.record_outcome(opened, stored, document, [], 0)
        return Results(self.spec.directory, document)

    # The directory ------------------------------------------------------------------------------------------------

    @contextmanager
    def _held(self, world: int) -> Iterator[None]:
        """Hold the run's directory, and note there how the run begins and ends."""
        with self.run_directory.locked():
            if self.rerun:
                self.run_directory.clear()
            was_done = self.run_directory.done
            self.run_directory.begin(self.spec.stored(), {**describe(), "processes": world, "job": distributed.job()})
            try:
                yield
            except (KeyboardInterrupt, Interrupted) as error:
                self.run_directory.interrupt(continuing.steps_done(self.run_directory), str(error), was_done)
                raise
            except UserError as error:
                self.run_directory.withdraw(str(error), was_done)
                raise
            except ProcessFailed as error:
                self.run_directory.fail(str(error), was_done)
                raise
            except Exception:
                self.run_directory.fail(traceback.format_exc().splitlines()[-1], was_done)
                raise

    def _more_is_there(self, results: MetricsFile) -> bool:
        """Whether a test set that a finished run lacked is there now, and whatever else testing it again needs."""
        data: RestorationData = self._construct("data")
        try:
            absent = data.require(training=self.spec.mode == "train")
        except CannotRun:
            return False
        has_weights = self.spec.mode != "train" or self.run_directory.last_checkpoint.is_file()
        return has_weights and set(data.test) > set(results["metrics"]) and len(absent) < len(results["absent"])


def perform(spec: RunSpec, show: Callable[[Results], None] | None = None) -> Results:
    """The results of a run, which is done here, after the runs it starts from where that is asked for.

    Args:
        spec: the run.
        show: is called with the results of each run, prerequisites first.
    """
    results = Runner(fulfil(spec, lambda needed: perform(needed, show))).run()
    if show is not None:
        show(results)
    return results


def run(overrides: str | Sequence[str], *more: str) -> Results:
    """The results of the run that `limpid train OVERRIDES` does, done in Python.

    Args:
        overrides: the words of the command line, such as ``["+rfd/table5=student", "budget=smoke"]``; or the first.
        more: the others, if they are given one by one, as `limpid.model` takes them.

    Raises:
        UserError: what the command would say in one sentence.
    """
    return perform(resolve([*([overrides] if isinstance(overrides, str) else overrides), *more]))


def main(arguments: list[str]) -> int:
    """The exit status after doing the run in the directory given as the one argument."""
    if len(arguments) != 1:
        print("Give one run directory: python -m limpid.runs.runner RUN", file=sys.stderr)
        return 2
    end_in_order()
    try:
        runner = Runner(read_spec(arguments[0]))
        if processes.watched():
            return processes.take_part(runner.run)
        runner.run()
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except ProcessFailed as error:
        print(processes.told(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the same command continues where it was.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
