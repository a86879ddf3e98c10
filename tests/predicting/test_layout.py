"""Which photographs there are, and where everything goes that is made of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from limpid.errors import UserError
from limpid.predicting import layout as layouts
from limpid.predicting.layout import layout
from limpid.predicting.photographs import found


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


def relative(given: str, outputs: Path | None = None) -> list[str]:
    return [str(path) for path in found(given, outputs).files]


def test_what_is_no_photograph_is_counted_by_kind() -> None:
    files("in/a.jpg", "in/b.HEIC", "in/c.txt", "in/d.TXT", "in/e", "in/.hidden.png", "in/.thumbs/f.jpg", "in/g.mp4")
    result = found("in")
    assert [path.name for path in result.files] == ["a.jpg", "b.HEIC"]
    assert result.left_out == {".txt": 2, "hidden": 2, "without a suffix": 1, ".mp4": 1}
    assert result.says().startswith("2 ")
    files("none/a.txt")
    with pytest.raises(UserError, match=r"no photograph in none .*It holds 1 \.txt"):
        found("none")


def test_linked_folders_are_followed_once() -> None:
    files("in/sub/a.png", "elsewhere/b.png", "in/c.png")
    Path("in/again").symlink_to("sub")  # the same folder under another name
    Path("in/sub/up").symlink_to("..")  # round and round
    Path("in/link").symlink_to("../elsewhere")
    Path("in/link2").symlink_to("../elsewhere")
    Path("in/other name.png").symlink_to("c.png")  # a file under another name is a photograph of its own
    assert relative("in") == ["in/c.png", "in/link/b.png", "in/other name.png", "in/sub/a.png"]
    assert relative("in/**/*.png") == relative("in")
    assert relative("in/**/b.png") == ["in/link/b.png"]
    assert relative("in/**") == relative("in")
    assert relative("in/*/*.png") == ["in/again/a.png", "in/link/b.png", "in/link2/b.png", "in/sub/a.png"]


def test_links_that_lead_nowhere_are_told() -> None:
    files("in/a.png")
    Path("in/b.png").symlink_to("gone.png")
    Path("in/round").symlink_to("round")
    result = found("in")
    assert [path.name for path in result.files] == ["a.png"]
    assert result.problems == [
        "The link in/b.png leads nowhere; mend or remove it.",
        "The link in/round leads nowhere; mend or remove it.",
    ]
    with pytest.raises(UserError, match=r"The link in/b.png leads to gone.png, which is not there"):
        found("in/b.png")


def test_results_in_the_input_are_no_input() -> None:
    files("in/a.png", "in/out/a.png")
    Path("in/link").symlink_to("out")
    assert relative("in", Path("in/out")) == ["in/a.png"]
    assert relative("in/**/*.png", Path("in/out")) == ["in/a.png"]


def test_folders_of_earlier_results_are_left_out_but_when_they_are_named() -> None:
    files("in/a.png", "in/clear/a.png", "in/clear/limpid.jsonl", "in/clear/sub/b.png")
    result = found("in", Path("in/other"))
    assert [str(path) for path in result.files] == ["in/a.png"]
    assert result.says() == "1 folder(s) of results"
    assert relative("in/clear", Path("again")) == ["in/clear/a.png", "in/clear/sub/b.png"]


def test_nothing_has_the_place_of_another() -> None:
    files("in/a.png", "in/a.jpg", "in/a_depth.png", "in/a.png_depth.png", "in/compare/sheet.jpg", "in/compare_/x.png")
    places = layout(found("in"), "out", comparing=True)
    made = [places.result(task, 0) for task in places.tasks]
    made += [places.map(task, 0, what) for task in places.tasks for what in ("depth", "transmission", "airlight")]
    made += [places.comparison(task) for task in places.tasks] + [places.sheet(1), places.sheet(2)]
    assert len({str(path).casefold() for path in made}) == len(made) == 6 * 5 + 2
    assert Path("out/a.png_depth.png") in made  # the photograph of that name
    assert Path("out/a.png__depth.png") in made  # and the map that makes room for it
    assert places.sheet(1) == Path("out/compare__/sheet.jpg")


def test_each_of_several_methods_has_its_folder() -> None:
    files("in/x/a.png")
    places = layout(found("in"), "out", methods=["dcp", "compare"])
    (task,) = places.tasks
    assert [places.result(task, i) for i in (0, 1)] == [Path("out/dcp/x/a.png"), Path("out/compare/x/a.png")]
    assert places.comparison(task) == Path("out/compare_/x/a.png.jpg")


def test_formats_that_are_only_read_are_written_as_another() -> None:
    files("in/a.heic", "in/b.gif", "in/c.dng", "in/d.PNG")
    names = [task.target.name for task in layout(found("in"), "out").tasks]
    assert names == ["a.jpg", "b.png", "c.tif", "d.PNG"]
    assert {task.target.suffix for task in layout(found("in"), "out", ".webp").tasks} == {".webp"}


def test_two_results_at_one_place_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    files("in/a.heic", "in/a.jpg", "in/b.PNG", "in/b.png")
    with pytest.raises(UserError, match=r"The results of in/a.heic and of in/a.jpg would both be out/a.jpg"):
        layout(found("in"), "out")
    Path("in/a.heic").unlink()
    assert len(layout(found("in"), "out").tasks) == 3  # this file system tells b.PNG from b.png
    monkeypatch.setattr(layouts, "_ignores_case", lambda folder: True)
    with pytest.raises(UserError, match=r"The results of in/b.PNG and of in/b.png would both be"):
        layout(found("in"), "out")


@pytest.mark.parametrize(
    ("given", "output", "sentence"),
    [
        ("in/a.png", "x.gif", r"output=x.gif cannot be written: .*or end it with a slash \(x.gif/\)"),
        ("in/a.png", "x.heic", "output=x.heic cannot be written"),
        ("in/a.png", "results.v2", "output=results.v2 cannot be written"),
        ("in/a.png", "taken", "output=taken cannot be written"),
        ("in", "x.png", r"output=x.png looks like a file, but input is no single photograph.*\(x.png/\)"),
        ("in/*.png", "x.png", "looks like a file"),
        ("in", "taken", "output=taken is a file, but input is no single photograph"),
        ("in", "taken/x", "taken is no folder, so nothing can be written to taken/x"),
        ("in", "in", "would be written over it"),
        ("in/a.png", "in/a.png", "would be written over it"),
        ("in/a.png", "./in/../in/a.png", "would be written over it"),
        ("in", "in/", "would be written over it"),
    ],
)
def test_outputs_that_cannot_be_are_refused(given: str, output: str, sentence: str) -> None:
    files("in/a.png", "taken")
    with pytest.raises(UserError, match=sentence):
        layout(found(given), output)


@pytest.mark.parametrize(
    ("given", "output"), [("in/a.png", "results.v2/"), ("in/a.png", "dotted.d"), ("in", "results.v2")]
)
def test_folders_may_have_dots_in_their_names(given: str, output: str) -> None:
    files("in/a.png")
    Path("dotted.d").mkdir()
    places = layout(found(given), output)
    assert not places.to_file
    assert places.result(places.tasks[0], 0) == Path(output) / "a.png"


def test_long_names_leave_room_for_what_is_put_behind() -> None:
    name = "ä" * 125 + ".png"
    files(f"in/{name}")
    places = layout(found("in"), "out")
    for path in (places.map(places.tasks[0], 0, "transmission"), places.comparison(places.tasks[0])):
        assert len(os.fsencode(path.name)) <= 255
        assert path.suffix in (".png", ".jpg")
