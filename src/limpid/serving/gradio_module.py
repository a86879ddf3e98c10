"""The module gradio, told to be quiet before it is imported."""

from __future__ import annotations

import os
from typing import Any

from limpid.errors import CannotRun


def gradio() -> Any:
    """The module gradio.

    Raises:
        CannotRun: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError as error:
        raise CannotRun("limpid serve needs gradio; install it with pip install 'limpid[serve]'.") from error
    return gradio
