"""Decoded images on disk: the same samples with and without, within the bound, and never an old one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.data.publishers import card, pixels, write

from limpid.data.cache import Cached, Store, as_stored, cached
from limpid.data.cropping import in_unit_range
from limpid.data.datamodules import Recipe
from limpid.data.datasets import Clean, PairedByName, SideBySidePairs
from limpid.data.datasets.splits import Subset
from limpid.errors import UserError


def pairs(root: Path, count: int = 4) -> Any:
    for number in range(count):
        for kind in ("input", "target"):
            write(root / f"{kind}/{number}.png", pixels(f"{number}{kind}", 40, 48))
    return card("folder", root)


def batches(root: Path, **settings: Any) -> list[torch.Tensor]:
    data = Recipe("gopro", root, batch_size=2, crop=24, train={"held_out": 0, "part": "all"}, **settings)
    data.plan(4, None)
    return [torch.cat([batch["input"], batch["target"]]) for batch in data.train_dataloader()]


@pytest.mark.parametrize("workers", [0, 2])
def test_training_sees_the_same_bits_with_a_cache(tmp_path: Path, workers: int) -> None:
    for frame in range(3):
        for kind in ("blur", "sharp"):
            write(tmp_path / f"GOPRO/train/a/{kind}/{frame}.png", pixels(f"{frame}{kind}", 40, 48))
    plain = batches(tmp_path, workers=0)
    for turn in range(2):
        kept = batches(tmp_path, workers=workers, cache=str(tmp_path / "cache"))
        for one, other in zip(plain, kept, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0, msg=f"turn {turn}")
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 6


def test_a_second_look_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = pairs(tmp_path)
    kept = cached(images, tmp_path / "cache", 1)
    assert isinstance(kept, Cached)
    first = kept.load(1, np.random.default_rng(0))
    plain = images.load(1, np.random.default_rng(0))
    monkeypatch.setattr(PairedByName, "read", lambda *_: pytest.fail("decoded again"))
    again = cached(images, tmp_path / "cache", 1).load(1, np.random.default_rng(0))
    for sample in (first, again):
        assert sample["input"].dtype == np.uint8
        assert sample["name"] == plain["name"]
        for role in ("input", "target"):
            np.testing.assert_array_equal(in_unit_range(sample)[role], plain[role])
    assert isinstance(again["input"], np.memmap)
    assert not again["input"].flags.writeable


def test_what_changed_is_decoded_anew(tmp_path: Path) -> None:
    images = pairs(tmp_path)
    kept = cached(images, tmp_path / "cache", 1)
    before = kept.load(0, np.random.default_rng(0))["input"].copy()
    file = tmp_path / "input/0.png"
    write(file, pixels("another", 40, 48))
    os.utime(file, ns=(1, 1))
    after = kept.load(0, np.random.default_rng(0))["input"]
    np.testing.assert_array_equal(after, pixels("another", 40, 48))
    assert not np.array_equal(before, after)


def test_settings_that_change_pixels_have_arrays_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "sand_synth_pairs/Basic dataset/1.png", pixels("both", 16, 40))
    loaded = []
    for order in (["input", "target"], ["target", "input"]):
        images = card("sand_pairs", tmp_path, split="basic", halves=order)
        assert isinstance(images, SideBySidePairs)
        loaded.append(cached(images, tmp_path / "cache", 1).load(0, np.random.default_rng(0)))
    np.testing.assert_array_equal(loaded[0]["input"], loaded[1]["target"])
    assert not np.array_equal(loaded[0]["input"], loaded[1]["input"])


def test_the_bound_holds_and_what_does_not_fit_is_decoded_every_time(tmp_path: Path) -> None:
    images = pairs(tmp_path)
    size = 2 * (40 * 48 * 3 + 128)
    kept = cached(images, tmp_path / "cache", 2.5 * size / 1e9)
    for _ in range(2):
        for index in range(4):
            sample = in_unit_range(kept.load(index, np.random.default_rng(0)))
            np.testing.assert_array_equal(sample["input"], images.load(index, np.random.default_rng(0))["input"])
    files = list((tmp_path / "cache").glob("*.npy"))
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) == 2 * size == Store(tmp_path / "cache", 1).used
    with pytest.raises(UserError, match=r"data.cache_gb is 0"):
        Store(tmp_path / "cache", 0)


def test_a_full_disk_only_means_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = cached(pairs(tmp_path), tmp_path / "cache", 1)

    def full(stream: Any, array: Any, **options: Any) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert kept.load(0, np.random.default_rng(0))["input"].shape == (40, 48, 3)
    assert [file.name for file in (tmp_path / "cache").iterdir() if file.suffix != ".lock"] in ([], [".lock"])


def test_clean_images_and_depth_are_kept_below_what_degrades_them(tmp_path: Path) -> None:
    write(tmp_path / "NYU/images/1.png", pixels("room", 40, 48))
    (tmp_path / "NYU/depth_maps").mkdir()
    np.save(tmp_path / "NYU/depth_maps/1.npy", np.linspace(1, 7, 40 * 48, dtype=np.float32).reshape(40, 48))
    plain, kept = (card_of("nyu_haze", tmp_path) for _ in range(2))
    assert cached(kept, tmp_path / "cache", 1) is kept
    assert isinstance(kept.clean, Cached)
    for _ in range(2):
        one, other = (images.load(0, np.random.default_rng(5)) for images in (plain, kept))
        for key in ("input", "target", "depth"):
            np.testing.assert_array_equal(one[key], other[key])


def test_a_depth_that_changed_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path / "NYU/images/1.png", pixels("room", 40, 48))
    (tmp_path / "NYU/depth_maps").mkdir()
    loaded = []
    for nearest in (1, 3):
        depth = np.linspace(nearest, 7, 40 * 48, dtype=np.float32).reshape(40, 48)
        np.save(tmp_path / "NYU/depth_maps/1.npy", depth)
        os.utime(tmp_path / "NYU/depth_maps/1.npy", ns=(nearest, nearest))
        images = card_of("nyu_haze", tmp_path)
        loaded.append(cached(images, tmp_path / "cache", 1).load(0, np.random.default_rng(5))["depth"].min())
    np.testing.assert_allclose(loaded, [1 / 7, 3 / 7], rtol=1e-6)


def test_parts_of_clean_images_have_a_cache_too(tmp_path: Path) -> None:
    for number in range(8):
        write(tmp_path / f"c/{number}.png", pixels(f"{number}", 24, 24))
    part = Subset(Clean(name="c", domain="clean", root=tmp_path, roots=["c"]), "train", validate=2, test=2)
    kept = cached(part, tmp_path / "cache", 1)
    assert isinstance(kept, Cached)
    for _ in range(2):
        for index in range(len(part)):
            one, other = part.load(index), in_unit_range(kept.load(index))
            assert one["name"] == other["name"]
            np.testing.assert_array_equal(one["target"], other["target"])
    assert len(list((tmp_path / "cache").glob("*.npy"))) == len(part) == 4


def test_draws_at_several_scales_are_the_same_with_a_cache(tmp_path: Path) -> None:
    write(tmp_path / "DIV2K/DIV2K_train_HR/0001.png", pixels("large", 264, 276))
    plain, kept = (card_of("div2k_hybrid", tmp_path) for _ in range(2))
    cached(kept, tmp_path / "cache", 1)
    for turn in (0, 1):
        for seed in range(8):
            one, other = (images.load(seed, np.random.default_rng(seed)) for images in (plain, kept))
            for key in ("input", "target"):
                np.testing.assert_array_equal(one[key], other[key], err_msg=f"turn {turn}, seed {seed}")
    sizes = {np.load(file).shape for file in (tmp_path / "cache").glob("*.npy")}
    assert (132, 138, 3) in sizes
    assert sizes <= {(132, 138, 3), (88, 92, 3), (66, 69, 3)}


def card_of(name: str, root: Path) -> Any:
    from limpid.config import instantiate
    from limpid.config.recipes import card as composed

    return instantiate.construct(composed(name, root), name)


def test_mixtures_draws_and_pairs_degraded_further_have_caches_below(tmp_path: Path) -> None:
    store = tmp_path / "cache"
    assert isinstance(Recipe("div2k_hybrid", tmp_path, cache=str(store)).train.scaled, Cached)  # type: ignore[union-attr]
    assert isinstance(Recipe("did_hy", tmp_path, cache=str(store)).train.pairs, Cached)  # type: ignore[union-attr]
    mixture = Recipe("uni_removal_synthetic", tmp_path, cache=str(store)).train
    assert all(isinstance(images, Cached) for images in mixture.sets.values())  # type: ignore[union-attr]
    unpaired = Recipe("uni_removal_real", tmp_path, cache=str(store)).train
    assert all(isinstance(images, Cached) for images in unpaired.clear.sets.values())  # type: ignore[union-attr]
    scenes = Recipe("scenes", tmp_path, cache=str(store)).train
    assert not isinstance(scenes.clean, Cached)  # type: ignore[union-attr]
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be made"):
        Store(tmp_path / "file/cache", 1)


def test_images_keep_the_bits_of_their_files() -> None:
    rng = np.random.default_rng(0)
    for highest, kind in ((255, np.uint8), (65535, np.uint16)):
        levels = rng.integers(0, highest + 1, (9, 9, 3)).astype(kind)
        stored = as_stored(levels.astype(np.float32) / np.float32(highest))
        assert stored.dtype == kind
        np.testing.assert_array_equal(stored, levels)
    depth = rng.random((9, 9), np.float32) * 10
    assert as_stored(depth) is depth
