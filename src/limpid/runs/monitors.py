"""What callbacks watch: names that a run logs, and whether more or less of it is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limpid.errors import UserError, nearest
from limpid.store.fingerprint import scored_metrics

_MODES = ("max", "min")
_VALIDATION = "val/"


def refuse_unknown_monitors(config: Mapping[str, Any]) -> None:
    """Refuse a callback that watches a validation metric which is not scored, or in a mode that does not exist.

    Where nothing validates, nothing is watched, and the last weights are kept.

    Args:
        config: of a run that trains, as composed.

    Raises:
        UserError: naming the callback, and the nearest name.
    """
    data = config["data"] or {}
    validates = data.get("val") is not None or data.get("monitor_on_test")
    for name, callback in (config["callbacks"] or {}).items():
        if not isinstance(callback, Mapping) or "monitor" not in callback:
            continue
        mode = callback.get("mode")
        if mode is not None and mode not in (*_MODES, "auto"):
            raise UserError(f"callbacks.{name}.mode is {mode!r}, but it must be max or min.")
        _refuse_monitor(f"callbacks.{name}.monitor", callback, scored_metrics(config), bool(validates))


def _refuse_monitor(key: str, callback: Mapping[str, Any], scored: Mapping[str, Any], validates: bool) -> None:
    """Refuse a name that no validation logs; other callbacks than our own may watch what training logs too."""
    monitor = str(callback["monitor"])
    ours = str(callback.get("_target_", "")).endswith(".Checkpoints")
    if not monitor.startswith(_VALIDATION) and not ours:
        return
    metric = monitor.removeprefix(_VALIDATION)
    if validates and metric not in scored:
        hint = nearest(metric, scored) or f"; there are {', '.join(scored) or 'none'}."
        raise UserError(f"{key} is {monitor}, but the validation scores no {metric!r}{hint}")
