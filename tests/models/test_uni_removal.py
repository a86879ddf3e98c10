"""Uni-Removal: teachers that nothing changes, each for its own images; adaptation that goes on where it was."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from tests.models.interruption import interrupted, parts
from tests.specs import spec_of, terms
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

import limpid
from limpid import checkpoint
from limpid.errors import CannotRun, UserError
from limpid.losses import WeightedLoss
from limpid.losses.contrastive import FeatureContrast, ImageContrast, contrastive_loss
from limpid.losses.distillation import TeacherL1
from limpid.metrics import psnr
from limpid.models.adversarial import clear_images
from limpid.models.start import load_start
from limpid.models.teachers import load_teachers
from limpid.models.uni_removal import KnowledgeTransfer, TeacherEnsemble
from limpid.models.uni_removal_adaptation import REMEDY, DomainAdaptation
from limpid.networks.mprnet import MPRNet
from limpid.networks.patchgan import PatchGAN
from limpid.runs.runner import perform

NARROW = {"channels": 8, "level_step": 4, "orsnet_step": 4, "orsnet_blocks": 1}
KINDS = ("haze", "rain", "blur")
TEACHERS = {kind: {"network": "mprnet", "ckpt": None, "seed": i} for i, kind in enumerate(KINDS)}
TAP = "stage2.decoder.level3"
#: In a run: teachers and a start without checkpoints.
RANDOM = tuple(f"model.teachers.{kind}.ckpt=null" for kind in KINDS)
START = "model.start.ckpt=null"


def batch_of(*kinds: str, side: int = 16) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(len(kinds), 3, side, side, generator=generator)
    return {"input": images, "domain": list(kinds), "name": [str(i) for i in range(len(kinds))]}


def transfer(**terms: tuple[float, Any]) -> KnowledgeTransfer:
    """A narrow student with its three teachers, in training mode, in float32."""
    torch.manual_seed(9)
    terms = terms or {"teacher_l1": (1.0, TeacherL1())}
    loss = WeightedLoss({name: {"weight": weight, "term": term} for name, (weight, term) in terms.items()})
    decay = {"feature_contrast": {"factor": 0.99, "of": 400}}
    made = KnowledgeTransfer(MPRNet(**NARROW), "mprnet", NARROW, loss, teachers=TEACHERS, weights="random", decay=decay)
    made.setup("fit")
    return made.train()


def weights_of(folder: Path) -> dict[str, Tensor]:
    return checkpoint.weights(checkpoint.read(folder / "checkpoints" / "last.ckpt"))


# Knowledge transfer -------------------------------------------------------------------------------------------------


def test_every_teacher_restores_its_own_images_in_the_batchs_order() -> None:
    made = transfer(feature_contrast=(0.05, FeatureContrast([TAP])))
    batch = batch_of("rain", "haze", "blur", "haze", "rain")
    taught = made.teacher_forward(batch)
    for i, kind in enumerate(batch["domain"]):
        with torch.no_grad():
            alone = made.teachers[kind](batch["input"][i : i + 1], features=[TAP])
        torch.testing.assert_close(taught.restored[i : i + 1], alone.restored, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(taught.features[TAP][i : i + 1], alone.features[TAP], rtol=1e-4, atol=1e-5)
        for own, other in zip(taught.stages, alone.stages, strict=True):
            torch.testing.assert_close(own[i : i + 1], other, rtol=1e-5, atol=1e-5)
    assert torch.equal(taught.stages[-1], taught.restored)


def test_a_teacher_sees_no_image_of_another_type() -> None:
    made = transfer()
    seen: dict[str, int] = {}
    for kind, teacher in made.teachers.items():
        teacher.register_forward_pre_hook(lambda module, args, kind=kind: seen.update({kind: len(args[0])}))
    for kind in KINDS:
        made.teachers[kind].module.register_forward_pre_hook(
            lambda module, args, kind=kind: seen.update({kind: len(args[0])})
        )
    made.teacher_forward(batch_of("rain", "rain", "haze"))
    assert seen == {"rain": 2, "haze": 1}
    with pytest.raises(
        UserError, match=r"no teacher for images of the type 'sand'; there are teachers for haze, rain,"
    ):
        made.teacher_forward(batch_of("sand"))


def test_a_student_equal_to_its_teacher_has_no_pixel_loss() -> None:
    made = transfer()
    made.network.load_state_dict(made.teachers["rain"].module.state_dict())
    batch = batch_of("rain", "rain")
    assert made.training_step(batch, 0)["loss"].item() == 0
    other = made.training_step(batch_of("haze", "haze"), 0)["loss"]
    expected = F.l1_loss(made.network(batch["input"]).restored, made.teachers["haze"](batch["input"]).restored)
    torch.testing.assert_close(other, expected)
    assert other > 0


def test_the_loss_is_that_of_equations_1_to_6() -> None:
    image = ImageContrast("teacher", weights="random", layers=["relu1_1", "relu2_1"])
    made = transfer(
        teacher_l1=(1.0, TeacherL1()), image_contrast=(0.1, image), feature_contrast=(0.05, FeatureContrast([TAP]))
    )
    batch = batch_of("haze", "rain", "blur", "haze")
    step = made.training_step(batch, 0)
    student = made.network(batch["input"], features=[TAP])
    taught = made.teacher_forward(batch)
    own, theirs = student.features[TAP].mean((2, 3)), taught.features[TAP].mean((2, 3))
    kinds = batch["domain"]
    losses = []
    for i in range(4):
        # equation 3 by its definition; negatives are the student's own features of other types
        attraction = math.exp(F.cosine_similarity(own[i], theirs[i], dim=0).item() / 0.07)
        repulsion = sum(
            math.exp(F.cosine_similarity(own[i], own[j], dim=0).item() / 0.07) for j in range(4) if kinds[j] != kinds[i]
        )
        losses.append(-math.log(attraction / (attraction + repulsion)))
    assert step["terms"]["feature_contrast"].item() == pytest.approx(sum(losses) / 4, rel=1e-4)
    anchors, positives, negatives = (image.embed(x) for x in (student.restored, taught.restored, batch["input"]))
    every = torch.ones(4, 4, dtype=torch.bool)
    by_hand = contrastive_loss(anchors, positives, negatives, torch.eye(4, dtype=torch.bool), every, 0.07).mean()
    torch.testing.assert_close(step["terms"]["image_contrast"], by_hand.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        step["loss"].detach(),
        F.l1_loss(student.restored, taught.restored).detach()
        + 0.1 * (step["terms"]["image_contrast"] + 0.5 * step["terms"]["feature_contrast"]),
        rtol=1e-4,
        atol=1e-6,
    )


def test_gradients_reach_the_student_and_never_a_teacher() -> None:
    made = transfer(teacher_l1=(1.0, TeacherL1()), feature_contrast=(0.05, FeatureContrast([TAP])))
    before = {kind: checkpoint.weights_fingerprint(t.module.state_dict()) for kind, t in made.teachers.items()}
    assert len(set(before.values())) == 3, "each is drawn by its own seed"
    optimizer = torch.optim.Adam(made.network.parameters(), lr=1e-2)
    for step in range(2):
        made.training_step(batch_of("haze", "rain", "blur"), step)["loss"].backward()
        optimizer.step()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.network.parameters())
    for kind, teacher in made.teachers.items():
        assert checkpoint.weights_fingerprint(teacher.module.state_dict()) == before[kind]
        assert all(p.grad is None for p in teacher.module.parameters())
        assert not teacher.module.training
    assert {name.split(".")[0] for name in made.state_dict()} == {"network"}
    assert len(list(made.parameters())) == len(list(made.network.parameters()))


@pytest.mark.parametrize(("of", "left"), [(400, 0.0090), (40, 0.3345)])
def test_the_feature_grain_fades_over_the_run_whatever_its_length(of: int, left: float) -> None:
    made = transfer(teacher_l1=(1.0, TeacherL1()), feature_contrast=(0.5, FeatureContrast([TAP])))
    assert made.loss is not None
    made.decay = {"feature_contrast": {"factor": 0.99, "of": of}, "absent": {"factor": 0.5, "of": 1}}
    for steps in (of, 10 * of):
        for epoch in (0, 1, of // 2, of):
            made.update_loss_weights(epoch * steps // of, steps)
            assert made.loss.weights["feature_contrast"] == pytest.approx(0.5 * 0.99**epoch)
    assert made.loss.weights == {"teacher_l1": 1.0, "feature_contrast": pytest.approx(left, abs=5e-5)}
    made.update_loss_weights(9, 10 * of)
    assert made.loss.weights["feature_contrast"] == 0.5, "within the first epoch it is whole, also after a restart"


def test_what_is_missing_or_does_not_fit_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        CannotRun, match=r"The teacher for haze has no weights; train it \(`limpid train \+uni_removal/"
    ):
        load_teachers(TEACHERS, None)
    with pytest.raises(UserError, match=r"model.teachers.haze.weights is 'zero'"):
        load_teachers(TEACHERS, "zero")
    with pytest.raises(CannotRun, match=r"Adaptation starts from a student .*`limpid train \+uni_removal/table4="):
        load_start(MPRNet(**NARROW), "mprnet", NARROW, None, None, REMEDY)
    wide = {**TEACHERS, "rain": {"network": "aod_net", "ckpt": None}}
    loss = WeightedLoss({"feature_contrast": {"weight": 1, "term": FeatureContrast([TAP])}})
    made = KnowledgeTransfer(MPRNet(**NARROW), "mprnet", NARROW, loss, teachers=wide, weights="random")
    with pytest.raises(UserError, match="The teacher for rain has another structure than the student"):
        made.setup("fit")
    for place, changes, said in (
        ("uni_removal/table4/bkt", (*RANDOM, "model.weights=null"), "The teacher for haze has no weights"),
        ("uni_removal/table5/kt_bda", (START, "model.start.weights=null"), "Adaptation starts from a student"),
    ):
        config = spec_of(place, tmp_path / place, *changes)
        with pytest.raises(CannotRun, match=said):
            perform(config)


def test_an_ensemble_restores_each_image_by_its_own_teacher(tmp_path: Path) -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"teachers": TEACHERS, "weights": "random", "metrics": {"psnr": psnr}}
    made = TeacherEnsemble(torch.nn.Identity(), "identity", {}, **settings)
    counts = sum(p.numel() for p in made.network.parameters())
    assert counts == 3 * 3_637_249
    made.scores.start(["a"])
    for kind in ("rain", "blur"):
        given = batch_of(kind)
        batch = {**given, "target": 1 - given["input"], "index": torch.tensor([0])}
        expected = limpid.inference.restore(made.network[kind], batch["input"])
        assert torch.equal(made.test_step(batch, 0), expected)
        own = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path)
        loader = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]
        predicted: Any = own.predict(made, loader)
        assert torch.equal(predicted[0], expected)
        [validated] = own.validate(made, loader, verbose=False)
        assert validated["val/psnr"] == pytest.approx(float(psnr(expected, batch["target"])), rel=1e-6)


# Domain adaptation --------------------------------------------------------------------------------------------------


def test_pairs_give_clear_images_of_other_scenes() -> None:
    target = torch.arange(3.0).view(3, 1, 1, 1)
    assert clear_images({"target": target}).flatten().tolist() == [2, 0, 1]
    assert clear_images({"target": target, "clear": target + 5}).flatten().tolist() == [5, 6, 7]
    with pytest.raises(UserError, match="needs clear images beside degraded ones, and x comes without any"):
        clear_images({"input": target, "name": ["x"]})


ADAPT = (
    "data.batch_size=2", "data.crop=32", "model.discriminator.channels=4", "trainer.precision=32-true", "log_every=1",
    "callbacks.checkpoint.every=2", "trainer.max_steps=6", "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.1",
    "optimizer.lr=1e-3", "trainer.val_check_interval=6", "data.val.clean.count=1", "data.test_images=1",
)  # fmt: skip


def test_one_step_is_the_students_then_the_discriminators(tmp_path: Path) -> None:
    """Against the step written out: least squares, identity, Adam with beta_1 = 0.5."""
    steps = (
        "trainer.max_steps=1",
        "trainer.accumulate_grad_batches=1",
        "trainer.gradient_clip_val=null",
        "callbacks.checkpoint.every=1",
    )
    config = spec_of("uni_removal/table5/kt_bda", tmp_path / "run", START, *ADAPT, *steps)
    seen: dict[str, Any] = {}
    original = DomainAdaptation.training_step

    def spy(self: DomainAdaptation, batch: Any, batch_idx: int) -> Any:
        seen["batch"] = {k: v.clone() if isinstance(v, Tensor) else v for k, v in batch.items()}
        seen["before"] = [{k: v.clone() for k, v in m.state_dict().items()} for m in (self.network, self.discriminator)]
        return original(self, batch, batch_idx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DomainAdaptation, "training_step", spy)
        perform(config)
    saved = checkpoint.read(tmp_path / "run" / "checkpoints" / "last.ckpt")
    student, judge = MPRNet(**NARROW), PatchGAN(channels=4)
    for module, state in zip((student, judge), seen["before"], strict=True):
        module.load_state_dict(state)
    adam = {"lr": 1e-3, "betas": (0.5, 0.999)}
    first, second = (torch.optim.Adam(m.parameters(), **adam) for m in (student, judge))
    degraded, clear = seen["batch"]["input"], clear_images(seen["batch"])
    restored = student(degraded).restored
    total = (judge(restored) - 1).square().mean() + 0.2 * F.l1_loss(student(clear).restored, clear)
    total.backward()
    first.step()
    second.zero_grad()
    judged = 0.5 * ((judge(clear) - 1).square().mean() + judge(restored.detach()).square().mean())
    judged.backward()
    second.step()
    for prefix, module in (("network", student), ("discriminator", judge)):
        gradients = {name: value.grad.abs() for name, value in module.named_parameters() if value.grad is not None}
        greatest = max(gradient.max() for gradient in gradients.values())
        for name, value in module.named_parameters():
            # Adam's first step is the gradient's sign, which rounding decides where there is next to none.
            clearly = gradients[name] > 1e-4 * greatest
            saved_value = saved["state_dict"][f"{prefix}.{name}"]
            torch.testing.assert_close(saved_value[clearly], value[clearly], rtol=1e-4, atol=2e-5, msg=name)
    lines = (tmp_path / "run" / "curves.csv").read_text().splitlines()
    values = {line.split(",")[1]: float(line.split(",")[2]) for line in lines[1:]}
    assert values["train/loss"] == pytest.approx(total.item(), rel=1e-4)
    assert values["train/discriminator"] == pytest.approx(judged.item(), rel=1e-4)


def test_an_interrupted_adaptation_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    place, vgg = "uni_removal/table5/kt_bda_eicl_efcl", "loss.terms.image_contrast.term.layers=[relu1_1]"
    states = interrupted(place, tmp_path, DomainAdaptation, 3, START, *ADAPT, vgg)
    cut = states["cut"]
    assert cut["provenance"]["step"] == 2, "between two optimizer steps, in the middle of the run"
    assert len(cut["optimizer_states"]) == len(cut["lr_schedulers"]) == 2
    assert [s["state"][0]["step"].item() for s in cut["optimizer_states"]] == [1, 1], "two batches are one step"
    assert parts(states["whole"]) == {"network", "discriminator"}
    curves = (tmp_path / "whole" / "curves.csv").read_text()
    assert all(f",train/{name}," in curves for name in ("adversarial", "identity", "image_contrast", "discriminator"))


def test_from_teachers_to_a_student_to_its_adaptation(tmp_path: Path) -> None:
    small = ("data.batch_size=2", "data.crop=32", "data.test_images=1", "data.val.clean.count=1", "trainer.max_steps=1",
             "callbacks.checkpoint.every=1")  # fmt: skip
    perform(spec_of("uni_removal/teachers/haze", tmp_path / "teacher", *small))
    teacher = tmp_path / "teacher" / "checkpoints" / "last.ckpt"
    give = (f"model.teachers.haze.ckpt={teacher}", *RANDOM[1:], *small)
    origin = perform(spec_of("uni_removal/table4/bkt", tmp_path / "bkt", *give)).document["provenance"]["trained"]
    assert origin["teachers"]["haze"]["trained"]["row"] == "uni_removal/teachers/haze"
    assert origin["teachers"]["haze"]["weights"] == checkpoint.weights_fingerprint(weights_of(tmp_path / "teacher"))
    assert origin["teachers"]["rain"]["random"] == 102
    student = tmp_path / "bkt" / "checkpoints" / "last.ckpt"
    give = (f"model.start.ckpt={student}", *small, "optimizer.lr=0")
    origin = perform(spec_of("uni_removal/table5/kt_bda", tmp_path / "bda", *give)).document["provenance"]["trained"]
    assert origin["start"]["trained"]["row"] == "uni_removal/table4/bkt"
    first, second = weights_of(tmp_path / "bkt"), weights_of(tmp_path / "bda")
    assert all(torch.equal(first[name], second[name]) for name in first), "without a learning rate it stays the start"
    network = MPRNet(**{**NARROW, "channels": 12})
    with pytest.raises(UserError, match="but what is adapted is mprnet with .*'channels': 12"):
        load_start(network, "mprnet", {**NARROW, "channels": 12}, student, None, REMEDY)
    made = transfer()
    with pytest.raises(UserError, match="began with another teacher for haze"):
        made.on_load_checkpoint({"provenance": {"teachers": {"haze": {"weights": "0" * 64}}}})


def test_l1_terms_count_as_on_images_from_minus_one_to_one() -> None:
    """The paper's images are in [-1, 1]: an L1 is twice what it is in [0, 1]; alpha and lambda are 1 and 0.1."""
    assert terms("uni_removal/table4/bkt")["teacher_l1"]["weight"] == 2 * 1.0
    assert terms("uni_removal/table5/kt_bda")["identity"]["weight"] == 2 * 0.1
