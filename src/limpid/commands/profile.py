"""`limpid profile`: what a network costs."""

from __future__ import annotations

import sys
from typing import Any

from omegaconf import DictConfig

from limpid.config.compose import launch, launch_once, plain_values
from limpid.errors import UserError
from limpid.store.atomic_io import json_text

HELP = """limpid profile model=NAME|ckpt=PATH [OVERRIDE ...]

Prints a network's parameters, its size as a file, the GFLOPs of one image (two for each multiply-add), the median time
of a forward pass and the growth of memory in it. No weights are needed.

  limpid profile model=rfd_student image_size=[460,620] format=json
  limpid profile -m model=aod_net,rfd_student,ffa_net device=cpu

image_size=[HEIGHT,WIDTH]  repeats=5  device=cpu  format=rich|json  network.*=..."""

_KEYS = ("image_size", "repeats", "device", "format")


def run(arguments: list[str]) -> int:
    """The exit status, after composing and measuring."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return 0
    from limpid.runs.select_network import with_aliases

    arguments = with_aliases(arguments)
    results: list[dict[str, Any]] = []
    forms: set[str] = set()

    def job(config: DictConfig) -> None:
        results.append(_measure(config))
        forms.add(config.format)

    if any(a in ("-m", "--multirun") for a in arguments):
        launch("profile", arguments, job)
        if not results:
            raise UserError("The sweep has no job: what it goes over matches nothing; see limpid profile --help.")
    else:
        launch_once("profile", arguments, job)
    if results:  # none where only the configuration was asked for
        _print(results, forms.pop())
    return 0


def _measure(config: DictConfig) -> dict[str, Any]:
    from limpid.config.settings import refuse_values
    from limpid.methods import device_named
    from limpid.runs.select_network import chosen_network, refuse_others

    refuse_others("profile", _KEYS)
    refuse_values(plain_values(config), "profile")
    size = list(config.image_size)
    device = device_named(config.device)
    chosen = chosen_network(config)
    from limpid.profiling import cost
    from limpid.zero_shot import LearnsOnEachImage

    if isinstance(chosen.network, LearnsOnEachImage):
        print(
            f"{chosen.name} learns on each image: GFLOPs, time and memory are those of one of its "
            f"{chosen.network.steps} steps; the parameters are those for an image of this size.",
            file=sys.stderr,
        )
    measured = cost(chosen.network, size[0], size[1], device, config.repeats)
    figures = {key: round(value, 4) if isinstance(value, float) else value for key, value in measured._asdict().items()}
    return {"model": chosen.name, "image_size": size, **figures}


def _print(results: list[dict[str, Any]], form: str) -> None:
    if form == "json":
        print(json_text(results[0] if len(results) == 1 else results, indent=2))
        return
    from rich.table import Table

    from limpid.consoles import answers

    table = Table(header_style="bold")
    for column in ("model", "image", "parameters", "size MB", "GFLOPs", "latency ms", "memory MB"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for result in results:
        image = "x".join(map(str, result["image_size"]))
        figures = (_number(result[k]) for k in ("size_mb", "gflops", "latency_ms", "peak_memory_mb"))
        table.add_row(result["model"], image, f"{result['params']:,}", *figures)
    answers().print(table)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
