"""Recipes without Hydra, the DataModules made of them, mixtures, and what stands below them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from tests.data.publishers import pixels, write

import limpid.data
from limpid.config import instantiate, recipes
from limpid.config.compose import compose
from limpid.data.balanced_sampler import BalancedSampler
from limpid.data.datamodule import RestorationData
from limpid.data.datamodules import Recipe
from limpid.errors import CannotRun, UserError
from limpid.results.rows import rows

RECIPES = [name for name in recipes.names("data") if name != "recipe"]
MADE = [name for name in RECIPES if name.startswith("scenes")]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_what_the_command_composes(name: str) -> None:
    config = compose([f"data={name}", "training=default", "data.root=/somewhere"]).config
    assert recipes.recipe(name, "/somewhere") == config["data"]


def test_a_card_is_what_a_recipe_of_it_holds() -> None:
    names = recipes.names("dataset")
    for start in range(0, len(names), 8):  # eight at once, as composing takes long
        some = names[start : start + 8]
        words = [f"+dataset@data.card_{number}={name}" for number, name in enumerate(some)]
        data = compose([*words, "data.root=/somewhere"]).config["data"]
        for number, name in enumerate(some):
            assert recipes.card(name, "/somewhere") == data[f"card_{number}"], name


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_made_and_validates_on_what_is_held_out(name: str) -> None:
    data = Recipe(name, "/nowhere")
    assert data.monitored in ("held out", "nothing")
    assert not any(data.val is images for images in data.test.values())
    printed = {test_set for row in rows() for test_set in row.printed}
    if name in ("div2k_hybrid", "did_hy", "sand", "gopro", "did_mdn", "uni_removal_synthetic", "uni_removal_real"):
        assert set(data.test) <= printed


@pytest.mark.parametrize("name", MADE)
def test_made_recipes_need_no_files(name: str) -> None:
    data = Recipe(name, "/nowhere", batch_size=3, crop=32, workers=0)
    assert data.require(training=True) == []
    data.plan(1, None)
    batch = next(iter(data.train_dataloader()))
    assert batch["input"].shape == (3, 3, 32, 32)
    assert 0 <= float(batch["input"].min()) < float(batch["input"].max()) <= 1
    other = batch.get("target", batch.get("clear"))
    assert other.shape == (3, 3, 32, 32)
    assert not torch.equal(other, batch["input"])
    if name in ("scenes_mixture", "scenes_unpaired"):
        assert batch["domain"] == ["haze", "rain", "blur"]
        assert ("target" in batch) == (name == "scenes_mixture")
    if data.val is not None:
        assert next(iter(data.val_dataloader()))["input"].ndim == 4  # type: ignore[union-attr]


def test_the_three_levels_are_trained_on_one() -> None:
    data = Recipe("scenes_hybrid", crop=32)
    severity = {
        n: {images.load(i, np.random.default_rng(i))["severity"] for i in range(8)} for n, images in data.test.items()
    }
    assert max(severity["scenes_mild"]) < min(severity["scenes_moderate"])
    assert max(severity["scenes_moderate"]) < min(severity["scenes_severe"])
    assert data.train is not None
    assert {12 <= data.train.load(i, np.random.default_rng(i))["severity"] <= 17 for i in range(8)} == {True}


def test_modules_are_at_hand_without_hydra_and_say_what_is_wrong() -> None:
    for name in limpid.data.__all__:
        assert issubclass(getattr(limpid.data, name), RestorationData)
    with pytest.raises(AttributeError):
        _ = limpid.data.Nothing
    with pytest.raises(UserError, match=r"has no setting 'batchsize'; did you mean 'batch_size'"):
        limpid.data.GoPro(batchsize=3)
    with pytest.raises(UserError, match=r"There is no data 'gopr'; did you mean 'gopro'"):
        Recipe("gopr")
    with pytest.raises(CannotRun, match="GOPRO_Large"):
        limpid.data.GoPro("/nowhere").setup("fit")
    outdoor = limpid.data.RESIDE("/nowhere", outdoor=True)
    assert (outdoor.recipe, outdoor.train.name) == ("reside_ots", "reside_ots")  # type: ignore[union-attr]


def tiny_gopro(root: Path) -> None:
    for split, video, frames in (("train", "a", 3), ("train", "b", 2), ("train", "c", 2), ("test", "d", 2)):
        for frame in range(frames):
            for kind in ("blur", "sharp"):
                write(root / f"GOPRO_Large/{split}/{video}/{kind}/{frame}.png", pixels(f"{video}{frame}{kind}", 40, 48))


class Counting(LightningModule):
    """Notes which images a trainer sees."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: list[tuple[int, int]] = []

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        self.seen += list(zip(batch["epoch"].tolist(), batch["index"].tolist(), strict=True))
        return self.layer(batch["input"].mean().view(1)).sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


def test_a_trainer_of_ones_own_sees_every_image_once_an_epoch(tmp_path: Path) -> None:
    tiny_gopro(tmp_path)
    data = limpid.data.GoPro(tmp_path, batch_size=2, crop=16, workers=0, train={"held_out": 1})
    system = Counting()
    trainer = Trainer(
        max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False, default_root_dir=tmp_path,
        limit_val_batches=0, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(system, datamodule=data)
    n = len(data.train)  # type: ignore[arg-type]
    steps = -(-n // 2)
    assert len(system.seen) == 3 * steps * 2
    assert Counter(system.seen[: 3 * n]) == Counter((epoch, i) for epoch in range(3) for i in range(n))
    assert [batch["name"] for batch in data.test_dataloader()[0]] == [["d/0"], ["d/1"]]


def test_monitoring_on_the_test_set_must_be_asked_for_and_is_stamped(tmp_path: Path) -> None:
    tiny_gopro(tmp_path)
    fair, unfair = (limpid.data.GoPro(tmp_path, monitor_on_test=asked) for asked in (False, True))
    for data in (fair, unfair):
        data.require(training=True)
    assert (fair.monitored, unfair.monitored) == ("held out", "test")
    assert unfair.val is unfair.test["gopro"]


@pytest.mark.parametrize(("batch_size", "world"), [(6, 1), (6, 2), (4, 1), (4, 2), (2, 1)])
def test_a_mixture_is_balanced_whatever_the_sizes(batch_size: int, world: int) -> None:
    sizes, steps = [5, 2, 9], 30
    whole = BalancedSampler(sizes, batch_size, steps, seed=3)
    kinds = [0] * 5 + [1] * 2 + [2] * 9
    for step in range(steps):
        ranks = [BalancedSampler(sizes, batch_size, steps, seed=3, rank=rank, world=world) for rank in range(world)]
        assert [pair for sampler in ranks for pair in sampler.batch(step)] == whole.batch(step)
        shares = Counter(kinds[index] for _, index in whole.batch(step))
        assert max(shares[k] for k in range(3)) - min(shares[k] for k in range(3)) <= (batch_size % 3 > 0)
    pairs = [pair for batch in whole for pair in batch]
    assert len(set(pairs)) == len(pairs), "no image twice in an epoch of its set"
    for kind, size in enumerate(sizes):
        own = [pair for pair in pairs if kinds[pair[1]] == kind]
        assert len(own) == len(pairs) // 3
        for epoch in range(len(own) // size):
            chunk = own[epoch * size : (epoch + 1) * size]
            assert {e for e, _ in chunk} == {epoch}
            assert len({i for _, i in chunk}) == size
    assert list(BalancedSampler(sizes, batch_size, steps, start=11, seed=3)) == list(whole)[11:]
    with pytest.raises(UserError, match="Set number 2 of the mixture is empty"):
        BalancedSampler([3, 0], 2, 1)


def test_an_epoch_of_a_mixture_is_a_number_of_steps() -> None:
    data = Recipe("scenes_mixture", batch_size=4, crop=32, epoch_steps=50)
    assert data.plan(None, 3) == 150
    assert data.plan(7, 3) == 7


def test_a_mixture_counts_through_its_sets_and_can_be_thinned_out() -> None:
    class Ten:
        name, domain, expected = "ten", "x", 10

        def __len__(self) -> int:
            return 10

        def load(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
            return {"input": np.full((2, 2, 3), index, np.float32), "name": str(index), "beta": 1.0}

        def why_missing(self) -> None:
            return None

    card = {"_target_": "limpid.data.datasets.mixed.Mixture", "name": "m", "each": None}
    whole = instantiate.construct(card, "m", sets={"a": Ten(), "b": Ten()})
    rng = np.random.default_rng(0)
    assert [whole.load(i, rng)["name"] for i in (0, 9, 10, 19)] == ["0", "9", "0", "9"]
    assert (len(whole), whole.expected, whole.load(12, rng)["domain"]) == (20, 20, "b")
    assert set(whole.load(0, rng)) == {"input", "name", "domain"}
    thin = instantiate.construct(card | {"each": 4}, "m", sets={"a": Ten(), "b": Ten()})
    assert [thin.load(i, rng)["name"] for i in range(4)] == ["0", "2", "5", "7"]
    assert (len(thin), thin.expected) == (8, None)
    drawn = Counter(whole.load(whole.drawn(rng), rng)["domain"] for _ in range(400))
    assert 150 < drawn["a"] < 250
    with pytest.raises(UserError, match="holds no set"):
        instantiate.construct(card, "m", sets={})


def test_clean_parts_share_nothing_and_draws_take_turns(tmp_path: Path) -> None:
    for number in range(1, 13):
        write(tmp_path / f"DIV2K/DIV2K_train_HR/{number:04}.png", pixels(f"{number}", 70, 80))
    card = recipes.card("div2k_hybrid", tmp_path)
    card["clean"] |= {"first": "0003", "last": "0006"}
    patches = instantiate.construct(card | {"count": 9}, "x")
    assert [file.stem for file in patches.clean.files] == ["0003", "0004", "0005", "0006"]
    card["scales"] = [1.0]
    patches = instantiate.construct(card | {"count": 9}, "x")
    samples = [patches.load(i, np.random.default_rng(i)) for i in range(9)]
    assert [s["name"] for s in samples] == [f"{3 + i % 4:04}_{i // 4}" for i in range(9)]
    assert {s["input"].shape for s in samples} == {(63, 63, 3)}
    assert (len(patches), patches.expected) == (9, 9)
    halves = {}
    for part in ("train", "val"):
        halves[part] = {f.stem for f in instantiate.construct(card["clean"] | {"part": part, "held_out": 2}, "x").files}
    assert (len(halves["train"]), len(halves["val"]), halves["train"] & halves["val"]) == (2, 2, set())
    with pytest.raises(UserError, match="must be all, train or val"):
        instantiate.construct(card["clean"] | {"part": "trian"}, "x")


def test_did_hy_degrades_the_rain_further(tmp_path: Path) -> None:
    rainy, clean = pixels("rain", 64, 64), pixels("clean", 64, 64)
    write(tmp_path / "DID-MDN/DID-MDN-test/1.png", np.concatenate([rainy, clean], 1))
    images = instantiate.construct(recipes.card("did_hy", tmp_path), "did_hy")
    sample = images.load(0, np.random.default_rng(0))
    np.testing.assert_array_equal(sample["target"], clean / np.float32(255))
    assert 12 <= sample["severity"] <= 17
    assert np.abs(sample["input"] - rainy / 255).mean() > 0.01
    assert (len(images), images.expected) == (1, 1200)
