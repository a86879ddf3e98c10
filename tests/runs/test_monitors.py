"""What decides the best checkpoint is logged, and more or less of it is better."""

from __future__ import annotations

from typing import Any

import pytest

from limpid.callbacks import Checkpoints
from limpid.errors import UserError
from limpid.runs.monitors import refuse_unknown_monitors


def config(callback: dict[str, Any] | None, val: object = "a set", **more: Any) -> dict[str, Any]:
    metrics = {"psnr": {}, "ssim": {}}
    return {"data": {"val": val}, "callbacks": {"it": callback, "ema": None}, "metrics": metrics, **more}


OURS = "limpid.callbacks.Checkpoints"
STOPS = "lightning.pytorch.callbacks.EarlyStopping"


@pytest.mark.parametrize(
    ("target", "monitor", "mode"),
    [(OURS, "val/psnr", "max"), (OURS, "ssim", "min"), (STOPS, "val/ssim", "max"), (STOPS, "train/loss", "min")],
)
def test_what_is_logged_is_taken(target: str, monitor: str, mode: str) -> None:
    refuse_unknown_monitors(config({"_target_": target, "monitor": monitor, "mode": mode}))


@pytest.mark.parametrize(
    ("target", "monitor", "mode", "sentence"),
    [
        (OURS, "val/psnr", "Max", r"callbacks\.it\.mode is 'Max', but it must be max or min\."),
        (OURS, "val/psnr", "", r"callbacks\.it\.mode is '', but"),
        (STOPS, "val/psnr", "maximum", r"callbacks\.it\.mode is 'maximum', but"),
        (OURS, "train/loss", "min", r"the validation scores no 'train/loss'; there are psnr, ssim\."),
        (OURS, "val/pnsr", "max", r"callbacks\.it\.monitor is val/pnsr, but .* no 'pnsr'; did you mean 'psnr'\?"),
        (STOPS, "val/niqe", "min", r"scores no 'niqe'"),
    ],
)
def test_what_is_not_is_refused(target: str, monitor: str, mode: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        refuse_unknown_monitors(config({"_target_": target, "monitor": monitor, "mode": mode}))


def test_metrics_that_are_skipped_are_not_scored() -> None:
    watched = {"_target_": OURS, "monitor": "val/ssim", "mode": "max"}
    with pytest.raises(UserError, match="scores no 'ssim'; there are psnr"):
        refuse_unknown_monitors(config(watched, skip_metrics=["ssim"]))
    refuse_unknown_monitors(config(watched, val=None, skip_metrics=["ssim"]))


def test_checkpoints_alone_know_two_modes() -> None:
    with pytest.raises(UserError, match="The mode of the checkpoints is 'Max', but it must be max or min"):
        Checkpoints(mode="Max")  # type: ignore[arg-type]
