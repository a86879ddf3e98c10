"""Every publisher's layout, made small and loaded through its card; the real samples where they are at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from tests.data.publishers import card, picture, pixels, plain_card, write

from limpid.config import instantiate
from limpid.data import Recipe
from limpid.data.datasets.paired import PairedFiles
from limpid.data.image_io import read_image
from limpid.paths import shipped

RNG = np.random.default_rng(0)
CARDS = sorted(file.stem for file in (shipped("conf") / "dataset").glob("*.yaml"))


class Layout(NamedTuple):
    """Files below the root as (degraded, reference), the card that reads them, and the set's names for them."""

    card: str
    split: str | None
    home: str
    pairs: list[tuple[str, str]]
    names: list[str]
    beside: tuple[str, ...] = ()


LAYOUTS = [
    Layout("sots_outdoor", None, "RESIDE/SOTS/outdoor", [("hazy/0001_0.8_0.2.jpg", "gt/0001.png")], ["0001_0.8_0.2"]),
    Layout("reside_its", None, "ITS", [("hazy/7_10_0.97842.png", "clear/7.png")], ["7_10_0.97842"]),
    Layout("reside_ots", None, "RESIDE/OTS", [("hazy/0005_0.8_0.04.jpg", "clear/0005.jpg")], ["0005_0.8_0.04"]),
    Layout(
        "reside_ots",
        None,
        "OTS_BETA",
        [("haze/OTS/0025_1_0.2.jpg", "clear/clear_images/0025.jpg")],
        ["0025_1_0.2"],
    ),
    Layout(
        "nh_haze", None, "NH-HAZE", [("01_hazy.png", "01_GT.png"), ("53_hazy.png", "53_GT.png")], ["01_hazy", "53_hazy"]
    ),
    Layout("nh_haze", "train", "NH-HAZE", [("45_hazy.png", "45_GT.png")], ["45_hazy"], ("46_hazy.png", "46_GT.png")),
    Layout("nh_haze", "val", "NH-HAZE", [("46_hazy.png", "46_GT.png")], ["46_hazy"], ("45_hazy.png", "45_GT.png")),
    Layout("nh_haze", "test", "NH-HAZE", [("51_hazy.png", "51_GT.png")], ["51_hazy"], ("50_hazy.png", "50_GT.png")),
    Layout(
        "o_haze",
        None,
        "# O-HAZY NTIRE 2018",
        [("hazy/01_outdoor_hazy.jpg", "GT/01_outdoor_GT.jpg")],
        ["01_outdoor_hazy"],
    ),
    Layout(
        "frida",
        None,
        "FRIDA",
        [(f"{fog}080-000012.png", "LIma-000012.png") for fog in "KLMU"],
        [f"{fog}080-000012" for fog in "KLMU"],
    ),
    Layout("frida2", None, "FRIDA2", [("U080-000066.png", "LIma-000066.png")], ["U080-000066"]),
    Layout(
        "rain1400",
        "train",
        "rainy_image_dataset/training",
        [(f"rainy_image/9_{k}.jpg", "ground_truth/9.jpg") for k in (1, 14)],
        ["9_1", "9_14"],
    ),
    Layout(
        "rain1400",
        "test",
        "rainy_image_dataset/testing",
        [("rainy_image/901_3.jpg", "ground_truth/901.jpg")],
        ["901_3"],
    ),
    Layout("rain1400", "test", "Rain1400", [("rainy_image/902_1.jpg", "ground_truth/902.jpg")], ["902_1"]),
    Layout("rain100l", "test", "Rain100L", [("rain-001.png", "norain-001.png")], ["rain-001"]),
    Layout("rain100l", "test", "Rain100L", [("input/1.png", "target/1.png")], ["1"]),
    Layout("rain100l", "train", "RainTrainL", [("rain/norain-1x2.png", "norain/norain-1.png")], ["norain-1x2"]),
    Layout(
        "rain100h",
        "train",
        "rain_data_train_Heavy",
        [("rain/X2/norain-1x2.png", "norain/norain-1.png")],
        ["norain-1x2"],
    ),
    Layout(
        "rain100h",
        "test",
        "rain_data_test_Heavy/rain_heavy_test",
        [("rain/norain-1.png", "norain/norain-1.png")],
        ["norain-1"],
    ),
    Layout(
        "gopro",
        "train",
        "GOPRO_Large/train",
        [
            ("GOPR0372_07_00/blur/000047.png", "GOPR0372_07_00/sharp/000047.png"),
            ("GOPR0374_11_00/blur/000047.png", "GOPR0374_11_00/sharp/000047.png"),
        ],
        ["GOPR0372_07_00/000047", "GOPR0374_11_00/000047"],
        ("GOPR0372_07_00/blur_gamma/000047.png",),
    ),
    Layout(
        "gopro",
        "test",
        "GOPRO/test",
        [("GOPR0384_11_00/blur/000001.png", "GOPR0384_11_00/sharp/000001.png")],
        ["GOPR0384_11_00/000001"],
    ),
    *(
        Layout("rl_restore", level, f"RL-Restore/test/{level}", [("_in/1.png", "_gt/1_gt.png")], ["1"])
        for level in ("mild", "moderate", "severe")
    ),
    Layout("folder", None, ".", [("input/a b.png", "target/a b.bmp"), ("input/ü.tif", "target/ü.png")], ["a b", "ü"]),
]


def close(stored: np.ndarray[Any, Any], name: str, height: int = 16, width: int = 20) -> bool:
    """Whether this is the picture of that name: exactly, or nearly where JPEG is lossy."""
    off = np.abs(stored * 255 - pixels(name, height, width)).mean()
    return bool(off < (3 if name.endswith("jpg") else 1e-4))  # another random picture is 85 away


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.card}-{layout.split}-{layout.home}")
def test_pairs_as_published(layout: Layout, tmp_path: Path) -> None:
    join = "" if layout.card == "rl_restore" else "/"
    pairs = [tuple(f"{layout.home}{join}{name}" for name in pair) for pair in layout.pairs]
    for name in {*(name for pair in pairs for name in pair), *(f"{layout.home}/{name}" for name in layout.beside)}:
        picture(tmp_path, name)
    images = card(layout.card, tmp_path, **({"split": layout.split} if layout.split else {}))
    assert images.why_missing() is None
    assert [images.load(i, RNG)["name"] for i in range(len(images))] == layout.names
    for i, (degraded, reference) in enumerate(pairs):
        sample = images.load(i, RNG)
        assert close(sample["input"], degraded)
        assert close(sample["target"], reference)


@pytest.mark.parametrize("split", ["train", "test"])
def test_did_mdn_holds_rain_on_the_left(tmp_path: Path, split: str) -> None:
    folders = {
        "train": [f"DID-MDN-training/Rain_{density}/train2018new" for density in ("Heavy", "Light", "Medium")],
        "test": ["DID-MDN-test"],
    }[split]
    for folder in folders:
        rain, clean = pixels(f"{folder} rain"), pixels(f"{folder} clean")
        write(tmp_path / "DID-MDN-datasets" / folder / "5.png", np.concatenate([rain, clean], 1))
    images = card("did_mdn", tmp_path, split=split)
    assert len(images) == len(folders)
    for i, folder in enumerate(folders):
        sample = images.load(i, RNG)
        assert sample["name"] == ("5" if split == "test" else folder.split("/")[1] + "/5")
        assert close(sample["input"], f"{folder} rain")
        assert close(sample["target"], f"{folder} clean")
        level = None if split == "test" else folder.split("/")[1].removeprefix("Rain_").lower()
        assert sample.get("rain_level") == level
    assert {pair.scene for pair in images.chosen} == {"5"}


def test_sand_holds_the_clean_image_on_the_left(tmp_path: Path) -> None:
    for split, folder in (
        ("train", "Extended dataset/train"),
        ("basic", "Basic dataset"),
        ("test", "Extended dataset/test"),
    ):
        write(tmp_path / "sand-dust data set" / folder / "1.png", np.concatenate([pixels("clean"), pixels(split)], 1))
    for split in ("train", "basic", "test"):
        sample = card("sand_pairs", tmp_path, split=split).load(0, RNG)
        assert close(sample["target"], "clean")
        assert close(sample["input"], split)


LISTS = {
    ("spa", "train"): ("SPA-Data/Training/real_world", "real_world.txt", "/Os/rain/1_2.png /gt/1.png", "Os/rain/1_2"),
    ("spa", "test"): (
        "SPA-Data/Testing",
        "real_test_1000.txt",
        "/real_test_1000/rain/000.png /real_test_1000/gt/000gt.png",
        "real_test_1000/rain/000",
    ),
    ("realblur_j", "train"): (
        "RealBlur",
        "RealBlur_J_train_list.txt",
        "J/scene002/gt/gt_1.png J/scene002/blur/blur_1.png ",
        "J/scene002/blur/blur_1",
    ),
    ("realblur_j", "test"): (
        "RealBlur",
        "RealBlur_J_test_list.txt",
        "J/scene001/gt/gt_1.png J/scene001/blur/blur_1.png",
        "J/scene001/blur/blur_1",
    ),
}


@pytest.mark.parametrize(("name", "split"), LISTS, ids=["-".join(key) for key in LISTS])
def test_lists_of_pairs_as_published(tmp_path: Path, name: str, split: str) -> None:
    home, file, line, key = LISTS[name, split]
    first, second = (f"{home}/{path.lstrip('/')}" for path in line.split())
    for path in (first, second):
        picture(tmp_path, path)
    (tmp_path / home / file).write_text(f"{line}\n")
    sample = (images := card(name, tmp_path, split=split)).load(0, RNG)
    degraded, reference = (first, second) if name == "spa" else (second, first)
    assert close(sample["input"], degraded)
    assert close(sample["target"], reference)
    assert (sample["name"], len(images)) == (key, 1)
    if name == "realblur_j":
        assert images.chosen[0].scene == f"scene00{2 if split == 'train' else 1}"


@pytest.mark.parametrize(
    ("name", "file", "key"),
    [
        ("rtts", "RESIDE/RTTS/JPEGImages/AM_Bing_211.png", "AM_Bing_211"),
        ("urhi", "RESIDE/URHI/BJ_Baidu_544.jpeg", "BJ_Baidu_544"),
        ("sand_real", "sand_real/Shi2019/011.png", "Shi2019/011"),
        ("sand_real", "sand_real/dusty/images/1.jpg", "dusty/1"),
        ("unpaired", "input/x.webp", "x"),
    ],
)
def test_images_without_references(tmp_path: Path, name: str, file: str, key: str) -> None:
    picture(tmp_path, file)
    sample = (images := card(name, tmp_path)).load(0, RNG)
    assert (len(images), sample["name"], "target" in sample) == (1, key, False)


@pytest.mark.parametrize(
    ("name", "split", "file"),
    [
        ("div2k", "train", "DIV2K/DIV2K_train_HR/0001.png"),
        ("div2k", "valid", "DIV2K/DIV2K_valid_HR/0801.png"),
        ("cbsd68", None, "CBSD68/101085.png"),
        ("set5", None, "Set5/baby.bmp"),
        ("urban100", None, "Urban100/image_SRF_4/img_003_SRF_4_HR.png"),
        ("clean", None, "clean/mine.tif"),
    ],
)
def test_clean_images(tmp_path: Path, name: str, split: str | None, file: str) -> None:
    picture(tmp_path, file)
    if name == "urban100":
        picture(tmp_path, file.replace("_HR", "_LR"))
    images = card(name, tmp_path, **({"split": split} if split else {}))
    sample = images.load(0)
    assert (len(images), set(sample)) == (1, {"target", "name"})
    assert close(sample["target"], file)


def test_the_references_of_sots_are_fifty_frames_by_number(tmp_path: Path) -> None:
    """Frames 1400 to 1449, however many digits a name has; 144 and 1,399, of which ITS is made, are none."""
    (tmp_path / "NYU_depth/images").mkdir(parents=True)
    for frame in range(1, 1450):
        (tmp_path / f"NYU_depth/images/{frame}.png").touch()
    sets = Recipe("haze_levels", tmp_path, test={"beta_1418": {"clean": {"first": 1, "last": 1399}}}).test
    assert [(len(images), images.expected) for images in sets.values()] == [(50, 50), (50, 50), (1399, 50)]
    references = sets["beta_0207"].clean
    assert [references.name_of(i) for i in range(50)] == [str(frame) for frame in range(1400, 1450)]
    (tmp_path / "few/NYU_depth/images").mkdir(parents=True)
    (tmp_path / "few/NYU_depth/images/144.png").touch()
    why = Recipe("haze_levels", tmp_path / "few").test["beta_0207"].why_missing()
    assert why.startswith("The set sots_indoor_references is not there")
    assert "export its frames 1400 to 1449" in why


def test_nyu_depth_is_cut_to_the_picture_and_relative(tmp_path: Path) -> None:
    frame = picture(tmp_path, "NYU_depth/images/272.png", 480, 640)
    depth = np.random.default_rng(1).uniform(0.7, 10, (480, 640)).astype(np.float32)
    (tmp_path / "NYU_depth/depth_maps").mkdir()
    np.save(tmp_path / "NYU_depth/depth_maps/272.npy", depth)
    sample = card("nyu_depth", tmp_path).load(0)
    np.testing.assert_array_equal(np.round(sample["target"] * 255), frame[10:-10, 10:-10])
    inner = depth[10:-10, 10:-10]
    np.testing.assert_allclose(sample["depth"], inner / inner.max())
    np.testing.assert_array_equal(card("nyu_depth", tmp_path, relative=False).load(0)["depth"], inner)
    assert sample["name"] == "272"


def test_the_middle_of_clear_images_is_taken_only_where_there_is_a_frame(tmp_path: Path) -> None:
    for name, size in (("1", (460, 620)), ("2", (480, 640))):
        picture(tmp_path, f"ITS/clear/{name}.png", *size)
    images = card("reside_its_clear", tmp_path)
    assert [images.load(i)["target"].shape for i in (0, 1)] == [(460, 620, 3)] * 2


@pytest.mark.parametrize("name", CARDS)
def test_every_card_says_what_it_is(name: str, tmp_path: Path) -> None:
    text = (shipped("conf") / "dataset" / f"{name}.yaml").read_text(encoding="utf-8")
    plain = plain_card(name)
    assert text.startswith("# ")
    assert plain["name"] == name
    if plain["_target_"].endswith(("Degraded", "RandomDegradations", "ExtraDegradation")):
        return
    assert plain["how_to_get"].endswith(".")
    for split in plain.get("splits") or [None]:
        images = card(name, tmp_path / "none", **({"split": split} if split else {}))
        assert "does not exist" in str(images.why_missing())
        assert (images.expected or 1) > 0
    assert ("licence" in plain) == ("url" in plain or name in ("set5", "set14"))


def test_every_recipe_names_sets_that_can_be_made() -> None:
    for file in (shipped("conf") / "data").glob("*.yaml"):
        for entry in yaml.safe_load(file.read_text(encoding="utf-8")).get("defaults", []):
            if isinstance(entry, dict):
                assert set(entry.values()) <= set(CARDS), file


REAL = {
    ("sots_indoor", "test"): (22, 12.08),
    ("sots_outdoor", "test"): (1, 16.13),
    ("reside_its", "train"): (2, 11.63),
    ("rain100h", "test"): (19, 12.03),
    ("rain100l", "test"): (2, 26.83),
    ("rain1400", "test"): (2, 22.39),
    ("gopro", "train"): (2, None),
    ("gopro", "test"): (1, None),
    ("rl_restore", "mild"): (3, 20.74),
    ("rl_restore", "moderate"): (3, 19.05),
    ("rl_restore", "severe"): (3, 19.55),
    ("sand_pairs", "basic"): (67, 10.41),
    ("sand_pairs", "test"): (17, 10.80),
}


@pytest.mark.parametrize(("name", "split"), REAL, ids=["-".join(key) for key in REAL])
def test_the_real_samples_have_the_psnr_of_their_table(real_data: Path, name: str, split: str) -> None:
    count, expected = REAL[name, split]
    plain = yaml.safe_load((shipped("conf") / "dataset" / f"{name}.yaml").read_text(encoding="utf-8"))
    images = card(name, real_data, **({"split": split} if plain.get("splits") else {}))
    assert len(images) == count
    samples = [images.load(i, RNG) for i in range(count)]
    errors = np.array([np.square(s["input"].astype(float) - s["target"]).mean() for s in samples])
    if expected is not None:
        assert (-10 * np.log10(errors)).mean() == pytest.approx(expected, abs=0.011)


def test_real_images_without_references_and_with_depth(real_data: Path) -> None:
    counts = {"sand_real": 50, "haze_real": 23, "rain_real": 7, "blur_real": 4, "cbsd68": 32, "set14": 9, "urban100": 2}
    assert {name: len(card(name, real_data)) for name in counts} == counts
    nyu = card("nyu_depth", real_data)
    sample = nyu.load(0)
    assert sample["target"].shape == (460, 620, 3)
    assert sample["depth"].shape == (460, 620)
    assert sample["depth"].max() == 1
    assert sample["target"][0].mean() < 0.9, "the white frame is gone"


def test_publisher_names_of_rain100l(real_data: Path) -> None:
    images = card(
        "rain100l",
        real_data,
        splits={},
        roots=["Rain100L_publisher_names/test"],
        input=".",
        target=".",
        pair=r"rain-(?P<number>\d+)",
    )
    assert [pair.key for pair in images.chosen] == ["rain-001"]
    np.testing.assert_array_equal(
        images.load(0, RNG)["target"], read_image(real_data / "Rain100L_publisher_names/test/norain-001.png")
    )
    assert isinstance(images, PairedFiles)
    assert instantiate.locate("limpid.data.datasets.PairedByName", "set") is type(images)
