"""Progress bars of training and testing, on stderr."""

from __future__ import annotations

from collections.abc import Mapping

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.types import STEP_OUTPUT
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from limpid import consoles
from limpid.models.run_length import batches, batches_before
from limpid.ranges import PositiveInt


class Progress(Callback):
    """A bar per stage on a terminal; elsewhere a plain line at every tenth of the way.

    Args:
        parts: how many plain lines a stage takes.
        refresh: batches between two updates of a bar's figures.
    """

    def __init__(self, parts: PositiveInt = 10, refresh: PositiveInt = 5) -> None:
        self.console = consoles.progress()
        self.parts, self.refresh = parts, refresh
        self._bars: Bars | None = None
        self._validation = ""

    def _start(self, trainer: Trainer, stage: str, total: int, done: int = 0) -> None:
        if not trainer.is_global_zero or self._bars is not None:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        rest = (TimeRemainingColumn(), TextColumn("{task.fields[figures]}"))
        self._bars = Bars(*columns, *rest, console=self.console, disable=not self.console.is_terminal)
        self._task = self._bars.add_task(stage, total=total, completed=done, figures="")
        self._bars.start()

    def _advance(self, done: int, figures: str) -> None:
        if self._bars is None:
            return
        task = self._bars.tasks[0]
        total = int(task.total or 1)
        if self.console.is_terminal:
            if done % self.refresh == 0 or done == total:
                self._bars.update(self._task, completed=done, figures=figures)
        elif done * self.parts // total > (done - 1) * self.parts // total:
            self.console.print(f"{task.description} {done}/{total} {figures}".rstrip(), highlight=False, soft_wrap=True)

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, from where the run continues."""
        done = trainer.fit_loop.epoch_loop.batch_progress.total.completed
        self._start(trainer, "train", batches(trainer), done)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Show the loss and the last validation."""
        assert isinstance(outputs, Mapping)
        self._advance(batches_before(trainer, batch_idx) + 1, f"loss {float(outputs['loss']):.4g}{self._validation}")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember the figures of a validation."""
        values = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        self._validation = "".join(f"  {name} {value:.4g}" for name, value in values.items())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self._stop()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show a bar over all test sets."""
        self._tested = 0
        self._start(trainer, "test", sum(int(n) for n in trainer.num_test_batches))

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Advance by one image."""
        self._tested += 1
        self._advance(self._tested, "")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take the bar away, so that the sentence stands alone."""
        self._stop()
