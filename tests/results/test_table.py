"""Tables: paper beside measured, seeds together, what was kept, and where a paper contradicts itself."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from tests.results.made_store import make_paper, make_run, make_store

from limpid.errors import UserError
from limpid.results import lines, measured, table
from limpid.results.conflicts import conflicting_printed_values
from limpid.results.rows import Row, rows
from limpid.results.run_record import plain, record_of
from limpid.results.table import TableRow


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the made paper."""
    monkeypatch.chdir(tmp_path)
    make_paper(tmp_path)
    return tmp_path


def runnable(row: Row) -> None:
    return None


def shown(row_id: str, store: Path) -> TableRow:
    [one] = table.table_rows(rows(row_id), store, runnable)
    return one


def ours(store: Path, seed: int, psnr: float, **facts: Any) -> None:
    folder = facts.pop("folder", f"seed-{seed}")
    make_run(store / "mine/table1/ours/mini" / folder, [psnr, psnr], row="mine/table1/ours", seed=seed, **facts)


def described(one: TableRow) -> list[str]:
    return [lines.describe(line) for line in one.lines if line.source == "measured"]


def test_seeds_of_one_training_are_one_line_with_mean_and_deviation(here: Path) -> None:
    values = [20.0, 21.0, 25.0]
    for seed, psnr in enumerate(values):
        ours(here / "runs", seed, psnr)
    one = shown("mine/table1/ours", here / "runs")
    paper, degraded, line = one.lines
    assert [part.source for part in one.lines] == ["paper", "input", "measured"]
    assert {metric: figure.mean for metric, figure in paper.figures.items()} == {"psnr": 30.0, "ssim": 0.9}
    assert degraded.figures["psnr"].mean == 10.0
    figure = line.figures["psnr"]
    assert (figure.mean, figure.deviation) == (22.0, statistics.stdev(values))
    assert (figure.printed, figure.difference, figure.protocols) == (30.0, -8.0, ("psnr_rgb",))
    assert (line.seeds, line.images, line.comparable, line.status) == ((0, 1, 2), 2, False, "done")
    assert lines.describe(line) == "budget mini, seeds 0, 1, 2, not comparable"
    text = table.markdown([one])
    assert "| Ours | paper | made | 30 | 0.9 |" in text
    assert "| 22 ± 2.6 |" in text
    assert "Protocols: psnr: psnr_rgb" in text


@pytest.mark.parametrize(
    "other",
    [
        {"changes": ["network.dim=8"]},
        {"narrowed": {"dim": 8}},
        {"fingerprint": "5e6f7a8b"},
        {"budget": "smoke"},
        {"mode": "test"},
        {"choices": {"data": "elsewhere", "model": "ours"}},
        {"provenance": {"trained": {"data": "elsewhere", "budget": "mini", "fingerprint": "1a2b3c4d"}}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_runs_of_two_trainings_are_never_mixed(here: Path, other: dict[str, Any]) -> None:
    ours(here / "runs", 0, 20.0)
    ours(here / "runs", 1, 30.0, **other)
    found = [line for line in shown("mine/table1/ours", here / "runs").lines if line.source == "measured"]
    assert [(line.seeds, line.figures["psnr"].mean) for line in found] == [((0,), 20.0), ((1,), 30.0)]
    assert len({lines.describe(line) for line in found}) == 2


def test_trainings_of_the_same_settings_are_told_apart_by_their_fingerprints(here: Path) -> None:
    ours(here / "runs", 0, 20.0)
    ours(here / "runs", 0, 30.0, fingerprint="5e6f7a8b", folder="seed-0-5e6f7a8b")
    assert described(shown("mine/table1/ours", here / "runs")) == [
        "budget mini, training 1a2b3c4d, seed 0, not comparable",
        "budget mini, training 5e6f7a8b, seed 0, not comparable",
    ]


def test_weights_trained_on_other_data_say_so(here: Path) -> None:
    ours(here / "runs", 0, 20.0, provenance={"trained": {"budget": "mini", "data": "scenes"}})
    assert described(shown("mine/table1/ours", here / "runs")) == [
        "budget mini, trained on scenes, seed 0, not comparable"
    ]


def test_weights_that_others_published_go_by_their_source_and_have_no_seed(here: Path) -> None:
    imported = {"file": "net.mat", "sha256": "c085", "source": "somebody/net"}
    trained = {"imported": imported, "zoo": "net_published", "seed": None, "data": "not stated"}
    ours(here / "runs", 0, 20.0, mode="test", provenance={"trained": trained})
    assert described(shown("mine/table1/ours", here / "runs")) == [
        "budget mini, weights of somebody/net, not comparable"
    ]


def test_a_test_of_fine_tuned_weights_says_where_their_training_started(here: Path) -> None:
    """Wherever the store lies; the best weights of a run go by its name, the last by their file."""
    for seed, file in ((0, "best"), (1, "last")):
        ckpt = f"/elsewhere/rfd/table5/student/mini/seed-{seed}/checkpoints/{file}.ckpt"
        trained = {"budget": "mini", "data": "made", "seed": seed, "fine_tuned_from": {"ckpt": ckpt}}
        ours(here / "runs", seed, 20.0, mode="test", provenance={"trained": trained})
    assert described(shown("mine/table1/ours", here / "runs")) == [
        "budget mini, fine-tuned from rfd/table5/student/mini/seed-*, seed 0, not comparable",
        "budget mini, fine-tuned from rfd/table5/student/mini/seed-*/last.ckpt, seed 1, not comparable",
    ]


def test_a_training_and_a_test_of_its_weights_are_told_apart_below_one_line_of_the_input(here: Path) -> None:
    ours(here / "runs", 0, 20.0)
    trained = {"budget": "mini", "data": "made", "seed": 0, "fingerprint": "1a2b3c4d"}
    ours(here / "runs", 0, 20.0, mode="test", folder="seed-0-5e6f7a8b", provenance={"trained": trained})
    one = shown("mine/table1/ours", here / "runs")
    assert described(one) == [
        "budget mini, seed 0, not comparable",
        "budget mini, tested apart, seed 0, not comparable",
    ]
    assert [line.source for line in one.lines] == ["paper", "input", "measured", "measured"]


def test_tests_of_the_weights_of_one_training_are_one_group(here: Path) -> None:
    """The fingerprint of each holds the content of its seed's weights."""
    for seed in (0, 1):
        trained = {"budget": "mini", "data": "made", "seed": seed, "fingerprint": "11111111"}
        ours(here / "runs", seed, 20.0 + seed, mode="test", fingerprint=f"{seed}" * 8, provenance={"trained": trained})
    assert described(shown("mine/table1/ours", here / "runs")) == ["budget mini, seeds 0, 1, not comparable"]


def test_tests_under_two_protocols_are_two_groups(here: Path) -> None:
    for seed in (0, 1):
        trained = {"budget": "mini", "data": "made", "seed": seed, "fingerprint": "11111111"}
        ours(here / "runs", seed, 20.0 + seed, mode="test", fingerprint=f"{seed}" * 8, provenance={"trained": trained})
    file = here / "runs/mine/table1/ours/mini/seed-1/metrics.json"
    file.write_text(file.read_text().replace("psnr_rgb", "psnr_y"))
    assert len(described(shown("mine/table1/ours", here / "runs"))) == 2


@pytest.mark.parametrize("end", ["", "-0f"])
def test_runs_from_another_run_of_their_own_seed_are_one_group(here: Path, end: str) -> None:
    for seed, start in ((0, 0), (1, 1), (2, 1)):
        started = f"model.start.ckpt=runs/uni_removal/table4/bkt/mini/seed-{start}{end}/checkpoints/best.ckpt"
        ours(here / "runs", seed, 20.0 + seed, changes=[started], fingerprint=f"{seed}" * 8)
    together, alone = described(shown("mine/table1/ours", here / "runs"))
    assert f"bkt/mini/seed-*{end}, seeds" in together
    assert "seeds 0, 1, not" in together
    assert f"bkt/mini/seed-1{end}, seed 2" in alone
    assert "seed 2, not" in alone


def test_runs_that_are_not_done_have_a_line_without_figures(here: Path) -> None:
    make_store(here)
    one = shown("mine/table1/ours", here / "runs")
    failed = one.lines[-1]
    assert (failed.source, failed.status, failed.seeds, failed.figures) == ("measured", "failed", (3,), {})
    assert lines.describe(failed) == "budget mini, seed 3, failed, not comparable"


def test_a_single_value_has_no_deviation_and_an_infinite_one_none_that_is_a_number() -> None:
    assert lines.mean_and_deviation([2.0]) == (2.0, None)
    assert lines.mean_and_deviation([1.0, 2.0, 6.0]) == (3.0, statistics.stdev([1, 2, 6]))
    mean, deviation = lines.mean_and_deviation([1.0, float("inf")])
    assert mean == float("inf")
    assert deviation is not None
    assert deviation != deviation


def test_the_json_of_a_row_has_its_runs_as_they_were_stored(here: Path) -> None:
    ours(here / "runs", 0, 20.0, changes=["network.dim=8"])
    told = json.loads(json.dumps(table.as_json(shown("mine/table1/ours", here / "runs"))))
    assert (told["paper"], told["table"], told["row"], told["label"], told["kind"]) == (
        "mine",
        "table1",
        "ours",
        "Ours",
        "ours",
    )
    assert (told["mode"], told["model"], told["alias_of"]) == ("profile", "ours", None)
    assert (told["runnable"], told["why_not"], told["conflicts"]) == (True, None, [])
    assert told["printed"] == {"made": {"psnr": 30.0, "ssim": 0.9}}
    [run] = told["runs"]
    assert run["metrics"] == {"made": {"psnr": {"mean": 20.0, "n": 2, "protocol": "psnr_rgb"}}}
    assert run["input"]["made"]["psnr"]["mean"] == 10.0
    assert (run["seed"], run["budget"], run["overrides"]) == (0, "mini", ["network.dim=8"])


# --- rows that share a run, and contradictions ------------------------------------------------------------------------


def test_a_row_that_shares_a_run_shows_it(tmp_path: Path) -> None:
    make_run(tmp_path / "rfd/table5/ours/mini/seed-0", [20.0], row="rfd/table5/ours")
    [one] = table.table_rows(rows("rfd/table8/l2"), tmp_path, lambda row: "not built")
    assert one.row.alias_of == "rfd/table5/ours"
    assert one.runs[0].scores[0].value == 20.0
    assert one.why_not == "not built"


def test_a_table_says_where_its_paper_prints_two_values_of_one_run(tmp_path: Path) -> None:
    one = shown("uni_removal/table2/ours", tmp_path)
    said = "brisque on spa is 40.489 here and 30.689 in table5/kt_bda_eicl_efcl, the same run"
    assert one.conflicts == (said,)
    assert f"as printed, {said}" in table.markdown([one])
    of_paper = table.table_rows(rows("fdr"), tmp_path, runnable)
    assert not any(other.conflicts for other in of_paper), "0.68 and 0.6799 are one value in two precisions"


@pytest.mark.parametrize(("here_", "there", "said"), [(40.5, 40.46, True), (31.0, 31.4, True), (40.46, 40.463, False)])
def test_a_last_0_that_a_file_does_not_keep_counts(here_: float, there: float, said: bool) -> None:
    def made(table: str, name: str, value: float, alias_of: str | None = None) -> Row:
        return Row("p", table, name, name, "ours", alias_of, printed={"s": {"psnr": value}})

    own, other = made("table1", "a", here_), made("table2", "b", there, "p/table1/a")
    known = [own, other, made("table1", "c", 20.25), made("table2", "d", 20.25)]
    assert bool(conflicting_printed_values(own, known)) is said
    assert bool(conflicting_printed_values(other, known)) is said


def test_unknown_rows_get_the_nearest_name() -> None:
    with pytest.raises(UserError, match="did you mean 'rfd/table5/student'"):
        rows("rfd/table5/studnt")


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_kept_figures_outlive_the_store(here: Path) -> None:
    store = here / "runs"
    started_from = f"model.teacher.ckpt='{store.as_posix()}/rfd/a/best.ckpt'"
    ours(store, 0, 20.0, changes=[started_from, "data.val.clean.root=/mine"])
    ours(store, 1, 20.0, budget="smoke")
    kept = measured.keep(measured.measured_rows(rows("mine"), store))
    assert kept == [here / "experiments/mine/measured.json"]
    one = shown("mine/table1/ours", here / "another store")
    [run] = one.runs
    assert run.kept
    assert run.scores[0].value == 20.0
    assert run.path == "runs/mine/table1/ours/mini/seed-0", "not where this machine's store lies"
    assert run.overrides == ("model.teacher.ckpt='runs/rfd/a/best.ckpt'",)
    assert [r.seed for r in shown("mine/table1/ours", store).runs] == [0, 1], "the store's own is not shown twice"
    ours(store, 2, 30.0)
    assert [r.seed for r in shown("mine/table1/ours", store).runs] == [0, 1, 2]


def test_keeping_one_row_leaves_what_was_kept_of_others(here: Path) -> None:
    store = make_store(here)
    measured.keep(measured.measured_rows(rows("mine/table1/another"), store))
    [file] = measured.keep(measured.measured_rows(rows("mine/table1/ours"), store))
    ids = [run.row for run in measured.read_kept(file)]
    assert ids == ["mine/table1/another", *["mine/table1/ours"] * 3]
    assert file.read_text() == measured.keep(measured.measured_rows(rows("mine"), here / "no store"))[0].read_text()


@pytest.mark.parametrize(("paper", "count"), [("aosr", 35), ("fdr", 32), ("rfd", 52), ("uni_removal", 13), ("wmcp", 4)])
def test_what_is_kept_in_the_repository_is_shown(paper: str, count: int, tmp_path: Path) -> None:
    kept = measured.read_kept(measured.measured_file(paper))
    assert len(kept) == count
    assert {run.row for run in kept} <= {row.run_id for row in rows(paper)}
    assert all(run.scores and run.fingerprint and run.status == "done" for run in kept)
    shown_runs = {run.path for one in measured.measured_rows(rows(paper), tmp_path) for run in one.runs}
    assert shown_runs == {run.path for run in kept}


def test_two_runs_of_one_seed_are_never_averaged(here: Path) -> None:
    """Whatever tells them apart: a configuration file that was edited between them, or other weights by the same name."""
    started = "model.start.ckpt=runs/mine/table1/other/mini/seed-{seed}/checkpoints/best.ckpt"
    for number, (seed, folder) in enumerate(((0, "seed-0-a"), (0, "seed-0-b"), (1, "seed-1"), (2, "seed-2"))):
        changes = [started.format(seed=seed)]
        ours(here / "runs", seed, 20.0 + number, changes=changes, fingerprint=f"{number}" * 8, folder=folder)
    found = [line for line in shown("mine/table1/ours", here / "runs").lines if line.source == "measured"]
    assert [(line.seeds, line.figures["psnr"].mean) for line in found] == [
        ((0,), 20.0), ((0,), 21.0), ((1,), 22.0), ((2,), 23.0),
    ]  # fmt: skip
    assert [line.settings.rsplit(", ", 1)[1] for line in found] == [f"run {number}" for number in map(_eight, range(4))]


def _eight(number: int) -> str:
    return f"{number}" * 8


def test_a_training_is_named_without_its_seed_where_the_run_says_so(here: Path) -> None:
    """Seed 0 was trained for longer than the others: the paths are the same, the trainings are not."""
    started = "model.start.ckpt=runs/mine/table1/other/mini/seed-{seed}/checkpoints/best.ckpt"
    for seed, training in ((0, "aaaaaaaa"), (1, "bbbbbbbb"), (2, "bbbbbbbb")):
        facts = {"changes": [started.format(seed=seed)], "fingerprint": f"{seed}" * 8}
        ours(here / "runs", seed, 20.0 + seed, provenance={"training": training}, **facts)
    assert [line.seeds for line in shown("mine/table1/ours", here / "runs").lines if line.source == "measured"] == [
        (0,), (1, 2),
    ]  # fmt: skip


def test_a_test_has_the_seed_of_the_weights_and_says_where_these_are_the_last(here: Path) -> None:
    for seed in (0, 1):
        for name in ("best.ckpt", "last.ckpt"):
            trained = {"budget": "mini", "data": "made", "seed": seed, "fingerprint": "11111111"}
            fingerprint = f"{seed}{name[:3]}"
            facts = {"mode": "test", "fingerprint": fingerprint, "folder": f"seed-0-{fingerprint}"}
            ours(here / "runs", 0, 20.0 + seed, provenance={"trained": trained, "checkpoint": name}, **facts)
    assert sorted(described(shown("mine/table1/ours", here / "runs"))) == [
        "budget mini, last checkpoint, seeds 0, 1, not comparable",
        "budget mini, seeds 0, 1, not comparable",
    ]


def test_short_and_long_trainings_of_a_row_stand_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What measured.json keeps of 700 and of 3,000 steps, each with the tests of its weights."""
    monkeypatch.chdir(tmp_path)
    lines_of_row = [line for line in shown("aosr/ablations/l1", tmp_path).lines if line.source == "measured"]
    assert all(len(set(line.seeds)) == len(line.seeds) for line in lines_of_row)
    records = {run.store_path: run for run in shown("aosr/ablations/l1", tmp_path).runs}
    for line in lines_of_row:
        assert len({records[run].trained["fingerprint"] for run in line.runs}) == 1
    long = [line for line in lines_of_row if {records[run].trained["step"] for run in line.runs} == {3000}]
    assert {line.seeds for line in long} == {(0,)}
    assert any(line.seeds == (0, 1, 2) for line in lines_of_row if line not in long)


def test_kept_figures_hold_no_path_of_the_machine() -> None:
    checkpoint = "/home/me/store/rfd/table5/student/mini/seed-0/checkpoints/best.ckpt"
    config = {
        "seed": 0,
        "budget": "mini",
        "run": {
            "row": "mine/table1/ours",
            "changes": [
                f"ckpt='{checkpoint}'",
                "data.root='/data/My Photos'",
                "data.test.b.root=b/c",
                "x=http://a/b/c",
            ],
            "own": {"data.test.b": "0"},
        },
    }
    provenance = {"fine_tuned_from": {"ckpt": checkpoint, "trained": {"row": "rfd/table5/student"}}}
    record = record_of(config, {"provenance": provenance}, "done", Path("runs/mine/table1/ours/mini/seed-0"))
    kept = plain(record)
    own = "runs/rfd/table5/student/mini/seed-0/checkpoints/best.ckpt"
    assert kept["overrides"] == [f"ckpt='{own}'", "data.root='My Photos'", "data.test.b.root=b/c", "x=http://a/b/c"]
    assert kept["provenance"] == {"fine_tuned_from": {"ckpt": own, "trained": {"row": "rfd/table5/student"}}}


def test_seeds_that_start_from_one_checkpoint_are_one_training(here: Path) -> None:
    """The path of seed 0's checkpoint is seed 0's own by its name alone: all three have the same fingerprint."""
    started = "ckpt=runs/mine/table1/other/mini/seed-0/checkpoints/best.ckpt"
    for seed in range(3):
        ours(here / "runs", seed, 20.0 + seed, changes=[started], fingerprint="a" * 8)
    [line] = [line for line in shown("mine/table1/ours", here / "runs").lines if line.source == "measured"]
    assert (line.seeds, line.figures["psnr"].mean) == ((0, 1, 2), 21.0)
    assert "seed-0" in line.settings
