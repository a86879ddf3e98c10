"""The base system: two real steps of everything that is built, learning rates, scores, averaging, the guard."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
import yaml
from tests.networks.test_networks import SMALL
from tests.specs import composed, config, over_again, spec_of
from torch import distributed, multiprocessing, nn
from torch.optim.swa_utils import AveragedModel

from limpid import checkpoint, lr_schedulers
from limpid.callbacks import EMA, NonFiniteGuard
from limpid.config import instantiate
from limpid.errors import UserError
from limpid.losses import L1, MSE, Step, WeightedLoss
from limpid.models.evaluation import INPUT_PREFIX, PerImageScores
from limpid.paths import shipped
from limpid.results.rows import rows
from limpid.runs.runner import perform
from limpid.store.fingerprint import weighted_terms

BUILT = [row for row in rows() if not row.not_built and row.mode == "train"]


#: One row for every distinct (model, network, loss), by table. A slow test says what is missing here.
QUICK = {
    "aosr/table1": "pix2pix_h ours",
    "aosr/ablations": "direct direct_weighted",
    "fdr/table1": "dncnn rl_restore op_attention ours",
    "fdr/table3": "deep_deblur deblurgan srn inception_resnet",
    "fdr/table4": "did_mdn rescan spanet",
    "fdr/baselines": "did_mdn_classifier did_mdn_residual rl_restore_tools",
    "rfd/table1": "fsrcnn_2x srresnet drn_s",
    "rfd/table5": (
        "aod_net ssid mscnn dehazenet famed_net gfn gca_net dcpdn cycle_dehaze msbdn ffa_net pfdn "
        "dehazing_4k grid_dehaze student ours"
    ),
    "uni_removal/table1": "da_net ours",
    "uni_removal/table2": "nlcl derain_cycle_gan",
    "uni_removal/table4": "bkt bkt_icl bkt_icl_fcl",
    "uni_removal/table5": "kt_bda kt_bda_eicl",
    "uni_removal/baselines": "da_net_real da_net_translators dehaze_flow mawr mawr_blur xydeblur",
    "uni_removal/teachers": "blur",
    "wmcp/table1": "epdn refinednet",
}

#: Rows that differ from them in settings of these alone.
SLOW = {
    "aosr/ablations": "contrast_random l1 l1_image without_mixup",
    "fdr/table5": "without_fdm without_aux",
    "fdr/table6": "layers_1 layers_2 layers_4 layers_5 channels_16 channels_48 channels_64",
    "rfd/table1": "fsrcnn_4x mc_fsrcnn",
    "rfd/table2": "fsrcnn_2x drn_s mc_fsrcnn",
    "rfd/table3": "relu_mc_fsrcnn dscbn_mc_fsrcnn dsc_mc_fsrcnn",
    "rfd/table4": "relu_mc_fsrcnn dscbn_mc_fsrcnn dsc_mc_fsrcnn",
    "rfd/table6": "low_resolution",
    "rfd/table7": "w_050 w_075",
    "rfd/table8": "l1 kl",
    "uni_removal/baselines": "da_net_synthetic",
}


def listed(tables: dict[str, str]) -> list[str]:
    return [f"{table}/{row}" for table, names in tables.items() for row in names.split()]


@pytest.mark.slow
def test_the_rows_that_are_tried_are_one_for_each_model_network_and_loss() -> None:
    settings: dict[str, str] = {}
    code: dict[tuple[str, ...], str] = {}
    for row in BUILT:
        plain = config(row.id, "budget=paper")
        parts = [plain["model"], plain["network"], weighted_terms(plain["loss"])]
        settings.setdefault(yaml.safe_dump(parts), row.id)
        terms = [term["term"]["_target_"] for term in parts[2]["terms"].values()]
        code.setdefault((parts[0]["_target_"], parts[1]["_target_"], *sorted(terms)), row.id)
    assert sorted(listed(QUICK)) == sorted(code.values())
    assert sorted(listed(SLOW)) == sorted(set(settings.values()) - set(code.values()))


def test_every_model_that_a_row_names_is_tried() -> None:
    def named(places: Iterable[str]) -> set[str]:
        files = (shipped("experiments") / f"{place}.yaml" for place in places)
        return set(chain.from_iterable(re.findall(r"override /model: (\w+)", file.read_text()) for file in files))

    assert named([*listed(QUICK), *listed(SLOW)]) == named(row.id for row in BUILT)


def small(place: str) -> list[str]:
    """Overrides that make a row's network quick; a student stays as wide as its teachers."""
    settings = {} if "uni_removal" in place else SMALL.get(composed(place, "budget=paper").choices["network"], {})
    return [f"network.{name}={value}" for name, value in settings.items()]


#: Weights that two steps on small images leave alone, by a part of the row's name: DRN's mean shifts are frozen; of
#: 4K-Dehazing one number is never used, and a bias before the normalisation of one position has no effect; DCPDN
#: normalises no single position, which is what these images leave at its deepest level; RL-Restore's tools and its agent
#: learn in turns, and all four images are for the second tool; of DID-MDN one network of three learns; a flow's channel
#: attention has two hidden units at these widths, whose ReLU may be dead.
IDLE = {
    "drn": ("_mean", ".weight."),
    "dehazing_4k": ("unused", "u_net.down.3."),
    "dcpdn": ("airlight.down_norms.6.",),
    "baselines/rl_restore_tools": ("agent.", "tools.0."),
    "table1/rl_restore": ("tools.",),
    "baselines/did_mdn_residual": ("density.classifier.", "derain."),
    "baselines/did_mdn_classifier": ("density.residual.", "derain."),
    "table4/did_mdn": ("density.",),
    "dehaze_flow": (".body.6.channels.",),
}


TRIED = [*listed(QUICK), *(pytest.param(place, marks=pytest.mark.slow) for place in listed(SLOW))]


@pytest.mark.parametrize("place", TRIED)
def test_two_steps_change_the_weights_and_give_finite_numbers(place: str, tmp_path: Path) -> None:
    spec = spec_of(place, tmp_path, *small(place), "trainer.precision=32-true")
    torch.manual_seed(spec.seed)
    entry = perform(spec).metrics["scenes"]
    assert entry["psnr"]["n"] == entry["ssim"]["n"] == 2
    assert math.isfinite(entry["psnr"]["mean"])
    assert -1 <= entry["ssim"]["mean"] <= 1
    trained = checkpoint.weights(checkpoint.read(tmp_path / "checkpoints" / "last.ckpt"))
    lightning.seed_everything(spec.seed, verbose=False)
    untrained = instantiate.construct(spec.config["network"], "network").state_dict()
    same = [name for name in trained if torch.equal(trained[name], untrained[name])]
    # With two hidden units, an attention's ReLU may be dead at the start; every other weight takes part.
    idle = [name for part, names in IDLE.items() if part in place for name in names]
    same = [name for name in same if not any(part in name for part in idle)]
    assert all("attention" in name or "fusion" in name for name in same), same
    assert len(same) < len(trained) / 2
    assert all(torch.isfinite(value).all() for value in trained.values())
    files = {"config.yaml", "status.json", "metrics.json", "per_image.csv", "environment.json", "checkpoints", "images"}
    if spec.config["data"]["val"] is not None:  # two steps without a validation leave no line
        files.add("curves.csv")
        curves = (tmp_path / "curves.csv").read_text().splitlines()
        assert curves[0] == "step,name,value"
        assert {line.split(",")[1] for line in curves[1:]} >= {"val/psnr", "val/ssim"}
    assert {file.name for file in tmp_path.iterdir()} >= files


def test_a_finished_run_is_skipped_and_other_settings_are_not_mixed_into_it(tmp_path: Path) -> None:
    spec = spec_of("rfd/table5/aod_net", tmp_path)
    first = perform(spec)
    again = perform(spec)
    assert (first.skipped, again.skipped) == (False, True)
    assert again.document == first.document
    (tmp_path / "metrics.json").unlink()
    other = spec_of("rfd/table5/aod_net", tmp_path, "optimizer.lr=0.5")
    with pytest.raises(UserError, match=r"other settings \(optimizer.lr: 0.0001 then, 0.5 now\)"):
        perform(other)
    assert perform(over_again(other)).metrics


def test_processes_that_cannot_share_a_step_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    config = spec_of("rfd/table5/aod_net", tmp_path / "run", "trainer=ddp_cpu", "trainer.devices=3")
    with pytest.raises(
        UserError, match="A step's 2 images cannot be shared equally by 3 processes; set trainer.devices=2"
    ):
        perform(config)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_counts_the_batches_that_are_done_not_the_one_that_was_fetched(tmp_path: Path) -> None:
    perform(spec_of("rfd/table5/aod_net", tmp_path, "trainer.max_steps=3", "callbacks.checkpoint.every=2"))
    last = tmp_path / "checkpoints" / "last.ckpt"
    steps = [checkpoint.read(file)["provenance"]["step"] for file in (checkpoint.previous(last), last)]
    assert steps == [2, 3], "a run that is killed before its last batch still has it to do"


def test_terms_are_weighted_and_keep_their_own_values() -> None:
    loss = WeightedLoss({"l1": {"weight": 2.0, "term": L1()}, "mse": {"weight": 0.5, "term": MSE()}})
    output, batch = torch.full((1, 3, 4, 4), 0.5), {"target": torch.zeros(1, 3, 4, 4)}
    total, values = loss(Step(output, batch["target"], output))
    assert total.item() == pytest.approx(2.0 * 0.5 + 0.5 * 0.25)
    assert {name: value.item() for name, value in values.items()} == {"l1": 0.5, "mse": 0.25}
    kept = WeightedLoss({"l1": {"weight": 0, "term": L1()}, "mse": {"weight": 1, "term": MSE()}})
    assert list(kept.terms) == ["mse"]
    with pytest.raises(UserError, match="no term"):
        WeightedLoss({"l1": {"weight": 0, "term": L1()}})


def test_learning_rates_scale_with_the_run() -> None:
    def rates(shape: Any, steps: int, **settings: float) -> list[float]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = shape(optimizer, steps=steps, **settings)
        found = []
        for _ in range(steps):
            found.append(schedule.get_last_lr()[0])
            optimizer.step()
            schedule.step()
        return found

    assert rates(lr_schedulers.constant, 5) == [1.0] * 5
    for steps in (200, 40):  # x0.98 every 10 of 200 epochs, at the paper's length and at a fifth of it
        found = rates(lr_schedulers.step, steps, factor=0.98, every=10, of=200)
        assert found == pytest.approx([0.98 ** (i * 200 // (10 * steps)) for i in range(steps)])
    found = rates(lr_schedulers.cosine, 100, warmup=0.1, floor=0.01)
    assert found[:10] == pytest.approx([(i + 1) / 11 for i in range(10)])
    assert found[10] == 1.0
    assert found[55] == pytest.approx(0.01 + 0.99 * 0.5)
    assert found[99] == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * 89 / 90)))


def test_scores_are_means_of_images_and_each_is_counted_once() -> None:
    def error(restored: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (restored - target).abs().mean((1, 2, 3))

    scores = PerImageScores({"error": error})
    scores.start(["a", "b"])
    batch = {
        "index": torch.tensor([1, 0]),
        "name": ["y", "x"],
        "target": torch.zeros(2, 3, 1, 1),
        "input": torch.full((2, 3, 1, 1), 5.0),
    }
    scores.add(0, batch, torch.tensor([1.0, 3.0]).view(2, 1, 1, 1).expand(2, 3, 1, 1))
    scores.add(1, {"index": torch.tensor([0]), "name": ["z"]}, torch.zeros(1, 3, 1, 1))  # no target: not scored
    scores.finish([2, 1])
    assert scores.summary(INPUT_PREFIX)["a"]["error"]["mean"] == 5.0
    assert scores.summary() == {"a": {"error": {"mean": 2.0, "n": 2, "protocol": "error"}}, "b": {}}
    assert [row["name"] for row in scores.rows] == ["x", "y", "z"]
    with pytest.raises(AssertionError, match="exactly once"):
        scores.finish([3, 1])
    scores.add(0, batch, torch.zeros(2, 3, 1, 1))
    with pytest.raises(AssertionError, match="exactly once"):
        scores.finish([2, 1])


def _score_half(rank: int, folder: str, results: Any) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    scores = _scored(range(rank, 31, 2))
    scores.finish([31])
    results[rank] = (scores.summary(), [row["name"] for row in scores.rows])
    distributed.destroy_process_group()


def _mean_of(restored: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (restored - target).mean((1, 2, 3))


def _scored(indices: range) -> PerImageScores:
    scores = PerImageScores({"mean": _mean_of})
    scores.start(["a"])
    for i in indices:
        batch = {"index": torch.tensor([i]), "name": [str(i)], "target": torch.zeros(1, 3, 2, 2)}
        scores.add(0, batch, torch.full((1, 3, 2, 2), i / 7))
    return scores


def test_31_images_give_the_same_on_two_processes(tmp_path: Path) -> None:
    whole = _scored(range(31))
    whole.finish([31])
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        multiprocessing.spawn(_score_half, (str(tmp_path), results), nprocs=2)
        for rank in (0, 1):
            assert results[rank] == (whole.summary(), [str(i) for i in range(31)])


def test_the_average_warms_up_and_takes_whole_numbers_over() -> None:
    average = EMA(decay=0.99, warmup=10.0)._kwargs["multi_avg_fn"]
    for updates in (1, 5, 50, 5000):
        kept, new = [torch.tensor(0.0), torch.tensor([2.0, 4.0])], [torch.tensor(1.0), torch.tensor([3.0, 2.0])]
        average(kept, new, torch.tensor(updates))
        decay = min(0.99, (1 + updates) / (10 + updates))
        assert kept[0].item() == pytest.approx(1 - decay)
        assert kept[1].tolist() == pytest.approx([3 - decay, 2 + 2 * decay])
    counts = [torch.tensor(3)]
    average(counts, [torch.tensor(8)], torch.tensor(5))
    assert counts[0].item() == 8


def test_a_network_with_batch_norm_is_averaged() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    ema = EMA(decay=0.5, warmup=1.0)
    averaged = AveragedModel(network, use_buffers=True, **ema._kwargs)
    for _ in range(3):
        network(torch.rand(2, 3, 8, 8))
        averaged.update_parameters(network)
    assert averaged.module[1].num_batches_tracked.item() == 3


def test_a_loss_that_is_no_number_stops_with_the_names_of_its_batch() -> None:
    guard: Any = NonFiniteGuard()
    guard.on_train_batch_start(None, None, {"name": ["one", "two"]}, 7)
    guard.on_before_backward(None, None, torch.tensor(1.0))
    with pytest.raises(UserError, match="The loss is nan at step 7 on the images one, two"):
        guard.on_before_backward(None, None, torch.tensor(float("nan")))
