"""The rows: the papers' values, and that every row file composes with every budget and with made data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from omegaconf import open_dict

from limpid.commands import table
from limpid.config import compose as limpid_compose
from limpid.config import instantiate
from limpid.paths import shipped
from limpid.results.papers import papers
from limpid.results.rows import NO_SET, rows
from limpid.runs.resolve import GIVEN, finish
from limpid.store import fingerprint

FACTS = yaml.safe_load((Path(__file__).parent / "facts" / "tables.yaml").read_text())
ROWS = {row.id: row for row in rows()}
PRINTED = {
    f"{paper}/{table}/{name}": (content, row)
    for paper, tables in FACTS.items()
    for table, content in tables.items()
    if isinstance(content, dict)
    for name, row in content["rows"].items()
}
BUILT = [place for place, row in ROWS.items() if not row.not_built]


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    limpid_compose.register()
    GlobalHydra.instance().clear()
    with initialize(config_path=None, version_base="1.3"):
        yield


def composed(place: str, *overrides: str) -> dict[str, Any]:
    paper, table, name = place.split("/")
    typed = [f"+{paper}/{table}={name}", *overrides]
    config = compose("train", overrides=typed, return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return finish(config, typed, choices)


def test_there_are_134_rows_in_24_tables() -> None:
    printed = [place for place in ROWS if place in PRINTED]
    assert len(PRINTED) == len(printed) == 134
    assert len({place.rsplit("/", 1)[0] for place in printed}) == 24


@pytest.mark.parametrize("place", PRINTED)
def test_a_row_says_what_the_paper_prints(place: str) -> None:
    table, fact = PRINTED[place]
    row = ROWS[place]
    tests = table.get("test", NO_SET)
    values = fact["values"] if isinstance(fact["values"], dict) else {tests: fact["values"]}
    expected = {
        name: {metric: v for metric, v in zip(table["metrics"], column, strict=True) if v is not None}
        for name, column in values.items()
    }
    assert row.printed == expected
    assert (row.label, row.kind) == (fact["label"], fact["kind"])
    assert row.order == list(table["rows"]).index(row.name) + 1


def test_tables_are_about_what_the_paper_says() -> None:
    known = papers()
    for paper, tables in FACTS.items():
        for name, content in tables.items():
            if isinstance(content, dict):
                assert known[paper].tables[name].caption == content["caption"]
                notes = {row: fact.get("note") for row, fact in content["rows"].items()}
                assert {row: entry.note for row, entry in known[paper].tables[name].entries.items()} == notes


def test_rows_come_in_the_order_of_print() -> None:
    assert [row.name for row in rows("wmcp/table3")] == list(FACTS["wmcp"]["table3"]["rows"])
    uni_removal = list(dict.fromkeys(row.table for row in rows("uni_removal")))
    assert uni_removal == [*(f"table{n}" for n in range(1, 6)), "baselines", "teachers"]


def test_rows_refer_to_rows_that_exist() -> None:
    for row in ROWS.values():
        for other in (*row.needs, *([row.alias_of] if row.alias_of else [])):
            assert other in ROWS, f"{row.id} refers to {other}"
        if row.alias_of:
            assert ROWS[row.alias_of].alias_of is None, "a shared run has one home"
            assert (ROWS[row.alias_of].model, ROWS[row.alias_of].data) == (row.model, row.data)


def test_a_row_that_is_built_or_prints_nothing_says_so() -> None:
    assert len(ROWS) == 148
    assert sum(not row.printed for row in ROWS.values()) == 14
    assert sum(row.not_built is not None for row in ROWS.values()) == 36
    assert sum(row.alias_of is not None for row in ROWS.values()) == 17
    assert all(row.model for row in ROWS.values() if not row.not_built)


def test_a_row_file_only_chooses_groups_and_sets_what_its_table_varies() -> None:
    for row in ROWS.values():
        content = yaml.safe_load((shipped("experiments") / f"{row.id}.yaml").read_text())
        assert set(content) <= {"defaults", "row", "schedule", "network", "loss"}, row.id
        for choice in content.get("defaults", []):
            assert all(key.startswith("override /") and "trainer" not in key for key in choice), row.id


@pytest.mark.parametrize("budget", ["paper", "mini", "smoke"])
def test_every_row_composes_with_the_budget(budget: str) -> None:
    for place in ROWS:
        plain = composed(place, f"budget={budget}")
        assert plain["budget"]["name"] == budget
        steps, epochs = plain["trainer"]["max_steps"], plain["trainer"]["max_epochs"]
        assert (steps is None) != (epochs is None), f"{place} must say how long it trains, in one unit"
        if budget == "smoke":
            assert steps == 2


@pytest.mark.parametrize("place", BUILT)
def test_what_a_built_row_sets_exists(place: str) -> None:
    plain = composed(place)
    instantiate.check({k: v for k, v in plain.items() if k != "row"}, "", plain["allow_targets"], GIVEN)


@pytest.mark.parametrize("place", [place for place in BUILT if ROWS[place].mode == "train"])
def test_a_row_that_trains_has_something_to_train_on(place: str) -> None:
    assert composed(place)["data"]["train"] is not None


def test_the_table_of_all_rows_says_of_each_whether_it_can_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LIMPID_DATA", raising=False)
    assert table.run(["--format", "json"]) == 0
    told = {f"{e['paper']}/{e['table']}/{e['row']}": e for e in json.loads(capsys.readouterr().out)}
    assert set(told) == set(ROWS)
    for place, entry in told.items():
        assert entry["runnable"] == (ROWS[place].mode == "profile" and not ROWS[place].not_built), place
        assert entry["runnable"] or entry["why_not"]


def test_every_row_composes_with_made_data() -> None:
    for place in ROWS:
        plain = composed(place, "data=scenes", "budget=smoke", "trainer=debug")
        assert list(plain["data"]["test"]) == ["scenes"], f"data=scenes must win over {place}"
        assert plain["trainer"]["detect_anomaly"], f"trainer=debug must win over {place}"


@pytest.mark.parametrize("place", [place for place in BUILT if ROWS[place].alias_of])
def test_rows_that_share_a_run_are_the_same_run(place: str) -> None:
    assert fingerprint.fingerprint(composed(place)) == fingerprint.fingerprint(composed(str(ROWS[place].alias_of)))


def test_what_the_command_line_says_wins_over_budget_and_schedule() -> None:
    place = "rfd/table5/student"
    assert composed(place)["trainer"]["max_epochs"] == 200
    assert composed(place)["optimizer"]["lr"] == 1e-4
    mini = composed(place, "budget=mini")
    assert (mini["trainer"]["max_steps"], mini["optimizer"]["lr"], mini["data"]["crop"]) == (500, 1e-3, 96)
    assert mini["lr_scheduler"]["_target_"].endswith("cosine")
    assert composed(place, "budget=mini", "trainer.max_steps=7")["trainer"]["max_steps"] == 7
    assert composed(place, "budget=mini", "budget.learning_rate=0.5")["optimizer"]["lr"] == 0.5
    printed = composed(place, "schedule=rfd_student_printed")
    assert printed["optimizer"]["lr"] == 1e-5
    assert printed["lr_scheduler"] == {
        "_target_": "limpid.lr_schedulers.step", "_partial_": True, "factor": 0.98, "every": 10, "of": 200,
    }  # fmt: skip


def test_a_budget_narrows_a_network_and_says_so_but_not_against_the_command_line() -> None:
    mini = composed("rfd/table5/ffa_net", "budget=mini")
    assert mini["narrowed"] == {"dim": 32, "blocks": 4}
    assert (mini["network"]["dim"], mini["network"]["blocks"]) == (32, 4)
    by_hand = composed("rfd/table5/ffa_net", "budget=mini", "network.dim=48")
    assert by_hand["narrowed"] == {"blocks": 4}
    assert by_hand["network"]["dim"] == 48
    assert composed("rfd/table5/ffa_net")["narrowed"] is None
