"""`limpid predict` and `limpid profile` as a user runs them."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.data.photo_files import every_format, picture, tiff

import limpid
from limpid import checkpoint
from limpid.cli import status
from limpid.data.photo_io import processed_by, read_photograph, written_suffix
from limpid.offers import choice, offers
from limpid.predicting.manifest import Source
from limpid.priors.trivial import Gamma


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["limpid"])


def photograph(path: Path, height: int = 24, width: int = 32, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(90, 220, (height, width, 3), np.uint8)
    Image.fromarray(values).save(path)
    return path


def files_in(folder: str) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def saved_network(path: Path, name: str = "aod_net", **settings: int) -> Path:
    network = limpid.build(name, **settings)
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    saved = {"limpid": 1, "network": name, "network_config": settings, "provenance": {"row": None}, "state_dict": state}
    checkpoint.save(saved, path)
    return path


def test_a_folder_with_folders_keeps_its_names(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = ["a.png", "in/b c.jpg", "in/é[1]/d.TIF", "in/e=f,g.bmp"]
    for name in names:
        photograph(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("not a photograph")
    (tmp_path / "photos" / ".hidden").mkdir()
    photograph(tmp_path / "photos" / ".hidden" / "x.png")
    assert status(["predict", "model=dcp", "input=photos", "output=clear"]) == 0
    assert files_in("clear") == sorted([*names, "limpid.jsonl"])
    out, err = capfd.readouterr()
    assert out == "4 restored: clear\nleft out: 1 hidden, 1 .txt\n"
    assert "4/4" in err


def test_the_result_is_what_the_method_gives(tmp_path: Path) -> None:
    source = photograph(tmp_path / "a.png")
    assert status(["predict", "model=gamma", "network.exponent=2", "input=a.png", "output=b.png"]) == 0
    x = read_photograph(source).pixels
    np.testing.assert_array_equal(read_photograph(tmp_path / "b.png").pixels, np.floor(x**2 * 255 + 0.5) / 255)


def test_what_is_done_is_skipped_and_what_others_made_is_kept(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        photograph(tmp_path / "in" / name)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"kept")
    command = ["predict", "model=gamma", "input=in", "output=out"]
    assert status(command) == 2
    out, err = capfd.readouterr()
    assert out == "2 restored: out\n"
    assert "a.png in out was not written by Limpid, or changed since; give another output, or overwrite=true" in err
    assert (tmp_path / "out" / "a.png").read_bytes() == b"kept"
    assert status([*command, "overwrite=true"]) == 0
    assert read_photograph(tmp_path / "out" / "a.png").pixels.shape == (24, 32, 3)
    capfd.readouterr()
    assert status(command) == 0
    assert capfd.readouterr().out == "0 restored, 3 skipped that exist (overwrite=true replaces them): out\n"


@pytest.mark.parametrize(
    "words", [["model=dcp"], ["model=gamma", "strength=0.5"], ["model=gamma", "network.exponent=2"]]
)
@pytest.mark.parametrize("with_manifest", [True, False])
def test_results_of_another_method_are_not_done(
    words: list[str], with_manifest: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photograph(tmp_path / "in" / "a.png")
    photograph(tmp_path / "in" / "b.jpg")
    assert status(["predict", "model=gamma", "input=in", "output=out"]) == 0
    before = (tmp_path / "out" / "a.png").read_bytes()
    if not with_manifest:
        (tmp_path / "out" / "limpid.jsonl").unlink()
    capfd.readouterr()
    assert status(["predict", *words, "input=in", "output=out"]) == 2
    version = limpid.__version__
    says = f"a.png, b.jpg in out were made by another method (Limpid {version}, gamma); give another output, or overwrite=true"
    assert says in capfd.readouterr().err
    assert (tmp_path / "out" / "a.png").read_bytes() == before
    assert status(["predict", *words, "input=in", "output=out", "overwrite=true"]) == 0
    assert (tmp_path / "out" / "a.png").read_bytes() != before
    assert status(["predict", *words, "input=in", "output=out"]) == 0


def test_a_photograph_that_has_changed_is_restored_anew(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photograph(tmp_path / "in" / "a.png")
    photograph(tmp_path / "in" / "b.png")
    command = ["predict", "model=gamma", "input=in", "output=out"]
    assert status(command) == 0
    photograph(tmp_path / "in" / "a.png", seed=1)
    (tmp_path / "in" / "b.png").touch()  # another time, the same bytes
    capfd.readouterr()
    assert status(command) == 0
    out = capfd.readouterr().out
    assert out == (
        "1 restored, 1 of them anew for a photograph that has changed, 1 skipped that exist (overwrite=true replaces them): out\n"
    )
    assert status(["predict", "model=gamma", "input=in/a.png", "output=x.png"]) == 0
    np.testing.assert_array_equal(read_photograph(Path("out/a.png")).pixels, read_photograph(Path("x.png")).pixels)


def test_unreadable_files_are_named_at_the_end_and_the_others_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "c.png"):
        photograph(tmp_path / "in" / name)
    (tmp_path / "in" / "b.png").write_bytes(b"broken")
    assert status(["predict", "model=gamma", "input=in", "output=out", "compare=true"]) == 2
    out, err = capfd.readouterr()
    assert "2 restored" in out
    assert "1 of 3 photographs could not be restored:\n  in/b.png is not an image" in err
    pictures = ["a.png", "c.png", "compare/a.png.jpg", "compare/c.png.jpg", "compare/sheet.jpg"]
    assert files_in("out") == [*pictures, "limpid.jsonl"]


def test_a_photograph_is_never_written_over(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photograph(tmp_path / "in" / "a.png")
    before = (tmp_path / "in" / "a.png").read_bytes()
    (tmp_path / "link").symlink_to("in")
    for output in ("in", "in/../in", "link"):
        assert status(["predict", "model=gamma", "input=in", f"output={output}", "overwrite=true"]) == 2
        assert "would be written over it; give another output." in capfd.readouterr().err
    assert (tmp_path / "in" / "a.png").read_bytes() == before


def test_results_inside_the_input_folder_are_no_input(tmp_path: Path) -> None:
    photograph(tmp_path / "in" / "a.png")
    for _ in range(2):
        assert status(["predict", "model=gamma", "input=in", "output=in/clear"]) == 0
    assert sorted(str(p) for p in Path("in").rglob("*.png")) == ["in/a.png", "in/clear/a.png"]


def test_a_pattern_keeps_what_its_wildcards_stand_for(tmp_path: Path) -> None:
    for name in ("x/1/a.png", "x/2/a.png", "x/2/b.jpg"):
        photograph(tmp_path / name)
    assert status(["predict", "model=gamma", "input=x/**/*.png", "output=out"]) == 0
    assert files_in("out") == ["1/a.png", "2/a.png", "limpid.jsonl"]


def test_depth_transmission_and_airlight_can_be_kept(tmp_path: Path) -> None:
    source = photograph(tmp_path / "a.png", 40, 50)
    assert status(["predict", "model=wmcp", "input=a.png", "output=out", "save=[depth,transmission,airlight]"]) == 0
    x = torch.from_numpy(read_photograph(source).pixels.transpose(2, 0, 1))[None]
    estimate = limpid.build("wmcp").estimate(x)
    transmission = read_photograph(tmp_path / "out" / "a.png_transmission.png")
    assert (transmission.levels, transmission.grey) == (65535, True)
    np.testing.assert_allclose(transmission.pixels[..., 0], estimate.transmission[0, 0], atol=1e-5)
    depth = read_photograph(tmp_path / "out" / "a.png_depth.png").pixels[..., 0]
    np.testing.assert_allclose(depth, (estimate.scene_depth / estimate.scene_depth.max())[0, 0], atol=1e-5)
    airlight = json.loads((tmp_path / "out" / "a.png_airlight.json").read_text())["airlight"]
    np.testing.assert_allclose(airlight, estimate.airlight[0], atol=1e-6)


def test_a_checkpoint_brings_its_own_network(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    photograph(tmp_path / "a.png")
    saved_network(tmp_path / "n.ckpt", channels=6)
    assert status(["predict", "ckpt=n.ckpt", "input=a.png", "output=out"]) == 0
    assert status(["predict", "ckpt=n.ckpt", "model=aod_net", "input=a.png", "output=out2"]) == 0
    assert (tmp_path / "out2" / "a.png").read_bytes() == (tmp_path / "out" / "a.png").read_bytes()
    capfd.readouterr()
    assert status(["predict", "ckpt=n.ckpt", "network.dim=3", "input=a.png", "output=out"]) == 2
    assert "so network.dim cannot be set" in capfd.readouterr().err
    assert status(["predict", "ckpt=n.ckpt", "model=rfd_student", "input=a.png", "output=out"]) == 2
    assert "holds the network aod_net, but model=rfd_student has rfd_student" in capfd.readouterr().err


def test_grey_photographs_and_narrow_ones_work(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    saved_network(tmp_path / "n.ckpt", "rfd_student", dim=16, blocks=1)
    Image.fromarray(np.full((9, 11), 128, np.uint8)).save(tmp_path / "in" / "flat.png")
    Image.fromarray(np.full((1, 40, 3), 99, np.uint8)).save(tmp_path / "in" / "line.png")
    for model in ("model=wmcp", "model=dcp", "ckpt=n.ckpt"):
        assert status(["predict", model, "input=in", f"output=out/{model[-4:]}"]) == 0
        assert Image.open(tmp_path / "out" / model[-4:] / "flat.png").mode == "L"
        assert Image.open(tmp_path / "out" / model[-4:] / "line.png").size == (40, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["model=wmcp", "output=out"], "limpid predict lacks input; give input=PATH."),
        (["model=wmcp", "input=none", "output=out"], "There is no file or folder none;"),
        (["model=wmcp", "input=*.gif", "output=out"], "There is no photograph in *.gif ("),
        (["model=ffa_net", "input=a.png", "output=out"], "The model ffa_net has no weights to restore with; give ckpt=PATH"),
        (["output=out"], "limpid predict needs input=PHOTOS output=FOLDER, and takes for each photograph"),
        (["input=a.png"], "limpid predict lacks output; give output=PATH."),
        (["wmcp", "a.png", "out"], "The word 'wmcp' sets nothing; write KEY=VALUE, as in limpid predict model=wmcp"),
        (["model=[dcp,", "wmcp]", "input=a.png", "output=out"], "a list has no spaces in it"),
        (["--model", "dcp", "input=a.png", "output=out"], "--model is written without dashes"),
        (["method=dcp", "input=a.png", "output=out"], "the method is named as model=dcp"),
        (["model=dcp", "input=a.png", "output=out", "compare=yess"], "compare is 'yess', but it must be true or false"),
        (["model=hazy", "input=a.png", "output=out"], "There is no model 'hazy', but for haze there are "),
        (["model=DCP", "input=a.png", "output=out"], "There is no model 'DCP'; did you mean 'dcp'?"),
        (["model=[dcp,dcp]", "input=a.png", "output=out"], "names dcp twice"),
        (["model=[dcp,ffa_net]", "input=a.png", "output=out"], "The zoo has no weights for the network ffa_net"),
        (["model=[dcp,wmcp]", "input=a.png", "output=x.png"], "output=x.png looks like a file, but several methods need a folder"),
        (["model=[dcp,wmcp]", "network.patch=7", "input=a.png", "output=out"], "network.patch cannot be set"),
        (["ckpt=[a.ckpt,b.ckpt]", "input=a.png", "output=out"], "several methods are given as model=[a.ckpt,b.ckpt]"),
        (["ckpt=rfd_student_scenes", "input=a.png", "output=out"], "did you mean zoo:rfd_student_scenes?"),
        (["ckpt=dcp", "input=a.png", "output=out"], "There is no checkpoint dcp: dcp is a model; give model=dcp."),
        (["model=auto", "save=[depth]", "input=a.png", "output=out"], "does not estimate the depth"),
        (["model=gamma", "input=a.png", "output=x.gif"], "output=x.gif cannot be written"),
        (["model=gamma", "input=a.png", "output=out", "suffix=gif"], "suffix=gif cannot be written"),
        (["model=gamma", "input=a.png", "output=x.jpg", "suffix=png"], "name two formats; leave out suffix"),
        (["model=gamma", "input=a.png", "output=out", "quality=500"], "quality is 500, but it must be at most 100."),
        (["model=gamma", "input=a.png", "output=out", "quality=9.5"], "quality is 9.5, but it must be int."),
        (["model=gamma", "input=a.png", "output=out", "strength=1.5"], "strength is 1.5, but it must be at most 1."),
        (["model=gamma", "input=a.png", "output=out", "strength=nan"], "strength is nan, but it must be a finite number."),
        (["model=gamma", "input=a.png", "output=out", "megapixels=0"], "megapixels is 0, but it must be above 0."),
        (["model=wmcp", "input=a.png", "output=out", "save=[dept]"], "save=dept is unknown; did you mean 'depth'?"),
        (["model=wmcp", "input=a.png", "output=out", "save=true"], "save is true, but it must be a list or text."),
        (["model=wmcp", "input=a.png", "output=out", "sheet.width=20.5"], "sheet.width is 20.5, but it must be int."),
        (["model=wmcp", "input=a.png", "output=out", "inference.tile=abc"], "inference.tile is 'abc', but it must be int."),
        (["model=wmcp", "input=a.png", "output=out", "inference.restore_at=x"], "inference.restore_at is 'x', but it must be"),
        (["model=wmcp", "input=a.png", "output=out", "inference=padded", "inference.multiple=x"], "inference.multiple is 'x', but"),
        (["model=[dcp,wmcp]", "input=a.png", "output=out", "allow_targets=3"], "allow_targets is 3, but it must be a list"),
        (["model=gamma", "input=a.png", "output=out", "save=[depth]"], "The model gamma does not estimate the depth;"),
        (["ckpt=dehazenet.ckpt", "input=a.png", "output=out", "save=[transmission]"], "does not estimate the transmission"),
        (["model=uni_removal_teachers", "input=a.png", "output=out"], "The model uni_removal_teachers has no network of its own"),
        (["model=wmcp", "input=a.png", "output=out", "data=scenes"], "limpid predict does not use 'data'"),
        (["model=wmcp", "input=a.png", "output=out", "device=tpu9"], "There is no device 'tpu9' here"),
        (["model=wmcp", "input=a.png", "output=out", "network.channel=drak"], "channel='drak' is not one of"),
        (["-m", "model=wmcp,dcp", "input=a.png", "output=out"], "leave out -m"),
        (["model=wmcp", "input=a.png", "output=out", "inference.tyle=3"], "There is no setting 'inference.tyle'; did you mean 'tile'?"),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photograph(tmp_path / "a.png")
    saved_network(tmp_path / "dehazenet.ckpt", "dehazenet")
    assert status(["predict", *arguments]) == 2
    out, err = capfd.readouterr()
    assert sentence in err
    assert out == ""
    assert not (tmp_path / "out").exists()


def test_tiles_are_used_as_asked(tmp_path: Path) -> None:
    photograph(tmp_path / "a.png", 70, 90)
    saved_network(tmp_path / "n.ckpt", channels=3)
    command = ["predict", "ckpt=n.ckpt", "input=a.png"]
    assert status([*command, "output=whole.png", "inference=full"]) == 0
    tiles = ["inference.tile=48", "inference.overlap=24", "inference.blend=4", "inference.margin=0"]
    assert status([*command, "output=tiled.png", "inference=tiled", *tiles]) == 0
    assert (tmp_path / "whole.png").read_bytes() == (tmp_path / "tiled.png").read_bytes()
    assert status([*command, "output=x.png", "inference=tiled", "inference.overlap=400"]) == 2


def three(folder: str = "in") -> list[str]:
    names = ["a.png", "b.png", "c.png"]
    for seed, name in enumerate(names):
        photograph(Path(folder) / name, seed=seed)
    return names


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "in/b.png needs more memory than there is"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "needs more memory"),
        (RuntimeError("shape mismatch\nat line 7"), "in/b.png could not be restored (RuntimeError: shape mismatch)."),
        (ZeroDivisionError(), "in/b.png could not be restored (ZeroDivisionError: ZeroDivisionError)."),
    ],
)  # fmt: skip
def test_whatever_is_raised_for_one_photograph_the_others_are_done(
    error: Exception, sentence: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    names = three()
    bad = read_photograph(Path("in/b.png")).pixels

    def failing(self: Gamma, x: torch.Tensor) -> torch.Tensor:
        if np.array_equal(x[0].permute(1, 2, 0), bad):
            raise error
        return x**2

    monkeypatch.setattr(Gamma, "forward", failing)
    assert status(["predict", "model=gamma", "input=in", "output=out"]) == 2
    out, err = capfd.readouterr()
    assert out == "2 restored: out\n"
    assert "1 of 3 photographs could not be restored:\n  " in err
    assert sentence in err
    assert "Traceback" not in err
    assert files_in("out") == [names[0], names[2], "limpid.jsonl"]


def test_a_full_disk_is_said_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    names = three()
    whole = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name.startswith("b.png"):
            whole(self, data[:9])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return whole(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert status(["predict", "model=gamma", "input=in", "output=out"]) == 2
    out, err = capfd.readouterr()
    assert out == "1 restored: out\n"
    assert "Nothing more can be written to out (No space left on device), so 1 more were not tried" in err
    assert err.count("No space left on device") == 2  # for the photograph, and for all
    assert files_in("out") == ["a.png", "limpid.jsonl"]
    assert status(["predict", "model=gamma", "input=in", "output=out"]) == 0
    assert files_in("out") == [*names, "limpid.jsonl"]


def test_an_interruption_leaves_whole_files(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    names, calls = three(), []

    def interrupted(self: Gamma, x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return x**2

    with monkeypatch.context() as patch:
        patch.setattr(Gamma, "forward", interrupted)
        assert status(["predict", "model=gamma", "input=in", "output=out"]) == 130
    assert files_in("out") == ["a.png", "limpid.jsonl"]
    assert read_photograph(Path("out/a.png")).pixels.shape == (24, 32, 3)
    assert status(["predict", "model=gamma", "input=in", "output=out"]) == 0
    assert files_in("out") == [*names, "limpid.jsonl"]
    assert capfd.readouterr().out.endswith("2 restored, 1 skipped that exist (overwrite=true replaces them): out\n")


def test_several_methods_have_a_folder_and_a_column_each(capfd: pytest.CaptureFixture[str]) -> None:
    names = three()
    command = ["predict", "model=[gamma,dcp,zoo:rfd_student_scenes]", "input=in", "output=out", "compare=true"]
    assert status(command) == 0
    assert capfd.readouterr().out.startswith("9 restored: out\n")
    folders = ("gamma", "dcp", "rfd_student_scenes")
    comparisons = [f"compare/{name}.jpg" for name in names] + ["compare/sheet.jpg"]
    assert files_in("out") == sorted(
        [*(f"{folder}/{name}" for folder in folders for name in names), *comparisons, "limpid.jsonl"]
    )
    assert Image.open("out/compare/a.png.jpg").width == 4 * 32
    assert status(["predict", "model=dcp", "input=in/a.png", "output=alone.png"]) == 0
    np.testing.assert_array_equal(
        read_photograph(Path("alone.png")).pixels, read_photograph(Path("out/dcp/a.png")).pixels
    )
    Path("out/dcp/b.png").unlink()
    capfd.readouterr()
    assert status(command) == 0  # the one that lacks, and the comparisons from what is there
    assert "1 restored, 8 skipped that exist" in capfd.readouterr().out
    assert Image.open("out/compare/a.png.jpg").width == 4 * 32


def test_without_a_model_the_best_by_score_is_taken_and_it_is_said_why(capfd: pytest.CaptureFixture[str]) -> None:
    haze = np.clip(0.85 + 0.02 * np.random.default_rng(0).standard_normal((64, 80, 3)), 0, 1)
    Path("in").mkdir()
    for name in ("haze.png", "more.png"):
        Image.fromarray((haze * 255).astype(np.uint8)).save(Path("in", name))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)).save("in/clear.png")
    taken = choice("haze", offers())
    assert taken is not None
    assert status(["predict", "input=in", "output=out"]) == 0
    out, err = capfd.readouterr()
    name = re.escape(taken.offer.name)
    assert re.search(rf"^haze.png: haze \(dark channel 0\.\d\d above .*, contrast .*\): {name}$", out, re.MULTILINE)
    assert re.search(r"^clear.png: clear \(dark channel .*\): left as it is$", out, re.MULTILINE)
    assert "2 restored, 1 left as they are: out" in out
    assert err.splitlines().count(f"haze: {taken.why}") == 1
    assert files_in("out") == ["haze.png", "limpid.jsonl", "more.png"]
    record = [json.loads(line) for line in Path("out/limpid.jsonl").read_text().splitlines()]
    assert all(taken.offer.card.name in json.dumps(line) for line in record)
    assert status(["predict", "model=auto", "input=in", "output=out"]) == 0
    assert "0 restored, 2 skipped that exist" in capfd.readouterr().out


def test_strength_and_suffix(tmp_path: Path) -> None:
    source = photograph(tmp_path / "in" / "a.jpg")
    words = ["predict", "model=gamma", "network.exponent=2", "input=in"]
    assert status([*words, "output=out", "strength=0.5", "suffix=PNG"]) == 0
    x = read_photograph(source).pixels
    np.testing.assert_allclose(read_photograph(Path("out/a.png")).pixels, (x + x**2) / 2, atol=0.5 / 255 + 1e-6)
    said = f"Limpid {limpid.__version__}, gamma exponent=2, strength 0.5, of {Source.of(source).sha256}"
    assert processed_by(Path("out/a.png")) == said


def test_results_beside_their_photographs_are_not_restored_again(capfd: pytest.CaptureFixture[str]) -> None:
    photograph(Path("in/a.jpg"))
    command = ["predict", "model=gamma", "input=in", "output=in", "suffix=png", "compare=true"]
    assert status(command) == 0
    made = ["a.jpg", "a.png", "compare/a.jpg.jpg", "compare/sheet.jpg", "limpid.jsonl"]
    assert files_in("in") == made
    capfd.readouterr()
    assert status(command) == 0
    assert "0 restored, 1 skipped that exist" in capfd.readouterr().out
    assert files_in("in") == made


def test_maps_comparisons_and_sheets_of_others_are_not_replaced(capfd: pytest.CaptureFixture[str]) -> None:
    photograph(Path("in/a.png"))
    photograph(Path("out/compare/sheet.jpg"))
    photograph(Path("out/a.png_depth.png"))
    before = [Path(name).read_bytes() for name in ("out/compare/sheet.jpg", "out/a.png_depth.png")]
    command = ["predict", "model=dcp", "input=in", "output=out", "save=[depth]", "compare=true"]
    assert status(command) == 2
    err = capfd.readouterr().err
    assert "out/a.png_depth.png is no file that Limpid wrote, or was changed since" in err
    assert "The sheet of comparisons could not be written: out/compare/sheet.jpg is no file that Limpid wrote" in err
    assert before == [Path(name).read_bytes() for name in ("out/compare/sheet.jpg", "out/a.png_depth.png")]
    assert status([*command, "overwrite=true"]) == 0
    assert status([*command, "overwrite=true"]) == 0


def test_videos_beside_photographs_are_counted(capfd: pytest.CaptureFixture[str]) -> None:
    photograph(Path("in/a.png"))
    Path("in/clip.mp4").write_bytes(b"")
    assert status(["predict", "input=in", "output=out", "model=gamma"]) == 0
    assert "left out: 1 .mp4\nvideos are restored by a command of their own" in capfd.readouterr().out


def test_photographs_of_every_kind_are_restored_and_what_is_left_out_is_said(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A folder of every format; and, for what a format cannot hold, a line."""
    files = every_format()
    for name, data in files.items():
        path = Path(f"in/{name.rpartition('.')[2]}/a.{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    note = (34377, 1, 100000, bytes(100000), True)  # what Photoshop keeps in a TIFF
    Path("long.tif").write_bytes(tiff(picture(), extratags=[note]))
    assert status(["predict", "input=in", "output=out", "model=gamma"]) == 0
    assert status(["predict", "input=long.tif", "output=long.jpg", "model=gamma"]) == 0
    out, err = capfd.readouterr()
    assert f"{len(files)} restored: out" in out
    assert "in/gif/a.gif has 2 frames, of which only the first was read." in out + err
    assert "long.jpg has no room for the long values of EXIF, which were left out." in out + err
    for name in files:
        source = Path(f"in/{name.rpartition('.')[2]}/a.{name}")
        found = "out" / source.relative_to("in").with_suffix(written_suffix(source))
        before = read_photograph(source)
        wanted = Gamma()(torch.from_numpy(before.pixels.transpose(2, 0, 1))[None])[0].permute(1, 2, 0).numpy()
        assert np.abs(read_photograph(found).pixels - wanted).mean() < 0.02


def test_profile_counts_what_is_known(capfd: pytest.CaptureFixture[str]) -> None:
    assert status(["profile", "model=aod_net", "image_size=[20,30]", "format=json", "repeats=1", "device=cpu"]) == 0
    told = json.loads(capfd.readouterr().out)
    weights = 3 * 3 + 9 * 3 * 3 + 25 * 6 * 3 + 49 * 6 * 3 + 9 * 12 * 3  # of five convolutions at full resolution
    assert (told["model"], told["image_size"], told["params"]) == ("aod_net", [20, 30], weights + 5 * 3)
    assert told["gflops"] == round(2 * weights * 20 * 30 / 1e9, 4)
    assert told["latency_ms"] > 0
    assert set(told) == {"model", "image_size", "params", "size_mb", "gflops", "latency_ms", "peak_memory_mb"}


def test_profile_counts_attention_where_it_works(capfd: pytest.CaptureFixture[str]) -> None:
    """The student by hand: convolutions and pixel attention at every pixel, channel attention and fusion at one."""
    c, conv = 16, 9 * 16 * 16
    pixel, channel = c * 2 + 2, 2 * c * 2
    at_each = 9 * 3 * c + 3 * (6 * (2 * conv + pixel) + conv) + pixel + conv + 9 * c * 3
    at_one = 3 * 6 * channel + 2 * 3 * c
    size = ["image_size=[24,40]", "repeats=1", "device=cpu"]
    assert status(["profile", "model=rfd_student", *size, "format=json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["params"] == 96_007
    assert told["gflops"] == round(2 * (at_each * 24 * 40 + at_one) / 1e9, 4)


def test_profile_of_a_prior_and_its_mistakes(capfd: pytest.CaptureFixture[str]) -> None:
    size = ["image_size=[16,16]", "repeats=1", "device=cpu"]
    assert status(["profile", "-m", "model=gamma,aod_net", *size, "format=json"]) == 0
    first, second = json.loads(capfd.readouterr().out)
    assert (first["params"], first["gflops"], second["params"]) == (0, None, 1761)
    for arguments, sentence in (
        (["image_size=[16]"], "image_size is [16], but it must be a list of 2."),
        (["format=jsn"], "format is 'jsn', but it must be rich or json."),
        (["repeats=0"], "repeats is 0, but it must be at least 1."),
        (["data=scenes"], "limpid profile does not use 'data'"),
    ):
        assert status(["profile", "model=aod_net", *arguments]) == 2
        assert sentence in capfd.readouterr().err


def test_testing_needs_no_file_that_only_the_loss_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AOSR-Net's loss compares features of VGG-19, whose weights are not there."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("LIMPID_RUNS", str(tmp_path / "runs"))
    saved_network(tmp_path / "n.ckpt", "aosr", channels=8)
    settings = ["data=scenes", "data.test_images=1", "trainer=cpu"]
    assert status(["test", "model=aosr", "ckpt=n.ckpt", *settings]) == 0
    (results,) = (json.loads(file.read_text()) for file in (tmp_path / "runs").rglob("metrics.json"))
    assert results["metrics"]["scenes"]["psnr"]["n"] == 1
    assert status(["train", "model=aosr", *settings]) == 2
