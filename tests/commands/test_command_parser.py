"""Commands that take flags: every mistake is one sentence, with the nearest name."""

from __future__ import annotations

import pytest

from limpid.cli import PLAIN, status
from limpid.commands.command_parser import CommandParser, flag_of
from limpid.errors import UserError


def parser() -> CommandParser:
    made = CommandParser(prog="limpid toy")
    made.add_argument("names", nargs="*", metavar="NAME")
    made.add_argument("--photos", metavar="DIR")
    made.add_argument("--data-root", metavar="DIR")
    made.add_argument("--sides", type=int, nargs="+")
    made.add_argument("--format", choices=("rich", "json"))
    made.add_argument("--fast", action="store_true")
    return made


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--photo2", "x"], "`limpid toy` does not take '--photo2'; did you mean '--photos'?"),
        (["--zzz"], "`limpid toy` does not take '--zzz'; `limpid toy --help` lists what it takes."),
        (["--photos"], "--photos of `limpid toy` lacks its value; `limpid toy --help` says which it takes."),
        (["--sides", "3", "x"], "--sides of `limpid toy` is 'x', but it must be a whole number."),
        (["--format", "jsno"], "--format of `limpid toy` cannot be 'jsno'; did you mean 'json'?"),
        (["--format", "xml"], "--format of `limpid toy` cannot be 'xml'; there are rich, json."),
        (["--fast=1"], "--fast of `limpid toy` cannot be taken: ignored explicit argument '1'."),
        (["photos=my dir"], "`limpid toy` takes flags: write `--photos 'my dir'` in place of 'photos=my dir'."),
        (["a", "+data.root=/d"], "`limpid toy` takes flags: write `--data-root /d` in place of '+data.root=/d'."),
        (["sides=[3, 5]"], "`limpid toy` takes flags: write `--sides 3 5` in place of 'sides=[3, 5]'."),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        parser().parse_args(words)
    assert str(error.value) == sentence


def test_what_is_right_is_parsed() -> None:
    chosen = parser().parse_args(["a", "b=c", "--photos", "photos=2024", "--sides", "3", "5"])
    assert (chosen.names, chosen.photos, chosen.sides) == (["a", "b=c"], "photos=2024", [3, 5])


def test_several_things_may_stand_before_and_behind_flags() -> None:
    chosen = parser().parse_args(["a", "--photos", "p", "blocks=3", "--fast", "c"])
    assert (chosen.names, chosen.photos, chosen.fast) == (["a", "blocks=3", "c"], "p", True)
    outer = CommandParser(prog="limpid toy")
    inner = outer.add_subparsers(dest="what").add_parser("add")
    inner.add_argument("source")
    inner.add_argument("settings", nargs="*")
    inner.add_argument("--task")
    chosen = outer.parse_args(["add", "--task", "haze", "net.pth", "--task", "rain", "form=official"])
    assert (chosen.source, chosen.settings, chosen.task) == ("net.pth", ["form=official"], "rain")


def test_a_command_of_a_command_answers_for_itself() -> None:
    outer = CommandParser(prog="limpid toy")
    commands = outer.add_subparsers(dest="what", required=True, metavar="list|show")
    commands.add_parser("list").add_argument("--format")
    commands.add_parser("show")
    for words, sentence in [
        (["lst"], "There is no `limpid toy lst`; did you mean 'list'?"),
        (["list", "--fromat", "x"], "`limpid toy list` does not take '--fromat'; did you mean '--format'?"),
        ([], "`limpid toy` lacks list|show; `limpid toy --help` lists what it takes."),
    ]:
        with pytest.raises(UserError) as error:
            outer.parse_args(words)
        assert str(error.value) == sentence


def test_a_flag_is_the_setting_with_dashes() -> None:
    assert [flag_of(name) for name in ("photos", "data.root", "allow_targets")] == [
        "--photos",
        "--data-root",
        "--allow-targets",
    ]


@pytest.mark.parametrize("command", PLAIN)
def test_every_command_refuses_an_unknown_flag_in_one_sentence(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert status([command, "--no-such-flag"]) == 2
    complaint = capfd.readouterr().err
    assert len(complaint.strip().splitlines()) == 1
    assert "no-such-flag" in complaint or "lacks" in complaint


@pytest.mark.parametrize("command", PLAIN)
def test_every_command_lists_what_it_takes(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code = status([command, "--help"])
    except SystemExit as ended:
        code = ended.code
    assert code == 0
    assert f"limpid {command}" in capfd.readouterr().out
