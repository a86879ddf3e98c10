"""Runs that are killed five times each, at random moments and inside the writing of checkpoints, end with the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Limpid
from tests.e2e import harness

COMMAND = (
    "train", "data=scenes", "budget=smoke", "data.crop=32", "trainer=cpu", "trainer.max_steps=48", "log_every=1",
    "data.workers=0", "callbacks.checkpoint.every=3", "trainer.val_check_interval=4",
    "data.val.clean.count=2", "data.val.clean.height=32", "data.val.clean.width=32",
    "data.test.scenes.clean.height=32", "data.test.scenes.clean.width=40", "data.test.scenes.clean.count=12",
    "data.test_images=12",
)  # fmt: skip

ADVERSARIAL = (
    "model=uni_removal_adaptation", "model.start.weights=random", "network.channels=4", "model.discriminator.channels=8",
)  # fmt: skip

#: What is trained, and the stages of writing in which it is killed; twice while training and once in the test besides.
KINDS = {
    "plain": (("model=aod_net",), ("half", "linked")),
    "averaged": (("model=aod_net", "callbacks=ema"), ("kept", "half")),
    "accumulated": (("model=aod_net", "trainer.accumulate_grad_batches=2"), ("written", "moved")),
    "two_processes": (("model=aod_net", "trainer=ddp_cpu"), ("moved", "linked")),
    "two_optimizers": ((*ADVERSARIAL, "trainer.accumulate_grad_batches=2"), ("written", "kept")),
}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="finds processes and files in /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_five_times_ends_as_if_it_had_not_been(
    limpid: Limpid, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    settings, stages = KINDS[kind]
    arguments = (*COMMAND, *settings)
    limpid(*arguments)
    whole = harness.left_behind(tmp_path)
    assert len([line for line in whole["text"]["curves.csv"].splitlines() if ",train/loss," in line]) == 48

    other = tmp_path_factory.mktemp("killed")
    moments = harness.moments(list(KINDS).index(kind), stages, steps=2)
    for moment in moments:
        harness.kill_at(moment, other, arguments)
        print(f"{kind}: killed {moment}")
    limpid(*arguments, LIMPID_RUNS=str(other / "runs"))
    assert list(harness.differences(whole, harness.left_behind(other))) == []
    print(f"{kind}: {len(moments)} kills, every bit equal")
