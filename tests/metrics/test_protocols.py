"""Protocols, and the torchmetrics class over batches and processes."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from limpid.errors import UserError
from limpid.metrics import METRICS, MetricProtocol, PerImageMean, psnr, ssim, visible_edges


def _pair(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(11)
    clean = torch.rand(count, 3, 24, 28, generator=generator)
    noise = torch.randn(clean.shape, generator=generator) * torch.linspace(0.01, 0.3, count)[:, None, None, None]
    return (clean + noise).clamp(0, 1), clean


def test_a_protocol_is_its_metric_with_its_options() -> None:
    x, y = _pair(3)
    protocol = MetricProtocol(id="ssim_wang", metric="ssim", options={"preset": "wang"}, used_by=["us"])
    torch.testing.assert_close(protocol(x, y), ssim(x, y, preset="wang"), rtol=0, atol=0)
    assert protocol.needs_reference
    assert protocol.higher_is_better
    assert protocol.used_by == ("us",)
    again = pickle.loads(pickle.dumps(protocol))
    torch.testing.assert_close(again(x, y), protocol(x, y), rtol=0, atol=0)
    without = MetricProtocol(id="piqe", metric="piqe")
    assert not without.needs_reference
    assert not without.higher_is_better
    torch.testing.assert_close(without(x, y), without(x), rtol=0, atol=0)


def test_every_metric_has_a_protocol_and_a_direction() -> None:
    for name, kind in METRICS.items():
        protocol = MetricProtocol(id=name, metric=name)
        assert protocol.higher_is_better == (name in ("psnr", "ssim", "visible_edges_e", "visible_edges_r"))
        assert protocol.needs_reference == (name in ("psnr", "ssim", "ciede2000") or name.startswith("visible_edge"))
        assert kind.function.__name__ == name


def test_mistakes_in_a_protocol_are_found_before_any_image() -> None:
    with pytest.raises(UserError, match="asks for a metric 'snr'; did you mean 'psnr'"):
        MetricProtocol(id="a", metric="snr")
    with pytest.raises(UserError, match="sets 'quantize', which psnr does not have; did you mean 'quantise'"):
        MetricProtocol(id="a", metric="psnr", options={"quantize": True})
    with pytest.raises(UserError, match="compares with a reference, but these images have none"):
        MetricProtocol(id="a", metric="psnr")(torch.rand(1, 3, 8, 8))
    with pytest.raises(UserError, match="did you mean 'preset'"):
        PerImageMean("ssim", presets="wang")


def test_the_mean_of_any_metric() -> None:
    x, y = _pair(5)
    for metric in ("psnr", MetricProtocol(id="p", metric="psnr"), psnr):
        mean = PerImageMean(metric)
        for start, stop in ((0, 1), (1, 4), (4, 5)):
            mean.update(x[start:stop], y[start:stop])
        assert mean.compute().item() == pytest.approx(psnr(x, y).mean().item(), rel=1e-14)
        mean.reset()
        mean.update(x[:2], y[:2])
        assert mean.compute().item() == pytest.approx(psnr(x[:2], y[:2]).mean().item(), rel=1e-14)
    assert PerImageMean("psnr").higher_is_better is True
    assert PerImageMean(lambda a, b: visible_edges(a, b).r, higher_is_better=True)(x, y).isfinite()
    assert PerImageMean("piqe").higher_is_better is False
    # one image's own value, as torchmetrics' forward gives it
    both = PerImageMean("psnr", space="y")
    assert both(x[:1], y[:1]).item() == pytest.approx(psnr(x[:1], y[:1], space="y").item())
    assert both(x[1:2], y[1:2]).item() == pytest.approx(psnr(x[1:2], y[1:2], space="y").item())
    assert both.compute().item() == pytest.approx(psnr(x[:2], y[:2], space="y").mean().item())


def _score(rank: int, address: str, answers: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    x, y = _pair(5)
    own = slice(0, 1) if rank == 0 else slice(1, 5)  # an unequal share
    mean = PerImageMean("psnr")
    mean.update(x[own], y[own])
    torch.save(mean.compute(), Path(answers) / f"{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_are_one(tmp_path: Path) -> None:
    address = (tmp_path / "meeting").as_uri()
    multiprocessing.spawn(_score, (address, str(tmp_path)), nprocs=2)
    x, y = _pair(5)
    expected = psnr(x, y).mean().item()
    for rank in (0, 1):
        assert torch.load(tmp_path / f"{rank}.pt").item() == pytest.approx(expected, rel=1e-14)
