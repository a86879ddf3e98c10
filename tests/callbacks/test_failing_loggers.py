"""A dashboard that fails does not end a run, and one that cannot begin is refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from limpid import loggers
from limpid.errors import UserError
from limpid.loggers.base import going_on


class Failing:
    """A logger whose server goes away."""

    def __init__(self) -> None:
        self.lost = False
        self.calls = 0
        self.failures = (OSError,)

    @going_on
    def log(self, error: Exception | None) -> str:
        self.calls += 1
        if error is not None:
            raise error
        return "logged"


def test_a_logger_that_fails_is_left_out_and_that_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = Failing()
    assert logger.log(None) == "logged"
    assert logger.log(ConnectionError("the server\nwent away")) is None
    assert logger.log(None) is None
    assert (logger.lost, logger.calls) == (True, 2)
    assert capsys.readouterr().err == (
        "The logger Failing failed (the server went away); the run goes on without it. Its values are in curves.csv and "
        "metrics.json all the same.\n"
    )
    with pytest.raises(ZeroDivisionError):
        Failing().log(ZeroDivisionError())


def test_uploading_without_a_key_or_with_a_wrong_one_is_refused_before_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    for name in ("HOME", "NETRC", "WANDB_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    online = {"wandb": {"_target_": "limpid.loggers.Wandb", "offline": False}}
    loggers.require({"wandb": {**online["wandb"], "offline": True}})
    with pytest.raises(
        UserError, match=r"^logger.wandb.offline=false uploads to wandb, which refuses: No API key conf"
    ):
        loggers.require(online)
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(
        UserError, match=r"API key must have 40\+ characters, has 5\. Log in with `wandb login`, set WAND"
    ):
        loggers.require(online)


def test_a_place_that_mlflow_cannot_log_to_is_a_sentence() -> None:
    pytest.importorskip("mlflow")
    for place in ("nonsense://x", "sqlite:////proc/none/x.db"):
        with pytest.raises(UserError, match=f"^logger.mlflow.tracking_uri={place} is no place that MLflow can log to"):
            loggers.MLflow(tracking_uri=place)
