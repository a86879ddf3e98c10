"""A table as a wandb sweep: its words are commands that compose."""

from __future__ import annotations

import json

import pytest
import yaml

from limpid.cli import status
from limpid.errors import UserError
from limpid.results.rows import Row, rows
from limpid.results.wandb_sweep import wandb_sweep
from limpid.runs.resolve import resolve


def row(name: str, not_built: str | None = None, alias_of: str | None = None, table: str = "table5") -> Row:
    return Row("rfd", table, name, name, "baseline", alias_of=alias_of, not_built=not_built)


def test_the_grid_has_the_rows_that_are_built_once_each() -> None:
    table = [
        row("aod_net"), row("ssid", "there is no code"), row("student"),
        row("ours", alias_of="rfd/table5/student"), row("msbdn", alias_of="rfd/table1/msbdn"),
    ]  # fmt: skip
    sweep = yaml.safe_load(wandb_sweep(table, seeds=(3, 4)))
    assert sweep["method"] == "grid"
    assert sweep["parameters"] == {
        "+rfd/table5": {"values": ["aod_net", "student", "msbdn"]},
        "seed": {"values": [3, 4]},
    }


def test_only_one_table_is_swept() -> None:
    with pytest.raises(UserError, match="is of one table, but these are 2; give one, such as rfd/table5"):
        wandb_sweep([row("a"), row("b", table="table6")])
    with pytest.raises(UserError, match="No row of rfd/table5 is built"):
        wandb_sweep([row("a", "there is no code")])


def test_the_words_that_wandbs_agent_makes_compose(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["limpid"])
    assert status(["table", "rfd/table5", "--format", "wandb-sweep"]) == 0
    sweep = yaml.safe_load(capsys.readouterr().out)
    chosen = {name: spec["values"][-1] for name, spec in sweep["parameters"].items()}
    words = [word for word in sweep["command"][1:] if word != "${args_no_hyphens}"]
    words += [f"{name}={value}" for name, value in chosen.items()]  # what the agent puts there
    assert status([*words, "--cfg", "job"]) == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert resolve(words[1:]).row == f"rfd/table5/{chosen['+rfd/table5']}"
    assert (config["seed"], config["logger"]["wandb"]["offline"]) == (2, False)


def test_the_workspace_of_a_table_holds_the_papers_values() -> None:
    pytest.importorskip("wandb_workspaces")
    import importlib.util
    from pathlib import Path

    file = Path(__file__).parents[2] / "docs" / "sweeps" / "workspace.py"
    spec = importlib.util.spec_from_file_location("workspace", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.workspace(rows("rfd/table5"), "me")
    text = json.dumps(made._to_model().model_dump(mode="json", by_alias=True))
    for needed in ("limpid/step", "val/psnr", "test/sots_indoor/psnr", "paper/sots_indoor/psnr", '"value": "table5"'):
        assert needed in text
