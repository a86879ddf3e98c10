"""FDR-Net's system: what it measures beside its training, against direct computation; its rows; figure 8."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.specs import config, spec_of
from tests.test_rows import ROWS
from torch import nn

import limpid
from limpid.commands import figure
from limpid.config import instantiate
from limpid.data.image_io import read_image
from limpid.errors import UserError
from limpid.figures import correlation
from limpid.losses import L1, WeightedLoss
from limpid.losses.svdo import SVDO, channel_correlation, svdo
from limpid.models.fdr import FDR, fdm_correlations
from limpid.runs.runner import perform

SMALL = {"channels": 8, "phases": 2, "fd_layers": 2, "pm_blocks": 1, "aux_blocks": 1, "reduction": 4}
TYPED = [f"network.{key}={value}" for key, value in SMALL.items()]


def system(weight: float = 1e-5, **settings: Any) -> FDR:
    torch.manual_seed(0)
    loss = WeightedLoss({"l1": {"weight": 2.0, "term": L1()}, "svdo": {"weight": weight, "term": SVDO()}})
    return FDR(limpid.build("fdr", **{**SMALL, **settings}), "fdr", SMALL, loss)


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {key: torch.rand(2, 3, 16, 18, generator=generator) for key in ("input", "target")}


def test_the_ratio_is_that_of_the_whole_gradients() -> None:
    own, images = system(), batch()
    values = own.monitor(images)
    assert all(p.grad is None for p in own.network.parameters()), "measuring leaves the gradients alone"
    norms = []
    for part in ("svdo", "l1"):
        output = own.network(images["input"])
        value = (
            1e-5 * svdo(output.features) if part == "svdo" else 2.0 * (output.restored - images["target"]).abs().mean()
        )
        own.network.zero_grad()
        value.backward()
        norms.append(torch.cat([p.grad.flatten() for p in own.network.parameters() if p.grad is not None]).norm())
    torch.testing.assert_close(values["gradient_ratio/svdo"], norms[0] / norms[1], rtol=1e-4, atol=0)
    doubled = system(weight=2e-5).monitor(images)
    torch.testing.assert_close(doubled["gradient_ratio/svdo"], 2 * values["gradient_ratio/svdo"])


def test_correlations_are_those_before_and_after_each_fdm() -> None:
    own, images = system(), batch()
    output = own.network(images["input"])
    assert (len(output.entering), len(output.features)) == (2, 4)
    found = fdm_correlations(output.entering, output.features)
    direct = [channel_correlation(output.features[i]).mean() for i in (1, 3)]
    torch.testing.assert_close(found["after"], torch.stack(direct).detach())
    values = own.monitor(images)
    torch.testing.assert_close(values["correlation/after"], torch.stack(direct).mean().detach())
    before = torch.stack([channel_correlation(x).mean() for x in output.entering]).mean()
    torch.testing.assert_close(values["correlation/before"], before.detach())


def test_a_network_without_fdm_has_only_what_is_before() -> None:
    assert list(system(use_fdm=False).monitor(batch())) == ["correlation/before"]


def test_a_misspelt_setting_is_refused() -> None:
    given = ("network", "network_name", "network_config")
    with pytest.raises(UserError, match="did you mean 'monitor_every'"):
        instantiate.check({"_target_": "limpid.models.fdr.FDR", "monitr_every": 3}, "model", (), {"model": given})


def test_ablations_differ_at_mini_only_in_what_they_name() -> None:
    full = config("fdr/table2/ours", "budget=mini")
    differing = {
        "table5/without_fdm": {"use_fdm": False},
        "table5/without_aux": {"use_aux": False},
        **{f"table6/layers_{n}": {"fd_layers": n} for n in (1, 2, 4, 5)},
        **{f"table6/channels_{n}": {"channels": n // 2} for n in (16, 48, 64)},
    }
    for row, change in differing.items():
        arm = config(f"fdr/{row}", "budget=mini")
        assert arm["network"] == full["network"] | change, row
        for part in ("loss", "optimizer", "lr_scheduler", "trainer", "data", "metrics"):
            assert arm[part] == full[part], row
        limpid.build("fdr", **{k: v for k, v in arm["network"].items() if k != "_target_"})


def test_the_printed_schedule() -> None:
    plain = config("fdr/table1/ours")
    assert plain["trainer"]["max_steps"] == 180000
    assert (plain["data"]["batch_size"], plain["optimizer"]["lr"]) == (28, 1e-4)
    assert config("fdr/table2/ours")["data"]["crop"] == 128
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = instantiate.construct(plain["lr_scheduler"], "lr_scheduler")(optimizer, steps=180000)
    shape = schedule.lr_lambdas[0]
    assert [shape(i) for i in (0, 8999, 9000, 17999, 18000)] == pytest.approx([1, 1, 0.8, 0.8, 0.64])


@pytest.mark.parametrize(
    ("row", "millions"), [("table5/full", 1.66), ("table5/without_fdm", 1.62), ("table5/without_aux", 1.21)]
)
def test_table_5s_sizes(row: str, millions: float) -> None:
    network = instantiate.construct(config(f"fdr/{row}")["network"], "network")
    count = sum(p.numel() for p in network.parameters())
    assert round(count / 1e6, 2) == millions == ROWS[f"fdr/{row}"].printed["did_hy"]["params_m"]


def test_a_short_training_writes_the_curves_and_figure_8_is_drawn_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    perform(spec_of("fdr/table5/full", run, "model.monitor_every=2", *TYPED))
    with (run / "curves.csv").open() as file:
        curves = {row["name"]: float(row["value"]) for row in csv.DictReader(file) if row["step"] == "2"}
    assert 0 < curves["correlation/before"] < 1
    assert 0 < curves["correlation/after"] < 1
    assert curves["gradient_ratio/svdo"] > 0
    ckpt = run / "checkpoints" / "last.ckpt"
    capsys.readouterr()
    assert figure.run(["fdr/correlation", "--ckpt", str(ckpt), "--count", "2", "--size", "24", "--phase", "2"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        str(run / "figures" / name) for name in ("correlation.png", "responses.png", "correlation.json")
    ]
    numbers = json.loads((run / "figures" / "correlation.json").read_text())
    for place in ("before", "after"):
        entry = numbers["correlation"][place]
        assert len(entry["phases"]) == SMALL["phases"]
        assert entry["mean"] == pytest.approx(np.mean(entry["phases"]))
    for values in numbers["responses"].values():
        assert np.shape(values) == (10, SMALL["channels"])
        assert np.mean(values[9]) > np.mean(values[0]), "a stronger distortion changes the features more"
    assert read_image(run / "figures" / "correlation.png").shape[2] == 3


def test_the_matrices_are_those_of_numpy_and_their_mean_is_the_monitors() -> None:
    features = torch.randn(3, 5, 6, 7) + 0.5 * torch.randn(3, 1, 6, 7)
    matrix = correlation.correlation_matrix(features)
    direct = np.mean([np.abs(np.corrcoef(image.flatten(1).double().numpy())) for image in features], axis=0)
    np.testing.assert_allclose(matrix, direct, atol=1e-6)
    off = matrix[~np.eye(5, dtype=bool)].mean()
    assert off == pytest.approx(channel_correlation(features).mean().item(), rel=1e-4)
    features[:, 2] = 0.3
    assert np.isnan(correlation.correlation_matrix(features)[2]).all()


def test_the_response_to_no_change_is_nothing() -> None:
    network = limpid.build("fdr", **SMALL).eval()
    flat = [np.full((16, 16, 3), 128 / 255, np.float32)]
    answers = correlation.responses(network, flat, 1, np.random.default_rng(0))
    assert answers["blur"].max() < 1e-5, "blur does not change a flat image"
    assert (np.diff(answers["noise"].mean(1)) > 0).all()


def test_figure_8_refuses_what_it_cannot_draw(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no figure 'fdr/corelation'; did you mean"):
        figure.run(["fdr/corelation"])
    with pytest.raises(UserError, match="lacks --ckpt"):
        figure.run(["fdr/correlation"])
    with pytest.raises(UserError, match="did you mean '--phase'"):
        figure.run(["fdr/correlation", "--ckpt", "a.ckpt", "--phse", "1"])
    with pytest.raises(UserError, match="There is no checkpoint"):
        figure.run(["fdr/correlation", "--ckpt", str(tmp_path / "none.ckpt")])
    with pytest.raises(UserError, match="has 0 images of at least 64x64"):
        correlation.clean_images(str(tmp_path), 8, 64)
    with pytest.raises(UserError, match="--count is 0, but it must be 1 or more"):
        correlation.clean_images("scenes", 0, 64)
    assert figure.run(["--help"]) == 0
    with pytest.raises(SystemExit) as ended:
        figure.run(["fdr/correlation", "--help"])
    assert ended.value.code == 0
