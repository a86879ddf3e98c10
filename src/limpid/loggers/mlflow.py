"""MLflow: a database in the run's own folder, or a tracking server."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import MLFlowLogger
from lightning_utilities.core.rank_zero import rank_zero_only

from limpid.errors import UserError
from limpid.loggers.base import going_on
from limpid.loggers.outcome import Outcome
from limpid.results.comparison_panel import Panel

#: The tag by which a run that goes on is found again.
ID = "limpid.id"

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


class MLflow(MLFlowLogger):
    """Lightning's logger with pictures, the configuration and the tables.

    Args:
        experiment: the experiment's name.
        tracking_uri: of a server, or of another store; None for a database in the run's directory.
        save_dir: where the database ``mlflow.db`` and the folder ``mlflow`` go; None is the current directory. The
            runner gives the run's.
        id: of the run; the runner gives one drawn once for each run.
        name: the run's name in MLflow; the runner gives its place in the store.
    """

    def __init__(
        self,
        experiment: str = "limpid",
        tracking_uri: str | None = None,
        save_dir: str | None = None,
        id: str | None = None,
        name: str | None = None,
    ) -> None:
        for chatty in ("mlflow", "alembic", "lightning.pytorch.loggers.mlflow"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        # MLflow would try for minutes, each time that something is logged.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        folder = Path(save_dir or ".").resolve()
        own = tracking_uri is None
        try:
            super().__init__(
                experiment_name=experiment,
                run_name=name,
                tracking_uri=f"sqlite:///{folder / 'mlflow.db'}" if own else tracking_uri,
                artifact_location=(folder / "mlflow").as_uri() if own else None,
                tags={ID: id} if id else None,
            )
        except self.failures as error:
            why = " ".join(str(error).split()).split(". ")[0]
            raise UserError(
                f"logger.mlflow.tracking_uri={tracking_uri} is no place that MLflow can log to ({why}); give the "
                "address of a server, a folder or a database, or leave it out."
            ) from error
        self._own_id = id
        self.lost = False

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What MLflow raises where its server, its database or its files fail."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        return (OSError, MlflowException, SQLAlchemyError)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The client of the tracking store; at first use the run is found again or begun."""
        if not self._initialized and self._run_id is None and (run_id := self._begun()) is not None:
            self._run_id = run_id
            self._mlflow_client.update_run(run_id, status="RUNNING")
        return super().experiment

    def _begun(self) -> str | None:
        """The MLflow run of an earlier start of this run, if there was one."""
        known = self._mlflow_client.get_experiment_by_name(self._experiment_name)
        if known is None or self._own_id is None:
            return None
        runs = self._mlflow_client.search_runs([known.experiment_id], filter_string=f"tags.`{ID}` = '{self._own_id}'")
        return str(runs[0].info.run_id) if runs else None

    @rank_zero_only
    @going_on
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at a step of the run."""
        if step is not None:  # None is Lightning's own bookkeeping
            super().log_metrics(metrics, step)

    @rank_zero_only
    @going_on
    def log_images(self, images: Mapping[str, Panel], step: int) -> None:
        """See `ImageLogger`; what MLflow does not take in a key becomes an underscore."""
        for key, made in images.items():
            self.experiment.log_image(self.run_id, made.pixels, key=re.sub(r"[^A-Za-z0-9_\-. /]", "_", key), step=step)

    @rank_zero_only
    @going_on
    def log_config(self, config: Mapping[str, Any]) -> None:
        """See `RunLogger`: whole as config.json, and what runs are told apart by as parameters."""
        facts = config["run"]
        chosen = facts["choices"]
        self.log_hyperparams(
            {
                "row": facts["row"],
                **{group: chosen[group] for group in ("model", "network", "data") if group in chosen},
                "budget": config["budget"],
                "seed": config["seed"],
                "fingerprint": facts["fingerprint"],
            }
        )
        self.experiment.log_dict(self.run_id, dict(config), "config.json")

    @rank_zero_only
    @going_on
    def log_outcome(self, outcome: Outcome, step: int) -> None:
        """See `RunLogger`; the tables become JSON files in the form that MLflow shows as tables."""
        self.log_metrics(outcome.values, step)
        for name, table in outcome.tables.items():
            self.experiment.log_dict(self.run_id, {"columns": table.columns, "data": table.rows}, f"{name}.json")

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Nothing at the end of a stage: `close` ends the run."""

    @going_on
    def close(self, status: str) -> str | None:
        """See `RunLogger`."""
        if self._initialized:
            self.experiment.set_terminated(self.run_id, _STATUS[status])
        return None
