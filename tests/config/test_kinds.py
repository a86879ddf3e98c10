"""Values of the right kind: switches, numbers, and one of a few words."""

from __future__ import annotations

import re
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from limpid.config.compose import compose
from limpid.config.kinds import refuse_kinds
from limpid.config.settings import refuse_values
from limpid.errors import UserError
from limpid.runs.resolve import resolve


@pytest.mark.parametrize(
    ("hint", "right", "wrong", "wanted"),
    [
        (bool, [True, False], ["no", "true", 1, 0, 1.0, None], "true or false"),
        (bool | None, [True, None], ["no", 0], "null or true or false"),
        (int, [3, -1], ["many", True, None, 2.5], "int"),
        (float, [3, 0.5], ["x", False, None], "float"),
        (int | float, [3, 0.5], ["x", True], "a number"),
        (Literal["max", "min"], ["max"], ["Max", "", "mean"], "max or min"),
        (bool | Literal["warn"], [True, "warn"], ["no"], "warn or true or false"),
        (Sequence[float], [[1.0]], ["x"], "a list of numbers"),
        (Sequence[str], [["x"]], [None], "a list"),
        (str | int, ["x", 3], [None], "int or text"),
        (str | Path, ["x"], [], ""),
        (Any, ["x", 3, None, True], [], ""),
        (None, ["x", 3, None, True], [], ""),
    ],
)
def test_what_an_annotation_takes(hint: object, right: Sequence[object], wrong: Sequence[object], wanted: str) -> None:
    for value in right:
        refuse_kinds({"a": hint}, "x", {"a": value}, strict=True)
    for value in wrong:
        with pytest.raises(UserError, match=rf"^x\.a is .*, but it must be {wanted}\.$"):
            refuse_kinds({"a": hint}, "x", {"a": value}, strict=True)


def test_annotations_of_libraries_may_be_loose() -> None:
    refuse_kinds({"a": bool, "b": int}, "x", {"a": None, "b": 0.5}, strict=False)
    with pytest.raises(UserError):
        refuse_kinds({"a": typing.Optional[bool]}, "x", {"a": "no"}, strict=False)  # noqa: UP045 - as Lightning has it


@pytest.mark.parametrize("command", ["train", "test", "predict", "profile", "export"])
def test_every_switch_of_a_command_takes_true_or_false_alone(command: str) -> None:
    given = ["input=a.png", "output=out"] if command == "predict" else ["output=x"] if command == "export" else []
    config = dict(compose(given, command).config)
    switches = [key for key, value in config.items() if isinstance(value, bool)]
    assert {"rerun", "compile"} <= {*switches}
    for key in switches:
        for word in ("no", "maybe", 1, None):
            with pytest.raises(UserError, match=rf"^{key} is .*, but it must be true or false\.$"):
                refuse_values({**config, key: word}, command)
    with pytest.raises(UserError, match=r"^cost\.repeats is 'x', but it must be int\.$"):
        refuse_values({**config, "cost": {"image_size": [4, 4], "repeats": "x"}}, command)


def test_words_of_yaml_are_switches_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "experiments" / "mine" / "table"
    folder.mkdir(parents=True)
    (folder / "row.yaml").write_text("# @package _global_\ncompile: yes\n")
    assert compose(["+mine/table=row", "data=scenes"]).config["compile"] is True
    (folder / "row.yaml").write_text("# @package _global_\ncompile: 'yes'\n")
    with pytest.raises(UserError, match=r"^compile is 'yes', but it must be true or false\.$"):
        compose(["+mine/table=row", "data=scenes"])


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("trainer.max_steps=2.5", "trainer.max_steps is 2.5, but it must be int or null."),
        ("trainer.accumulate_grad_batches=1.5", "trainer.accumulate_grad_batches is 1.5, but it must be int."),
        ("metrics.psnr=off", "metrics.psnr is 'off', but it must be an object with its settings or null."),
        ("callbacks.pictures=false", "callbacks.pictures is false, but it must be an object with its settings"),
        ("loss.terms.mse=no", "loss.terms.mse is 'no', but it must be null or settings by name."),
        ("data.test.scenes=off", "data.test.scenes is 'off', but it must be an object"),
        ("data.augment=no", "data.augment is 'no', but it must be an object"),
    ],
)
def test_words_in_the_places_of_counts_and_objects_are_refused(word: str, sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        resolve(["model=aod_net", "budget=smoke", "data=scenes", word])


def test_null_is_no_path() -> None:
    with pytest.raises(UserError, match="data.root is null, but it must be text"):
        resolve(["model=aod_net", "budget=smoke", "data=folder", "data.root=null"])


def test_null_switches_metrics_and_callbacks_off() -> None:
    spec = resolve(["model=aod_net", "budget=smoke", "data=scenes", "metrics.ssim=null", "callbacks.pictures=null"])
    assert (
        spec.fingerprint == resolve(["model=aod_net", "budget=smoke", "data=scenes", "skip_metrics=[ssim]"]).fingerprint
    )
