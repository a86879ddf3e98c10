"""The rows: the papers' values, and that every row file composes with every budget and with made data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from limpid.commands import table
from limpid.config.recipes import recipe
from limpid.config.registry import registered
from limpid.paths import config_folders
from limpid.results.papers import papers
from limpid.results.rows import NO_SET, rows

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
    # Of a method that is known in part the label says so.
    assert (row.label.removesuffix(" (partial)"), row.kind) == (fact["label"], fact["kind"])
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
        if row.alias_of:
            assert row.alias_of in ROWS, f"{row.id} refers to {row.alias_of}"
            assert ROWS[row.alias_of].alias_of is None, "a shared run has one home"
            assert (ROWS[row.alias_of].model, ROWS[row.alias_of].data) == (row.model, row.data)


def test_a_row_that_is_built_or_prints_nothing_says_so() -> None:
    assert len(ROWS) == 163
    assert sum(not row.printed for row in ROWS.values()) == 29
    assert sum(row.not_built is not None for row in ROWS.values()) == 2
    assert sum(row.alias_of is not None for row in ROWS.values()) == 17
    assert all(row.model for row in ROWS.values() if not row.not_built)


def test_the_table_of_all_rows_says_how_many_can_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert table.run([]) == 0
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith("132 of 134 printed rows can run given their data. ")
    reasons = {place: row.not_built for place, row in ROWS.items() if row.not_built}
    assert set(reasons) == {"rfd/table5/lsid_fcnn", "aosr/table1/fs"}
    for place, reason in reasons.items():
        assert f"{place} ({ROWS[place].label}) cannot: {reason}" in last


def test_no_row_whose_method_exists_says_that_it_is_not_built() -> None:
    folders = [*config_folders("conf")]
    models = {file.stem for folder in folders for file in (folder / "model").glob("*.yaml")}
    methods = {*registered(), *models}
    for row in ROWS.values():
        assert (row.not_built is None) == (row.model is not None), row.id
        assert row.not_built is None or row.name not in methods, f"{row.id} could run"


def test_what_a_paper_prints_has_a_set_of_its_name_to_stand_beside() -> None:
    built = [ROWS[place] for place in BUILT if ROWS[place].printed]
    tested = {row.data: set(recipe(row.data)["test"]) for row in built if row.data}
    for row in built:
        assert set(row.printed) <= ({NO_SET} if row.mode == "profile" else tested[row.data]), row.id


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
