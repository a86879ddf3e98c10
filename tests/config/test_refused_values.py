"""Malformed values, words and YAML files: one sentence each, before anything is made or written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from limpid.cli import status
from limpid.config.compose import compose, last_of_each, refuse_endless
from limpid.config.recipes import names
from limpid.config.registry import build, network_config
from limpid.config.settings import refuse_values
from limpid.config.yaml_files import text_of, values_of
from limpid.errors import UserError
from limpid.models.build import model, refuse_optimizer
from limpid.results.papers import read_paper
from limpid.results.report.gather import _card, _cards_of_recipes
from limpid.runs.rehearsal import refuse_trainer
from limpid.runs.resolve import resolve
from limpid.weather import weathers
from limpid.zoo.card import read as read_card

_TINY = ["model=aod_net", "data=scenes", "budget=smoke", "trainer=cpu", "data.workers=0"]


@pytest.fixture(scope="module")
def config() -> dict[str, object]:
    return dict(compose(_TINY).config)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("seed", 4294967296, "seed is 4294967296, but it must be at most 4294967295."),
        ("log_every", 0, "log_every is 0, but it must be at least 1."),
        ("pictures", -1, "pictures is -1, but it must be at least 0."),
        ("memory_format", "nope", "memory_format is 'nope', but it must be channels_last or contiguous_format."),
        ("prerequisites", "nope", "prerequisites is 'nope', but it must be ask or run or none or null."),
        ("allow_targets", None, "allow_targets is null, but it must be a list."),
        ("ckpt", ["a"], "ckpt is ['a'], but it must be null or text."),
        ("optimizer", [], "optimizer is [], but it must be an object with its settings or null."),
        ("model", {"share": 1}, "model is {'share': 1}, but it must be an object with its settings."),
        ("loss", {"_target_": "x", "terms": "abc"}, "loss.terms is 'abc', but it must be null or settings by name."),
        ("trainer", None, "trainer is null, but it must be settings by name."),
        ("cost", {"image_size": [0, 1], "repeats": 1}, "cost.image_size[0] is 0, but it must be at least 1."),
        ("cost", {"repeats": 1}, "cost.image_size is missing, but it must be a list of numbers."),
        ("compile", "a" * 100_000, f"compile is '{'a' * 199}... (100002 letters), but it must be true or false."),
    ],
)
def test_settings_of_a_command_have_kinds_and_ranges(
    key: str, value: object, sentence: str, config: dict[str, object]
) -> None:
    with pytest.raises(UserError) as caught:
        refuse_values({**config, key: value}, "train")
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("aod_net", ["optimizer.lr=-1"], "optimizer cannot be made with lr=-1, "),
        ("aod_net", ["optimizer.lr=null"], "optimizer cannot be made with lr=None, "),
        ("aod_net", ["compile=3"], "compile is 3, but it must be true or false."),
        ("aod_net", ["="], "There is no group or table ''."),
        ("aod_net", [3], "A word must be text such as 'budget=mini', but it is 3."),
        (None, [], "A word must be text such as 'budget=mini', but it is None."),
        ("/etc/passwd", [], "There is no model=/etc/passwd; there are "),
    ],
)
def test_a_model_by_name_refuses_what_the_command_refuses(name: str, words: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        model(name, *words)
    assert str(caught.value).startswith(sentence)


def test_python_says_what_is_no_name_and_no_list() -> None:
    with pytest.raises(UserError, match=r"^There is no network or prior named 3\.$"):
        build(3)  # type: ignore[arg-type]
    for make in (build, model):
        with pytest.raises(UserError, match=r"^allow_targets is 'os', but it must be a list\.$"):
            make("aod_net", allow_targets="os")


def test_a_run_that_a_later_word_changes_is_the_later_words_run() -> None:
    once, twice = resolve([*_TINY, "seed=2"]), resolve(["seed=1", "budget=mini", *_TINY, "seed=2"])
    assert (twice.config["seed"], twice.config["budget"]) == (2, "smoke")
    assert (twice.directory, twice.changes) == (once.directory, once.changes)


@pytest.mark.parametrize("key", ["model", "network", "seed", "trainer", "data", "metrics"])
def test_what_is_removed_is_missed(key: str, config: dict[str, object]) -> None:
    with pytest.raises(UserError, match=rf"^{key} is missing, but it must be "):
        refuse_values({name: value for name, value in config.items() if name != key}, "train")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"max_steps": 1.5}, "trainer.max_steps is 1.5, but it must be int or null."),
        ({"accumulate_grad_batches": -1}, "trainer.accumulate_grad_batches is -1, but it must be at least 1."),
        ({"precision": "nope"}, "trainer.precision is 'nope', but it must be 32-true or bf16-mixed or "),
        ({"devices": -2}, "trainer.devices is -2, but it must be at least -1."),
        ({"gradient_clip_val": -1}, "trainer.gradient_clip_val is -1, but it must be at least 0."),
        ({"val_check_interval": 0.5}, "trainer.val_check_interval is 0.5, but it must be int."),
    ],
)
def test_the_trainer_is_typed(setting: dict[str, object], sentence: str, config: dict[str, object]) -> None:
    trainer = {**dict(config["trainer"]), **setting}  # type: ignore[call-overload]
    with pytest.raises(UserError) as caught:
        refuse_values({**config, "trainer": trainer}, "train")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (
            {"lr": -1},
            "optimizer cannot be made with lr=-1, betas=[0.9, 0.999], weight_decay=0.0 (Invalid learning rate",
        ),
        ({"lr": None}, "optimizer cannot be made with lr=None"),
        ({"betas": [0.9, 2]}, "(Invalid beta parameter at index 1: 2)"),
        ({"weight_decay": -1}, "(Invalid weight_decay value: -1)"),
    ],
)
def test_the_optimizer_is_tried(setting: dict[str, object], reason: str, config: dict[str, object]) -> None:
    refuse_optimizer(config)
    optimizer = {**dict(config["optimizer"]), **setting}  # type: ignore[call-overload]
    with pytest.raises(UserError) as caught:
        refuse_optimizer({**config, "optimizer": optimizer})
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"strategy": "nope"}, "There is no trainer.strategy=nope; there are auto, ddp, "),
        ({"gradient_clip_algorithm": "nope"}, "`gradient_clip_algorithm` nope is invalid"),
        ({"limit_train_batches": -1}, "invalid value -1 for limit_train_batches"),
        ({"profiler": "nope"}, "`profiler`"),
    ],
)
def test_the_trainer_is_tried(setting: dict[str, object], reason: str, config: dict[str, object]) -> None:
    settings = dict(config["trainer"])  # type: ignore[call-overload]
    refuse_trainer(settings, [])
    with pytest.raises(UserError) as caught:
        refuse_trainer({**settings, **setting}, [])
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("network.channels=0", "network.channels is 0, but it must be at least 1."),
        ("data.batch_size=0", "data.batch_size is 0, but it must be at least 1."),
        ("data.test_images=-1", "data.test_images is -1, but it must be at least 1."),
        ("+trainer.callbacks=[]", "trainer.callbacks is set by Limpid itself"),
        (
            "callbacks.checkpoint=null",
            "callbacks.checkpoint is null or missing, but a training keeps its weights by it",
        ),
    ],
)
def test_nothing_is_left_of_a_refused_run(
    word: str,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("sys.argv", ["limpid"])
    assert status(["train", *_TINY, word]) == 2
    assert capfd.readouterr().err.startswith(sentence)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.b=" + "9" * 5000], "A number of the configuration has more than 4300 digits; write a smaller one."),
        (["a=[1"], "The word 'a=[1' cannot be read; close its brackets and quotes"),
        (["a='1"], 'The word "a=\'1" cannot be read; close its brackets and quotes'),
        (["seed=${log_every}", "log_every=${seed}"], "The configuration is refused: Recursive interpolation detected"),
        (
            ["data.root=${oc.env:NOPE}"],
            "The value of data.root refers to what is not there: \"Environment variable 'NOPE'",
        ),
        (["budget=null"], "A group of the configuration is set to null or to what is no name"),
        (["~data.nope"], "There is no setting 'data.nope' that ~data.nope could take away."),
        (["budget=" + "a" * 300], f"There is no budget={'a' * 200}... (300 letters); there are mini, paper, smoke."),
        (["hydra.job.num=abc"], "could not be converted to Integer"),
    ],
)
def test_errors_inside_of_hydra_are_sentences(words: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        compose(words)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("data.root=" + "a" * 100_000, "is longer than any setting"),
        ("seed=" + "[" * 5000 + "]" * 5000, "is longer than any setting"),
        ("seed=" + "[" * 500 + "]" * 500, "has lists more than 30 deep in each other"),
        ("a." * 2000 + "b=1", "names a key of more than 30 parts"),
    ],
)
def test_endless_words_are_refused_before_they_are_read(word: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        refuse_endless([word])
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--nope"], "Of the words that begin with a dash: unrecognized arguments: --nope;"),
        (["--cfg", "nope"], "argument --cfg/-c: invalid choice: 'nope'"),
        (["--config-dir"], "argument --config-dir/-cd: expected one argument"),
        (["--config-dir", "missing"], "missing' not found"),
        (["+rfd/table5=student", "+rfd/table5=aod_net"], "The group 'rfd/table5' is chosen twice; choose it once, or"),
        (["model=aod_net", "-m", "seed=range(0,0)"], "The sweep has no job: what it goes over"),
        (["-m", "+rfd/table5=glob(nothing*)"], "The sweep has no job: what it goes over"),
    ],
)
def test_flags_and_sweeps_that_lead_nowhere(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("sys.argv", ["limpid"])
    assert status(["train", *words]) == 2
    said = capfd.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert sys.argv == ["limpid"]


def bomb(levels: int) -> str:
    """A few lines that stand for 9 ** levels values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (bomb(9), "stands for more than 20,000 values, its aliases written out; shorten it."),
        ("a: " + "[" * 10_000 + "]" * 10_000, "holds more than 50 lists or blocks in each other; flatten it."),
        ("a: &a [*a]", "refers to *a, which is not complete there."),
        ("a: *b", "refers to *b, which is not complete there."),
        ("a:\n\tb: 1", "cannot be read as YAML: line 2: a tab, or a sign that YAML keeps"),
        ("a: [1", "cannot be read as YAML: line 2: "),
        ("a: 'b", "cannot be read as YAML: line 1: "),
        (b"\xff\xfe\x00a", "it is not UTF-8 text; save it as such."),
        (b"\x00\x01", "cannot be read as YAML: "),
        ("#" * 2**21, "has 2,097,152 bytes, more than any configuration; shorten it."),
    ],
)
def test_a_users_yaml_is_bounded_before_it_is_read(content: str | bytes, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as caught:
        text_of(file)
    assert str(file) in str(caught.value)
    assert sentence in str(caught.value)


def test_a_folder_is_no_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").mkdir()
    with pytest.raises(UserError, match=r"x\.yaml is no file, but a folder or a device"):
        text_of(tmp_path / "x.yaml")
    (tmp_path / "fine.yaml").write_text("a: &a [1, 2]\nb: *a\n")
    assert text_of(tmp_path / "fine.yaml") == "a: &a [1, 2]\nb: *a\n"


@pytest.mark.parametrize(
    ("place", "read"),
    [
        ("conf/network/mine.yaml", lambda file: network_config("mine")),
        ("conf/weather/mine.yaml", lambda file: weathers()),
        ("conf/data/mine.yaml", lambda file: _cards_of_recipes()),
        ("conf/dataset/mine.yaml", lambda file: _card("mine")),
        ("experiments/mine/paper.yaml", read_paper),
        ("zoo/mine.yaml", read_card),
        ("mine.yaml", values_of),
    ],
)
def test_every_reader_of_a_users_yaml_keeps_to_the_bounds(
    place: str, read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    for content, sentence in (
        (bomb(9), "stands for more than 20,000 values, its aliases written out; shorten it."),
        ("- a", "must hold keys with values, but it holds list."),
        ("a: 2024-13-45", "cannot be read as YAML: month must be in 1..12"),
    ):
        file.write_text(content)
        with pytest.raises(UserError) as caught:
            read(file)
        assert str(caught.value).startswith(f"The file {file} {sentence}".removesuffix("."))


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["seed=1", "budget=mini", "seed=2"], ["budget=mini", "seed=2"]),
        (["model=fdr", "model=aod_net"], ["model=aod_net"]),
        (["++seed=1", "++seed=2"], ["++seed=2"]),
        (["trainer={max_steps: 3}", "trainer=cpu", "trainer={devices: 1}"], None),
        (["+seed=1", "+seed=2"], None),
        (["~model", "~model", "-m", "-m", "word", "word"], None),
    ],
)
def test_of_words_for_one_key_the_last_holds(words: list[str], kept: list[str] | None) -> None:
    assert last_of_each(words) == (words if kept is None else kept)


def test_rows_and_options_that_hold_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "experiments" / "mine" / "table"
    folder.mkdir(parents=True)
    row = folder / "row.yaml"
    for content, sentence in (
        ("", rf"^The row {row} is empty; write what it chooses"),
        ("# only a comment\n", rf"^The row {row} is empty; write what it chooses"),
        ("- a\n- b\n", rf"^The file {row} must hold keys with values, but it holds a list"),
        (bomb(9), rf"^The file {row} stands for more than 20,000 values"),
        ("seed: 1\nseed: 2\n", r"found duplicate key seed"),
    ):
        row.write_text(content)
        with pytest.raises(UserError, match=sentence):
            compose(["+mine/table=row", "data=scenes"])
    network = tmp_path / "conf" / "network"
    network.mkdir(parents=True)
    (network / "mine.yaml").write_text("a: 1\n")
    assert "mine" in names("network")
    with pytest.raises(UserError, match=r"mine\.yaml describes no network; give it a _target_ and its settings\.$"):
        network_config("mine")
