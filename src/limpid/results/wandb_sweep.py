"""A table as a wandb sweep: every row and seed is one job that any machine's agent may take."""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from limpid.errors import UserError
from limpid.results.rows import Row

#: What the sweep looks at: the mean PSNR of the validation.
METRIC = {"name": "val/psnr", "goal": "maximize"}


def wandb_sweep(table: Sequence[Row], budget: str = "mini", seeds: Sequence[int] = (0, 1, 2)) -> str:
    """The YAML file of a grid over a table's rows and some seeds, for `wandb sweep FILE`.

    Rows that are not built are left out, and so are rows whose run another row of the table has.

    Args:
        table: the rows of one table.
        budget: how much of the paper's training each job does.
        seeds: of the jobs.

    Raises:
        UserError: the rows are not those of one table, or none of them is built.
    """
    tables = list(dict.fromkeys(f"{row.paper}/{row.table}" for row in table))
    if len(tables) != 1:
        raise UserError(f"A wandb sweep is of one table, but these are {len(tables)}; give one, such as {tables[0]}.")
    present = {row.id for row in table}
    rows = [row.name for row in table if not row.not_built and row.alias_of not in present]
    if not rows:
        raise UserError(f"No row of {tables[0]} is built, so there is nothing to sweep over.")
    words = ["limpid", "train", f"budget={budget}", "logger=wandb", "logger.wandb.offline=false", "${args_no_hyphens}"]
    sweep = {
        "name": tables[0],
        "method": "grid",
        "metric": METRIC,
        "command": words,
        "parameters": {f"+{tables[0]}": {"values": rows}, "seed": {"values": list(seeds)}},
    }
    head = "# `wandb sweep FILE`, then `wandb agent ID` on each machine; add words such as data.root=DIR.\n"
    return head + yaml.safe_dump(sweep, sort_keys=False, allow_unicode=True)
