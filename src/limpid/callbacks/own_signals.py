"""Leaves SIGTERM to who had it before Lightning."""

from __future__ import annotations

import signal
import threading
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback


class OwnSignals(Callback):
    """Keeps SIGTERM as it is: Lightning's handler waits for the other processes, which need not have had the signal."""

    def __init__(self) -> None:
        self._handler: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note what SIGTERM does."""
        self._handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let it do that again."""
        self._restore()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let it do that again."""
        self._restore()

    def _restore(self) -> None:
        # A handler that was not set in Python is None here, and cannot be set again.
        if self._handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._handler)
