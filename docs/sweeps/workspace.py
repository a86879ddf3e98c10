"""A wandb workspace for the runs of a table: `python docs/sweeps/workspace.py rfd/table5 --entity ME`.

It needs `pip install wandb-workspaces` and a wandb account; `--show` prints the workspace and needs no account.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import wandb_workspaces.reports.v2 as panels
import wandb_workspaces.workspaces as workspaces

from limpid.loggers import STEP
from limpid.results.rows import Row, rows


def workspace(table: Sequence[Row], entity: str, project: str = "limpid") -> workspaces.Workspace:
    """Curves over the run's own step, the paper's values beside the measured, and panels for all else that is logged.

    Args:
        table: the rows of one table.
        entity: the user or team in wandb.
        project: in wandb.
    """
    first = table[0]
    sets = {name: list(values) for row in table for name, values in row.printed.items()}
    curves = (("loss", "train/loss", 0.6), ("validation", "val/psnr", 0.0), ("learning rate", "lr", 0.0))
    training = [
        panels.LinePlot(title=title, x=STEP, y=[key], smoothing_factor=smoothing) for title, key, smoothing in curves
    ]
    against = [
        panels.BarPlot(title=f"{name}: {metric}", metrics=[f"test/{name}/{metric}", f"paper/{name}/{metric}"])
        for name, metrics in sets.items()
        for metric in metrics
    ]
    return workspaces.Workspace(
        entity=entity,
        project=project,
        name=f"{first.paper} {first.table}",
        sections=[
            workspaces.Section("Training", training, is_open=True),
            workspaces.Section("Paper and measured", against, is_open=True),
        ],
        settings=workspaces.WorkspaceSettings(x_axis=STEP, max_runs=50),
        auto_generate_panels=True,  # whatever else is logged, pictures under their keys included
        runset_settings=workspaces.RunsetSettings(
            filters=f"Config('row.paper') = '{first.paper}' and Config('row.table') = '{first.table}'",
            groupby=[workspaces.Config("row.name")],  # the seeds of a row together
        ),
    )


def main() -> None:
    """Print the workspace, or save it and print where it is."""
    parser = argparse.ArgumentParser(description="A wandb workspace for the runs of a table.")
    parser.add_argument("table", help="paper/table, such as rfd/table5")
    parser.add_argument("--entity", default="me", help="the user or team in wandb")
    parser.add_argument("--project", default="limpid", help="the project in wandb")
    parser.add_argument("--show", action="store_true", help="print what would be saved")
    asked = parser.parse_args()
    made = workspace(rows(asked.table), asked.entity, asked.project)
    if asked.show:
        print(json.dumps(made._to_model().model_dump(mode="json", by_alias=True), indent=2))
    else:
        print(made.save().url)


if __name__ == "__main__":
    main()
