"""Every row with every budget: it composes, names what exists, and runs exactly what `--cfg job --resolve` prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from tests.specs import composed, config, words

from limpid.config.compose import beside_other_hydra
from limpid.config.references import references
from limpid.errors import UserError
from limpid.paths import shipped
from limpid.results.rows import rows
from limpid.runs.resolve import resolve, resolve_composed

ROWS = {row.id: row for row in rows()}
BUILT = [place for place, row in ROWS.items() if not row.not_built]
BUDGETS = ("paper", "mini", "smoke")


@pytest.fixture(scope="module")
def hydra() -> Iterator[None]:
    with beside_other_hydra():
        yield


def printed(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What `limpid train ARGUMENTS --cfg job --resolve` prints: the function that Hydra itself calls for it."""
    state = GlobalHydra.instance().hydra
    assert state is not None
    state.show_cfg("train", list(arguments), "job", None, resolve=True)
    plain: dict[str, object] = yaml.load(capsys.readouterr().out, Loader=yaml.CSafeLoader)
    return plain


def as_written(stored: dict[str, object]) -> object:
    """What is read back of a config.yaml; libyaml, which PyYAML brings, is ten times as fast as PyYAML's own."""
    return yaml.load(yaml.dump(stored, Dumper=yaml.CSafeDumper), Loader=yaml.CSafeLoader)


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("place", BUILT)
def test_a_row_is_a_run_with_a_length_with_data_and_with_rows_it_refers_to(place: str, budget: str) -> None:
    plain = config(place, f"budget={budget}")
    spec = resolve_composed(composed(place, f"budget={budget}"))
    assert (spec.row, spec.mode, spec.budget) == (place, plain["mode"], budget)
    steps, epochs = plain["trainer"]["max_steps"], plain["trainer"]["max_epochs"]
    assert (steps is None) != (epochs is None), "a row says how long it trains in one unit"
    assert budget != "smoke" or steps == 2
    assert plain["mode"] != "train" or plain["data"]["train"] is not None
    assert {reference.removeprefix("row:") for reference in references(plain).values()} <= set(BUILT)


def each_at_one_budget() -> list[object]:
    """Every row at every budget; all but one budget of each row are slow tests, as Hydra composes and prints it again."""
    pairs: list[object] = []
    for number, place in enumerate(BUILT):
        for budget in BUDGETS:
            quick = budget == BUDGETS[number % len(BUDGETS)]
            pairs.append(pytest.param(place, budget, marks=[] if quick else pytest.mark.slow))
    return pairs


@pytest.mark.parametrize(("place", "budget"), each_at_one_budget())
def test_what_is_printed_is_what_the_run_stores(
    place: str, budget: str, hydra: None, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = resolve_composed(composed(place, f"budget={budget}")).stored()
    del stored["run"]
    assert as_written(stored) == printed(words(place, f"budget={budget}"), capsys)


@pytest.mark.parametrize("place", ROWS)
def test_made_data_a_smaller_budget_and_another_trainer_win_over_a_row(place: str) -> None:
    plain = config(place, "data=scenes", "budget=smoke", "trainer=debug")
    assert list(plain["data"]["test"]) == ["scenes"]
    assert plain["trainer"]["detect_anomaly"]


@pytest.mark.parametrize("place", ROWS)
def test_a_row_file_only_chooses_groups_and_sets_what_its_table_varies(place: str) -> None:
    content = yaml.safe_load((shipped("experiments") / f"{place}.yaml").read_text()) or {}
    assert set(content) <= {"defaults", "mode", "ckpt", "training", "network", "loss", "model"}
    for choice in content.get("defaults", []):
        assert all(key.startswith("override /") and "trainer" not in key for key in choice)


@pytest.mark.parametrize("place", [place for place in BUILT if ROWS[place].run_id != place])
def test_rows_that_share_a_run_are_the_same_run(place: str) -> None:
    shared = resolve(words(ROWS[place].run_id))
    assert resolve(words(place)).fingerprint == shared.fingerprint
    assert resolve(words(place)).directory == shared.directory


def test_what_the_command_line_says_wins_over_budget_and_training() -> None:
    place = "rfd/table5/student"
    assert config(place)["trainer"]["max_epochs"] == 200
    assert config(place)["optimizer"]["lr"] == 1e-4
    mini = config(place, "budget=mini")
    assert (mini["trainer"]["max_steps"], mini["optimizer"]["lr"], mini["data"]["crop"]) == (500, 1e-3, 96)
    assert mini["lr_scheduler"]["_target_"].endswith("cosine")
    assert config(place, "budget=mini", "trainer.max_steps=7")["trainer"]["max_steps"] == 7
    assert config(place, "budget=mini", "training.mini.lr=0.5")["optimizer"]["lr"] == 0.5
    assert config(place, "training.paper.lr=0.5")["optimizer"]["lr"] == 0.5
    printed_rate = config(place, "training=rfd_student_printed")
    assert printed_rate["optimizer"]["lr"] == 1e-5
    assert printed_rate["lr_scheduler"] == {
        "_target_": "limpid.lr_schedulers.step", "_partial_": True, "factor": 0.98, "every": 10, "of": 200,
    }  # fmt: skip


def test_a_budget_narrows_a_network_and_says_so_but_not_against_the_command_line() -> None:
    place = "rfd/table5/ffa_net"
    assert resolve(words(place, "budget=mini")).narrowed == {"dim": 32, "blocks": 4}
    mini = config(place, "budget=mini")
    assert (mini["network"]["dim"], mini["network"]["blocks"]) == (32, 4)
    by_hand = resolve(words(place, "budget=mini", "network.dim=48"))
    assert by_hand.narrowed == {"blocks": 4}
    assert by_hand.config["network"]["dim"] == 48
    assert resolve(words(place)).narrowed == {}


def test_a_row_that_varies_a_width_is_narrowed_to_its_own() -> None:
    for channels, narrow in ((16, 8), (48, 24), (64, 32)):
        place = f"fdr/table6/channels_{channels}"
        assert config(place)["network"]["channels"] == channels
        assert config(place, "budget=mini")["network"]["channels"] == narrow


def test_two_rows_at_once_are_refused() -> None:
    with pytest.raises(UserError, match=r"rows of 2 tables \(fdr/table6, rfd/table5\); give one"):
        resolve(["+rfd/table5=student", "+fdr/table6=layers_1"])


def test_a_network_in_anothers_model_is_explained() -> None:
    with pytest.raises(UserError, match="network.phases is not an argument .* choose model=rescan in its place"):
        resolve(["model=fdr", "network=rescan"])
    assert resolve(["model=rfd_student", "network=aod_net"]).choices["model"] == "aod_net"


def test_a_run_is_read_back_from_its_directory(tmp_path: Path) -> None:
    from limpid.runs.spec import read_spec

    spec = resolve(words("rfd/table5/ours", "budget=smoke", "data=scenes"))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(spec.stored()))
    read = read_spec(tmp_path)
    for name in ("config", "mode", "row", "overrides", "changes", "narrowed", "fingerprint", "comparable", "without"):
        assert getattr(read, name) == getattr(spec, name), name
    assert read.without == ("row:rfd/table4/dsc_mc_fsrcnn",)
    assert read.settled()["model"]["teacher"]["ckpt"] is None
