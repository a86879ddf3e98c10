"""A small paper and a small run store, made so that every figure of their report is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from limpid.results import report, table
from limpid.results.comparison_panel import panel, write_panel
from limpid.results.rows import rows
from limpid.store.atomic_io import write_json, write_text
from limpid.store.run_directory import Run

#: A file name that would be a script if it were not escaped.
HOSTILE = "<script>alert('x')</script>"

README = """# A Made Paper (2024)

Not to be shown.

## How it was read

- One **thing**. See [the notes](../notes.md) and [a page](https://example.org/page).

## What cannot be right as printed

- Table 1 prints 30 dB for <script>alert(1)</script> what must be 31.

| a | b |
|---|---|
| 1 | 2 |

## Measured

Nothing.
"""

PAPER = """title: A Made Paper
tables:
  table1:
    caption: Restoring made-up haze
    rows:
      ours: {label: Ours, kind: ours, printed: {made: {psnr: 30.0, ssim: 0.9}}}
      another: {label: "Another & Co.", kind: baseline, printed: {made: {psnr: 30.0, ssim: 0.9}}}
      never: {label: Never, kind: baseline, not_built: "nobody <b>wrote</b> it", printed: {made: {psnr: 30.0, ssim: 0.9}}}
"""

ROW = """# @package _global_
# One row of a made paper.
defaults:
  - override /model: {name}

mode: profile
"""

CONFIG: dict[str, Any] = {
    "budget": "mini",
    "data": {"test": {"made": {"name": "made", "domain": "haze", "url": "javascript:alert(1)", "expected": 4}}},
    "metrics": {"psnr": {"id": "psnr_rgb", "text": "Float RGB & nothing else."}},
}
ENVIRONMENT = {"limpid": "0.1.0", "packages": {"torch": "2.13.0"}, "devices": []}
HIGHER = {"psnr": True, "ssim": True, "niqe": False}


def make_paper(folder: Path) -> None:
    """experiments/mine with two rows that ran and one that is not built."""
    paper = folder / "experiments" / "mine"
    (paper / "table1").mkdir(parents=True)
    (paper / "README.md").write_text(README, encoding="utf-8")
    (paper / "paper.yaml").write_text(PAPER, encoding="utf-8")
    for name in ("another", "never", "ours"):
        (paper / "table1" / f"{name}.yaml").write_text(ROW.format(name=name), encoding="utf-8")


def begin_run(path: Path, row: str | None, seed: int, budget: str = "mini", **facts: Any) -> Run:
    """A run whose configuration is there, with `facts` of its own in the block `run`."""
    choices = {"data": "made", "model": row.split("/")[-1] if row else "ours"}
    own = {
        "row": row,
        "mode": "train",
        "choices": choices,
        "fingerprint": "1a2b3c4d",
        "overrides": [
            f"+{row.rpartition('/')[0]}={row.rpartition('/')[2]}" if row else "model=ours",
            f"budget={budget}",
        ],
        "changes": [],
        "narrowed": None,
    }
    config = {**CONFIG, "budget": budget, "seed": seed, "run": {**own, **facts}}
    write_text(path / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_json(path / "environment.json", ENVIRONMENT)
    return Run(path)


def make_run(
    path: Path,
    scores: list[float],
    names: list[str] | None = None,
    row: str | None = None,
    seed: int = 0,
    comparable: bool = False,
    provenance: dict[str, Any] | None = None,
    **facts: Any,
) -> Run:
    """A finished run with one set `made`, whose images have `scores` dB and were 10 dB before."""
    names = names or [f"{i:02d}" for i in range(len(scores))]
    images = [
        {"set": "made", "index": i, "name": name, "psnr": score, "input_psnr": 10.0}
        for i, (name, score) in enumerate(zip(names, scores, strict=True))
    ]
    value = {"n": len(scores), "protocol": "psnr_rgb"}
    results = {
        "metrics": {"made": {"psnr": {"mean": float(np.mean(scores)), **value}}},
        "input": {"made": {"psnr": {"mean": 10.0, **value}}},
        "comparable": comparable,
        "provenance": provenance or {},
    }
    run = begin_run(path, row, seed, **facts)
    run.finish(results, images)
    return run


def make_picture(file: Path, columns: int = 3, size: tuple[int, int] = (24, 16)) -> None:
    """Images of one scene side by side, each brighter than the one before."""
    width, height = size
    scene = np.random.default_rng(0).uniform(0, 120, (height, width, 3))
    file.parent.mkdir(parents=True, exist_ok=True)
    names = ("input", "restored", "target", "transmission")[:columns]
    write_panel(file, panel({name: (scene + 40 * i) / 255 for i, name in enumerate(names)}))


def make_store(folder: Path) -> Path:
    """Three seeds of one row, one of another, one that failed, and a free run."""
    store = folder / "runs"
    place = store / "mine" / "table1"
    for seed, shift in enumerate((0.0, 1.0, 2.0)):
        scores = [shift + score for score in (20.0, 22.0, 24.0, 26.0)]
        make_run(place / "ours" / "mini" / f"seed-{seed}", scores, row="mine/table1/ours", seed=seed)
    make_run(
        place / "another" / "mini" / "seed-0", [20.0, 21.0, 22.0, 29.0], row="mine/table1/another", comparable=True
    )
    first = place / "ours" / "mini" / "seed-0"
    make_picture(first / "images" / "made" / "00.png")
    make_picture(first / "images" / "made" / "01.png")
    (first / "images" / "made" / "02.png").write_bytes(b"no picture")
    (first / "curves.csv").write_text(
        "step,name,value\n10,train/loss,0.5\n20,train/loss,0.25\n20,val/psnr,21\n30,tra", encoding="utf-8"
    )
    failed = begin_run(place / "ours" / "mini" / "seed-3", "mine/table1/ours", 3)
    failed.fail("RuntimeError: <em>out of memory</em>")
    free = make_run(store / "free" / "ours-made" / "abc" / "mini" / "seed-0", [20.0, 21.0], [HOSTILE, "b"], seed=0)
    make_picture(free.path / "images" / "made" / f"{HOSTILE}.png")
    return store


def make_report(folder: Path, output: str = "report") -> Path:
    """The report of the made paper and store in `folder`, which must be the current one."""
    shown = table.table_rows(rows("mine"), Path("runs"), lambda row: row.not_built)
    report.write(report.gather(shown, Path("runs"), HIGHER, others=True), folder / output)
    return folder / output
