"""Models in a Trainer of one's own, with plain DataLoaders: the values that come out, not merely that it runs."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from tests.models.plain import loader, pairs, trainer
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

import limpid
from limpid import checkpoint, lr_schedulers
from limpid.config import instantiate
from limpid.errors import UserError
from limpid.losses import L1, ImageLoss, Step, WeightedLoss
from limpid.losses.pix2pix import CrossEntropyAdversarial
from limpid.metrics import psnr
from limpid.models import Restorer
from limpid.models.build import model_words
from limpid.models.decaying_loss_weights import DecayingLossWeights
from limpid.models.fdr import FDR
from limpid.models.pix2pix import Pix2pix
from limpid.models.rfd import RichFeatureDistillation
from limpid.networks.patchgan import PatchGAN

SMALL = ("network.dim=16", "network.groups=1", "network.blocks=1", "memory_format=contiguous_format")


def l1_loss(**more: Any) -> WeightedLoss:
    return WeightedLoss({"l1": {"weight": 2.0, "term": L1()}, **more})


def small(*words: str) -> Restorer:
    torch.manual_seed(0)
    return limpid.model("rfd_student", *SMALL, *words)


def by_hand(**settings: Any) -> Restorer:
    torch.manual_seed(0)
    adam = functools.partial(torch.optim.Adam, lr=1e-3)
    return Restorer(nn.Conv2d(3, 3, 3, padding=1), loss=l1_loss(), optimizer=adam, metrics={"psnr": psnr}, **settings)


class Rates(Callback):
    """Notes the learning rate of each batch."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


# The learning rate ---------------------------------------------------------------------------------------------------


def cosine(step: int, steps: int, warmup: float, floor: float) -> float:
    warm = round(warmup * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


@pytest.mark.parametrize(
    ("settings", "steps", "each"),
    [
        ({"max_epochs": 4}, 12, 1),
        ({"max_epochs": 4, "accumulate_grad_batches": 2}, 8, 2),
        ({"max_epochs": 4, "limit_train_batches": 2}, 8, 1),
        ({"max_steps": 5, "max_epochs": -1}, 5, 1),
    ],
)
def test_the_learning_rate_follows_the_whole_training(
    settings: dict[str, Any], steps: int, each: int, tmp_path: Path
) -> None:
    model = small("lr_scheduler=cosine", "lr_scheduler.warmup=0.25", "lr_scheduler.floor=0.1", "optimizer.lr=0.02")
    rates = Rates()
    trainer(tmp_path, callbacks=[rates], **settings).fit(model, loader())
    wanted = [0.02 * cosine(step, steps, 0.25, 0.1) for step in range(steps)]
    if each == 2:  # of three batches an epoch, the first two make a step, and the last one by itself
        wanted = [
            rate for first, second in zip(wanted[::2], wanted[1::2], strict=True) for rate in (first, first, second)
        ]
    assert rates.seen == pytest.approx(wanted)


def test_a_training_of_unknown_length_is_refused_in_a_sentence(tmp_path: Path) -> None:
    class Endless(IterableDataset[Any]):
        def __iter__(self) -> Any:
            return iter(pairs())

    model = small("lr_scheduler=cosine")
    with pytest.raises(UserError, match="nothing says how long it is; give the Trainer max_steps"):
        trainer(tmp_path, max_epochs=2).fit(model, DataLoader(Endless(), batch_size=2))
    rates = Rates()
    trainer(tmp_path, max_steps=4, callbacks=[rates]).fit(small(), DataLoader(Endless(), batch_size=2))
    assert len(rates.seen) == 4


def gan(rate: float = 0.5) -> Pix2pix:
    torch.manual_seed(0)
    loss = l1_loss(adversarial={"weight": 1.0, "term": CrossEntropyAdversarial()})
    sgd = functools.partial(torch.optim.SGD, lr=rate)
    falling = functools.partial(lr_schedulers.constant_then_linear, constant=0.0)
    discriminator = PatchGAN(image_channels=6, channels=4, norm="none")
    network = nn.Conv2d(3, 3, 3, padding=1)
    return Pix2pix(network, loss=loss, optimizer=sgd, lr_scheduler=falling, discriminator=discriminator)


@pytest.mark.parametrize(("accumulate", "turns"), [(1, 6), (2, 4)])
def test_an_adversarial_model_divides_its_steps_by_what_it_accumulates(
    accumulate: int, turns: int, tmp_path: Path
) -> None:
    model, rates = gan(), Rates()
    own = trainer(tmp_path, max_epochs=2, accumulate_grad_batches=accumulate, callbacks=[rates], gradient_clip_val=0.1)
    own.fit(model, loader(6))
    assert own.global_step == 2 * turns, "each side's steps count"
    last = own.optimizers[0].param_groups[0]["lr"]
    assert last == pytest.approx(0.0, abs=1e-9)
    per_turn = [0.5 * (turns - turn) / turns for turn in range(turns)]
    wanted = (
        per_turn if accumulate == 1 else [per_turn[0], per_turn[0], per_turn[1], per_turn[2], per_turn[2], per_turn[3]]
    )
    assert rates.seen == pytest.approx(wanted)
    assert own.gradient_clip_val == 0.1, "the Trainer has its setting back"
    assert {"train/loss", "train/l1", "train/adversarial", "train/discriminator", "lr"} <= set(own.callback_metrics)


def test_max_steps_of_an_adversarial_model_count_both_sides(tmp_path: Path) -> None:
    model = gan()
    own = trainer(tmp_path, max_steps=6)
    own.fit(model, loader(6))
    assert own.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9), "three turns are six steps"


def test_weights_of_terms_decay_over_the_whole_training(tmp_path: Path) -> None:
    seen = []

    class Noting(DecayingLossWeights):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            assert self.loss is not None
            seen.append(self.loss.weights["l1"])
            return super().training_step(batch, batch_idx)

    sgd = functools.partial(torch.optim.SGD, lr=0.0)
    decay = {"l1": {"factor": 0.5, "of": 3}}
    model = Noting(nn.Conv2d(3, 3, 1), loss=l1_loss(), optimizer=sgd, decay=decay)
    trainer(tmp_path, max_epochs=2).fit(model, loader(6))
    assert seen == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]


# What is logged ------------------------------------------------------------------------------------------------------


def test_everything_is_logged_under_fixed_names_with_its_value(tmp_path: Path) -> None:
    model = small("optimizer.lr=0.02")
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    own = trainer(tmp_path, max_steps=1, logger=CSVLogger(tmp_path), log_every_n_steps=1, limit_val_batches=0)
    own.fit(model, loader())
    fresh = small()
    fresh.network.load_state_dict(before)
    degraded, clear = (images[:2] for images in pairs().tensors)
    loss = float((fresh.network(degraded) - clear).square().mean())
    values = {name: float(value) for name, value in own.callback_metrics.items()}
    assert values["train/loss"] == pytest.approx(loss, rel=1e-5)
    assert values["train/mse"] == pytest.approx(loss, rel=1e-5)
    assert values["lr"] == 0.02
    assert set(values) == {"train/loss", "train/mse", "lr"}
    header, line = next((tmp_path / "lightning_logs").rglob("metrics.csv")).read_text().splitlines()
    assert float(dict(zip(header.split(","), line.split(","), strict=True))["train/loss"]) == pytest.approx(loss)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_scores_are_means_of_the_images_whatever_the_batch(batch_size: int, tmp_path: Path) -> None:
    model = small()
    own = trainer(tmp_path)
    [found] = own.validate(model, loader(6, batch_size), verbose=False)
    degraded, clear = pairs().tensors
    with torch.no_grad():
        wanted = [float(psnr(model.restore(x[None]), y[None])) for x, y in zip(degraded, clear, strict=True)]
    assert found["val/psnr"] == pytest.approx(sum(wanted) / 6, abs=1e-5)
    [tested] = own.test(model, loader(6, batch_size), verbose=False)
    assert tested["test/psnr"] == pytest.approx(sum(wanted) / 6, abs=1e-5)
    assert [row["name"] for row in model.scores.rows] == [f"{i:06d}" for i in range(6)]
    several = own.test(model, [loader(6, batch_size), loader(2, 1)], verbose=False)[0]
    assert several["test/0/psnr"] == pytest.approx(sum(wanted) / 6, abs=1e-5)
    assert several["test/1/psnr"] == pytest.approx(sum(wanted[:2]) / 2, abs=10)
    named = own.test(model, {"mine": loader(6, batch_size)}, verbose=False)[0]
    assert named["test/mine/psnr"] == pytest.approx(sum(wanted) / 6, abs=1e-5)
    restored = own.predict(model, loader(6, batch_size))
    assert restored is not None
    assert torch.equal(torch.cat(restored)[:batch_size], model.restore(degraded[:batch_size]))


def test_dicts_and_lists_are_batches_too_and_others_are_refused(tmp_path: Path) -> None:
    model = by_hand()
    degraded, clear = pairs().tensors
    as_dicts = DataLoader([{"input": degraded[:2], "target": clear[:2]}], batch_size=None)  # type: ignore[arg-type]
    as_lists = DataLoader([[degraded[:2], clear[:2]]], batch_size=None)  # type: ignore[arg-type]
    own = trainer(tmp_path)
    one, other = (own.test(model, batches, verbose=False)[0]["test/psnr"] for batches in (as_dicts, as_lists))
    assert one == other
    for wrong in ({"image": degraded}, "text"):
        with pytest.raises(UserError, match="models of Limpid take a dict with input and target, or a tuple"):
            own.test(model, DataLoader([wrong], batch_size=None), verbose=False)  # type: ignore[arg-type]


def test_debugging_flags_and_the_sanity_check_are_left_alone(tmp_path: Path) -> None:
    sanity = []

    class Checks(Callback):
        def on_sanity_check_end(self, trainer: Any, pl_module: Any) -> None:
            sanity.append(len(pl_module.scores.rows))

    model = by_hand()
    own = trainer(
        tmp_path, max_epochs=2, limit_train_batches=2, limit_val_batches=1, limit_test_batches=1, callbacks=[Checks()]
    )
    own.fit(model, loader(), loader())
    assert sanity == [2]
    assert len(model.scores.rows) == 2
    own.test(model, loader(), verbose=False)
    assert len(model.scores.rows) == 2
    fast = trainer(tmp_path, fast_dev_run=True)
    fast.fit(model, loader(), loader())
    assert fast.global_step == 1


def test_early_stopping_and_checkpoints_go_by_psnr(tmp_path: Path) -> None:
    model = small("optimizer.lr=0.0")
    stopping = EarlyStopping(monitor="val/psnr", mode="max", patience=2)
    keeping = ModelCheckpoint(tmp_path / "kept", monitor="val/psnr", mode="max", filename="best")
    callbacks = [stopping, keeping, LearningRateMonitor("step")]
    own = trainer(tmp_path, max_epochs=50, callbacks=callbacks, enable_checkpointing=True, logger=CSVLogger(tmp_path))
    own.fit(model, loader(), loader())
    assert own.current_epoch == 3, "the first is the best for want of a learning rate, and two more are waited for"
    assert float(keeping.best_model_score or 0) == pytest.approx(float(own.callback_metrics["val/psnr"]))
    assert callbacks[2].lrs["lr-Adam"] == [0.0] * len(callbacks[2].lrs["lr-Adam"])


# Checkpoints ---------------------------------------------------------------------------------------------------------


def test_a_checkpoint_of_any_trainer_gives_the_model_back_to_the_bit(tmp_path: Path) -> None:
    model = small("optimizer.lr=0.01")
    keeping = ModelCheckpoint(tmp_path, filename="own")
    own = trainer(tmp_path, max_epochs=1, callbacks=[keeping], enable_checkpointing=True)
    own.fit(model, loader())
    path = tmp_path / "own.ckpt"
    saved = torch.load(path, weights_only=True)
    assert {"limpid", "network", "network_config", "provenance"} <= set(saved)
    assert saved["provenance"]["step"] == 3
    assert saved["hyper_parameters"]["overrides"][0] == "model=rfd_student"
    image = pairs().tensors[0]
    again = Restorer.load_from_checkpoint(path)
    assert torch.equal(again.restore(image), model.restore(image))
    assert torch.equal(limpid.load(path)(image).clamp(0, 1), model.restore(image))
    assert again.optimizer is not None
    trainer(tmp_path, max_epochs=2).fit(again, loader(), ckpt_path=path)
    with pytest.raises(UserError, match="holds a Restorer, not a Pix2pix"):
        Pix2pix.load_from_checkpoint(path)
    with pytest.raises(UserError, match="A model that is composed again takes no 'nonsense'"):
        Restorer.load_from_checkpoint(path, nonsense=3)


def test_a_checkpoint_keeps_the_words_of_its_model_alone() -> None:
    typed = ["+rfd/table5=ours", "budget=mini", "data.root=/mine", "model.teacher.ckpt='/a/b.ckpt'", "trainer=cpu"]
    of_the_model = ["optimizer.lr=0.1", "~loss.terms.affinity", "training.mini.lr=1", "network.dim=8"]
    assert model_words([*typed, *of_the_model]) == ["+rfd/table5=ours", "budget=mini", *of_the_model]


def test_a_model_of_ones_own_package_is_loaded_if_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own_models.py").write_text("from limpid.models import Restorer\n\n\nclass Own(Restorer):\n    pass\n")
    file = tmp_path / "conf" / "model" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "# @package _global_\ndefaults:\n  - restorer@model\n  - override /network: aod_net\n  - _self_\n"
        "model: {_target_: own_models.Own}\n"
    )
    with pytest.raises(UserError, match=r"add allow_targets=\[own_models\]"):
        limpid.model("own")
    model = limpid.model("own", allow_targets=["own_models"])
    own = trainer(tmp_path, max_epochs=1)
    own.fit(model, loader())
    own.save_checkpoint(tmp_path / "own.ckpt")
    with pytest.raises(UserError, match=r"add allow_targets=\[own_models\]"):
        type(model).load_from_checkpoint(tmp_path / "own.ckpt")
    again = type(model).load_from_checkpoint(tmp_path / "own.ckpt", allow_targets=["own_models"])
    image = pairs().tensors[0]
    assert torch.equal(again.restore(image), model.restore(image))


def test_a_model_made_by_hand_takes_its_parts(tmp_path: Path) -> None:
    model = by_hand()
    own = trainer(tmp_path, max_epochs=1)
    own.fit(model, loader())
    own.save_checkpoint(tmp_path / "hand.ckpt")
    again = Restorer.load_from_checkpoint(tmp_path / "hand.ckpt", network=nn.Conv2d(3, 3, 3, padding=1), loss=l1_loss())
    image = pairs().tensors[0]
    assert torch.equal(again.restore(image), model.restore(image))
    with pytest.raises(UserError, match="because it was made by hand; give its parts"):
        Restorer.load_from_checkpoint(tmp_path / "hand.ckpt")


def test_a_composed_model_takes_other_parts_whatever_its_class(tmp_path: Path) -> None:
    model = limpid.model("fdr", "budget=smoke", "network.phases=1", "network.pm_blocks=1", "network.aux_blocks=1")
    own = trainer(tmp_path, max_steps=1)
    own.fit(model, loader())
    own.save_checkpoint(tmp_path / "fdr.ckpt")
    network = limpid.build("fdr", **model.network_config)
    again = FDR.load_from_checkpoint(tmp_path / "fdr.ckpt", network=network, loss=l1_loss(), monitor_every=0)
    image = pairs().tensors[0]
    model.configure_network("contiguous_format")  # as the other one is, so that both round alike
    assert torch.equal(again.restore(image), model.restore(image))
    assert again.network_name == "fdr"
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "fdr.ckpt").read_bytes()[:1000])
    with pytest.raises(UserError, match=r"cut\.ckpt"):
        FDR.load_from_checkpoint(tmp_path / "cut.ckpt", network=network)


@pytest.mark.parametrize("weights_only", [True, None])
def test_a_file_with_python_objects_is_not_opened_for_given_parts(weights_only: bool | None, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "was_here",)

    torch.save({"state_dict": {}, "hyper_parameters": Hostile()}, tmp_path / "hostile.ckpt")
    with pytest.raises(UserError, match="holds Python objects"):
        Restorer.load_from_checkpoint(tmp_path / "hostile.ckpt", network=nn.Identity(), weights_only=weights_only)
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize(
    "word",
    [
        "allow_targets=[os]",
        "allow_nonfree=true",
        "+model._target_=os.system",
        "model.teacher={_target_: evil.Run}",
        "optimizer.lr=${oc.env:HOME}",
        "hydra.searchpath=[file:///tmp]",
        "hydra/launcher=joblib",
        "model.start.ckpt=/etc/passwd",
        "loss.terms.x.weights=../weights.pth",
        "--config-dir=/tmp",
    ],
)
def test_a_checkpoint_may_not_run_code(word: str, tmp_path: Path) -> None:
    model = small()
    own = trainer(tmp_path, max_epochs=1)
    own.fit(model, loader(2))
    own.save_checkpoint(tmp_path / "evil.ckpt")
    saved = torch.load(tmp_path / "evil.ckpt", weights_only=True)
    saved["hyper_parameters"]["overrides"].append(word)
    checkpoint.save(saved, tmp_path / "evil.ckpt")
    with pytest.raises(UserError, match="which a checkpoint may not"):
        Restorer.load_from_checkpoint(tmp_path / "evil.ckpt")


# Distillation, and losses of others ----------------------------------------------------------------------------------


def test_a_distilled_student_trains_on_a_plain_loader(tmp_path: Path) -> None:
    words = ("+rfd/table5=ours", "budget=smoke", *SMALL)
    model = limpid.model(*words)
    assert isinstance(model, RichFeatureDistillation)
    own = trainer(tmp_path, max_epochs=1, limit_train_batches=1)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    own.fit(model, loader())
    values = {name: float(value) for name, value in own.callback_metrics.items()}
    total = values["train/mse"] + 0.25 * values["train/affinity"]
    assert values["train/loss"] == pytest.approx(total, rel=1e-5)
    assert any(not torch.equal(before[name], value) for name, value in model.network.state_dict().items())
    own.save_checkpoint(tmp_path / "student.ckpt")
    again = RichFeatureDistillation.load_from_checkpoint(tmp_path / "student.ckpt")
    image = pairs().tensors[0]
    assert torch.equal(again.restore(image), model.restore(image))


@pytest.mark.parametrize(
    ("function", "higher_is_better", "value"),
    [
        ({"_target_": "torch.nn.L1Loss"}, False, lambda x, y: (x - y).abs().mean()),
        (
            {"_target_": "torch.nn.HuberLoss", "delta": 0.1},
            False,
            lambda x, y: nn.functional.huber_loss(x, y, delta=0.1),
        ),
        ({"_target_": "kornia.losses.CharbonnierLoss"}, False, lambda x, y: ((x - y).square() + 1).sqrt().mean() - 1),
        ({"_target_": "torchmetrics.MeanSquaredError"}, True, lambda x, y: 1 - (x - y).square().mean()),
    ],
)
def test_a_loss_of_two_images_is_a_term_by_one_adapter(function: Any, higher_is_better: bool, value: Any) -> None:
    config = {"_target_": "limpid.losses.ImageLoss", "function": function, "higher_is_better": higher_is_better}
    instantiate.check(config, "term")
    term: ImageLoss = instantiate.construct(config, "term")
    for seed in (0, 1):  # a metric does not remember the batch before
        torch.manual_seed(seed)
        x, y = torch.rand(2, 3, 16, 16, requires_grad=True), torch.rand(2, 3, 16, 16)
        found = term(Step(x, y, x))
        if "Charbonnier" not in str(function):
            torch.testing.assert_close(found, value(x, y))
        else:
            torch.testing.assert_close(found.mean(), value(x, y))
        found.mean().backward()
        assert x.grad is not None
        assert x.grad.any()


def test_a_bare_loss_of_two_images_is_refused_with_the_way_to_put_it() -> None:
    with pytest.raises(UserError, match="The term x of the loss is a L1Loss, .*limpid.losses.ImageLoss"):
        WeightedLoss({"x": {"weight": 1.0, "term": nn.L1Loss()}})


def test_a_term_that_needs_more_than_the_model_has_is_refused() -> None:
    loss = WeightedLoss({"gan": {"weight": 1.0, "term": CrossEntropyAdversarial()}})
    with pytest.raises(UserError, match=r"The term gan of the loss requires scores, which Restorer does not provide"):
        Restorer(nn.Identity(), loss=loss)


@pytest.mark.parametrize("distributed_sampler", [True, False])
def test_a_data_module_of_limpid_is_a_plain_one(distributed_sampler: bool, tmp_path: Path) -> None:
    from limpid.data import Recipe

    clean = {"clean": {"count": 3, "height": 32, "width": 40}}
    data = Recipe(
        "scenes",
        batch_size=2,
        crop=16,
        workers=0,
        train={**clean, "clean": {**clean["clean"], "count": 5}},
        val=clean,
        test={"scenes": clean},
    )
    model = small()
    own = trainer(tmp_path, max_epochs=2, use_distributed_sampler=distributed_sampler)
    own.fit(model, datamodule=data)
    assert own.global_step == 2 * 3
    [found] = own.test(model, datamodule=data, verbose=False)
    assert found["test/scenes/psnr"] == pytest.approx(model.scores.summary()["scenes"]["psnr"]["mean"])
    assert len(model.scores.rows) == 3
    [other] = own.test(model, loader(2, 1), verbose=False)
    assert set(other) == {"test/psnr", "test/ssim"}, "loaders do not take the names of a training's data module"


def test_the_seed_of_a_trainer_is_the_users(tmp_path: Path) -> None:
    def train() -> torch.Tensor:
        lightning.seed_everything(7, verbose=False)
        model = by_hand()
        trainer(tmp_path, max_epochs=2).fit(model, loader(shuffle=True))
        return next(model.network.parameters()).detach().clone()

    assert torch.equal(train(), train())


# Composing -----------------------------------------------------------------------------------------------------------


def test_models_are_composed_any_number_of_times_and_beside_another_hydra() -> None:
    from hydra import compose, initialize
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    first = small()
    assert not GlobalHydra.instance().is_initialized()
    with initialize(config_path=None, version_base="1.2"):
        before = GlobalHydra.instance().hydra
        second = small()
        assert GlobalHydra.instance().hydra is before
        assert compose(overrides=["+x=1"]).x == 1
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(UserError, match="There is no model=rfd_studnt; did you mean 'rfd_student'"):
        limpid.model("rfd_studnt")
    with pytest.raises(UserError, match="optimizer.lrr is not an argument of torch.optim.Adam"):
        limpid.model("rfd_student", "+optimizer.lrr=1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("l1", lambda x, y: (x - y).abs().mean()),
        ("mse", lambda x, y: (x - y).square().mean()),
        ("charbonnier", lambda x, y: ((x - y).square() + 1e-6).sqrt().mean()),
        ("ssim", None),
        ("perceptual", None),
    ],
)
def test_the_usual_losses_are_there(name: str, value: Any) -> None:
    loss = small(f"loss={name}", "training.paper.vgg19_weights=random").loss
    assert loss is not None
    x, y = (torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    total, terms = loss(Step(x, y, x))
    if value is not None:
        torch.testing.assert_close(total, value(x, y))
    assert name in terms
    same, _ = loss(Step(y, y, y))
    assert float(same) < 0.01 < float(total)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_the_usual_optimizers_are_there(name: str, kind: str) -> None:
    model = small(f"optimizer={name}", "optimizer.lr=0.25")
    optimizer = model.make_optimizer(model.parameters())
    assert (type(optimizer).__name__, optimizer.param_groups[0]["lr"]) == (kind, 0.25)
