"""Weights & Biases: offline unless asked, one id through every resume, the run's own step as the axis."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from limpid.errors import UserError
from limpid.loggers.base import going_on
from limpid.loggers.outcome import Outcome
from limpid.results.comparison_panel import Panel

#: The axis of all curves and pictures: batches done, which wandb's own count of calls is not.
STEP = "limpid/step"


class Wandb(WandbLogger):
    """Lightning's logger with pictures, tables and the paper's values.

    A run that goes on, or is tested later, keeps its id. Offline every start writes a segment of its own,
    ``<save_dir>/wandb/offline-run-<time>-<id>``; `close` gives the command that uploads all of them as one run.

    Args:
        project: in wandb.
        offline: write files only; no account is needed.
        save_dir: where the folder ``wandb`` goes; None is the current directory, and the runner gives the run's.
        id: the run's; the runner gives one drawn once for each run.
        name: the run's name in wandb; the runner gives its place in the store.
        entity: the user or team whose project it is; None for the account's own.
        group: what the run is grouped under.
        tags: short words by which runs are found.
        settings: of `wandb.Settings`.
    """

    def __init__(
        self,
        project: str = "limpid",
        offline: bool = True,
        save_dir: str | None = None,
        id: str | None = None,
        name: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        settings: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(
            name=name,
            save_dir=str(Path(save_dir or ".").resolve()),  # wandb's own process need not be in this directory
            offline=offline,
            id=id,
            project=project,
            mode="offline" if offline else "online",
            entity=entity,
            group=group,
            tags=list(tags),
            settings={**(settings or {}), "silent": offline},
        )
        self._wandb_init.pop("anonymous", None)  # wandb warns about it, whatever it is
        self.lost = False

    @classmethod
    def require(cls, card: Mapping[str, Any]) -> None:
        """Refuse to upload without a key, before anything begins. The server is not asked.

        Args:
            card: the settings.

        Raises:
            UserError: there is no key, or it has not the form of one.
        """
        settings = card.get("settings") or {}
        if card.get("offline", True) or "base_url" in settings:  # a login for another server would be kept
            return
        import wandb

        try:
            wandb.login(verify=False)
        except (wandb.errors.Error, ValueError) as error:
            why = " ".join(str(error).split()).rstrip(".")
            raise UserError(
                f"logger.wandb.offline=false uploads to wandb, which refuses: {why}. Log in with `wandb login`, set "
                "WANDB_API_KEY, or leave the word out to log into files that are uploaded later."
            ) from error

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What wandb raises where its server or its files fail."""
        import wandb

        return (OSError, wandb.errors.Error)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The wandb run, begun at first use; offline where the server cannot be reached."""
        if self._experiment is None:
            import wandb

            Path(self._wandb_init["dir"]).mkdir(parents=True, exist_ok=True)
            try:
                run = wandb.init(**self._wandb_init)
            except wandb.errors.Error as error:
                if self._offline:
                    raise
                why = " ".join(str(error).split()).rstrip(".")
                print(f"wandb cannot be reached ({why}); the run is logged into files.", file=sys.stderr)
                self._offline = True
                self._wandb_init["mode"] = "offline"
                wandb.teardown()  # its service holds on to the run's id
                run = wandb.init(**self._wandb_init)
            run.define_metric(STEP)
            run.define_metric("*", step_metric=STEP, step_sync=True)
            self._experiment = run
        return self._experiment

    @rank_zero_only
    @going_on
    def log_metrics(self, metrics: Mapping[str, object], step: int | None = None) -> None:
        """Log values at a step of the run."""
        if step is not None:  # None is Lightning's own bookkeeping
            self.experiment.log({**metrics, STEP: step})

    @rank_zero_only
    @going_on
    def log_images(self, images: Mapping[str, Panel], step: int) -> None:
        """See `ImageLogger`."""
        import wandb

        shown = {key: wandb.Image(made.pixels, caption=made.caption) for key, made in images.items()}
        self.log_metrics(shown, step)

    @rank_zero_only
    @going_on
    def log_config(self, config: Mapping[str, object]) -> None:
        """See `RunLogger`."""
        self.experiment.config.update(dict(config), allow_val_change=True)

    @rank_zero_only
    @going_on
    def log_outcome(self, outcome: Outcome, step: int) -> None:
        """See `RunLogger`; what is logged last is what wandb shows as the run's summary."""
        import wandb

        tables = {
            name: wandb.Table(columns=list(table.columns), data=table.rows, allow_mixed_types=True)
            for name, table in outcome.tables.items()
        }
        self.log_metrics({**outcome.values, **tables}, step)

    @going_on
    def close(self, status: str) -> str | None:
        """See `RunLogger`."""
        if self._experiment is None:
            return None
        self._experiment.finish(exit_code=int(status != "finished"))
        self._experiment = None
        if not self._offline:
            return None
        folder = Path(self._wandb_init["dir"]) / "wandb"
        segments = [str(path) for path in sorted(folder.glob(f"offline-run-*-{self._id}"))]
        return f"to upload it: {shlex.join(['wandb', 'sync', *segments])}"
