"""Who is who: which processes a trainer asks for, who starts them, and whether Lightning takes each trainer's settings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only
from tests.specs import words

from limpid.config import instantiate
from limpid.data.datamodule import RestorationData
from limpid.errors import UserError
from limpid.models.fsdp import FullySharded
from limpid.paths import shipped
from limpid.runs import distributed, processes
from limpid.runs.distributed import Place
from limpid.runs.resolve import resolve
from limpid.runs.runner import Runner

TRAINERS = sorted(file.stem for file in (shipped("conf") / "trainer").glob("*.yaml"))
TORCHRUN = {"TORCHELASTIC_RUN_ID": "a", "RANK": "5", "LOCAL_RANK": "1", "GROUP_RANK": "1", "WORLD_SIZE": "8"}
TORCHRUN |= {"LOCAL_WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
SRUN = {
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}
SRUN |= {"SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2", "SLURM_NODELIST": "n[1-2]", "SLURM_JOB_ID": "77"}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing started this process as one of several, and it is the first again afterwards."""
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    others = ("LIMPID_REPORT", "SLURM_STEP_TASKS_PER_NODE", "SLURM_JOB_NUM_NODES")
    for name in (*TORCHRUN, *SRUN, *others, "SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many GPUs as Lightning asks about; none is used."""
    for module in ("lightning.fabric.accelerators.cuda", "lightning.pytorch.accelerators.cuda"):
        monkeypatch.setattr(f"{module}.num_cuda_devices", lambda: 4)


def test_one_process_by_default_and_as_many_as_devices_else() -> None:
    assert distributed.place({"accelerator": "cpu", "devices": 1}) == Place()
    assert distributed.place({"accelerator": "cpu", "devices": 3}) == Place(world=3, on_each=3, starts=True)
    assert isinstance(Place().environment, LightningEnvironment)


def test_devices_of_a_machine(four_gpus: None) -> None:
    for devices, count in ((1, 1), (2, 2), (-1, 4), ("auto", 4), ([1, 3], 2), ("0,2,3", 3)):
        assert distributed.place({"accelerator": "gpu", "devices": devices}).world == count
    with pytest.raises(
        UserError, match=r"trainer.devices=5 cannot be had with trainer.accelerator=gpu: .*\[0, 1, 2, 3\]"
    ):
        distributed.place({"accelerator": "gpu", "devices": 5})
    with pytest.raises(UserError, match="There is no trainer.accelerator=gpuu; there are auto, gpu, "):
        distributed.place({"accelerator": "gpuu", "devices": 1})


@pytest.mark.parametrize("told", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_processes_that_others_started(told: dict[str, str], four_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    own = distributed.place({"accelerator": "gpu", "devices": -1, "num_nodes": -1})
    assert own == Place(rank=5, world=8, machines=2, on_each=4, on_cpu=False)
    assert own == distributed.place({"accelerator": "gpu", "devices": 4, "num_nodes": 2})
    assert isinstance(own.environment, TorchElasticEnvironment if told is TORCHRUN else SLURMEnvironment)
    assert own.environment.global_rank() == 5
    with pytest.raises(
        UserError, match=r"started 8 processes, but trainer.devices=1 on trainer.num_nodes=1 asks for 1"
    ):
        distributed.place({"accelerator": "cpu", "devices": 1, "num_nodes": 1})


def test_what_was_not_started_rightly_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"nothing started them: start one command per device with `srun --nodes=N"):
        distributed.place({"accelerator": "cpu", "devices": 2, "num_nodes": -1})
    monkeypatch.setenv("SLURM_NTASKS", "8")  # a batch script that does not use srun is one process
    assert distributed.place({"accelerator": "cpu", "devices": 1}) == Place()
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    monkeypatch.setenv("SLURM_PROCID", "0")
    with pytest.raises(UserError, match="add --ntasks-per-node=D"):
        distributed.outside()
    for said, number in (("4(x2)", 4), ("2,2", 2), ("3,1", None)):
        monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", said)
        if number is None:
            with pytest.raises(UserError, match=r"not the same number on each machine \(3,1\); add --ntasks-per-node"):
                distributed.outside()
        else:
            assert distributed.outside() == distributed.Outside("srun", 0, 8, number)


MULTI_NODE = {"accelerator": "cpu", "devices": -1, "num_nodes": -1}


@pytest.mark.parametrize(
    "told",
    [
        {"SLURM_JOB_ID": "7", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"},
        {"SLURM_JOB_ID": "7"},  # a script without srun
        {"TORCHELASTIC_RUN_ID": "a", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"},
    ],
    ids=["a step of one task", "a script of one task", "torchrun with one"],
)
def test_a_job_of_one_task_is_a_run_of_one_process(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert distributed.place(MULTI_NODE) == Place()
    assert distributed.place({**MULTI_NODE, "devices": 2}) == Place(world=2, on_each=2, starts=True)


@pytest.mark.parametrize("told", [TORCHRUN, SRUN], ids=["torchrun", "srun"])
def test_on_the_cpu_every_task_is_a_process(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert distributed.place(MULTI_NODE) == Place(rank=5, world=8, machines=2, on_each=4)
    assert distributed.place({**MULTI_NODE, "devices": 4}) == Place(rank=5, world=8, machines=2, on_each=4)
    with pytest.raises(UserError, match="started 8 processes, but trainer.devices=3 on trainer.num_nodes=2 asks for 6"):
        distributed.place({**MULTI_NODE, "devices": 3})


def test_without_a_gpu_a_cluster_is_told_otherwise_than_a_desk() -> None:
    with pytest.raises(UserError, match="shows no GPU; choose trainer=cpu"):
        distributed.place({"accelerator": "gpu", "devices": -1})
    with pytest.raises(
        UserError, match=r"shows no GPU; ask for GPUs \(--gpus-per-node=D\), or add trainer.accelerator"
    ):
        distributed.place({"accelerator": "gpu", "devices": -1, "num_nodes": -1})


def test_a_shell_of_salloc_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variables tell of tasks that nothing started; a container may have the rank of another program too."""
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8", "SLURM_NNODES": "2", "RANK": "3"}.items():
        monkeypatch.setenv(name, value)
    assert distributed.outside() is None
    assert distributed.place({"accelerator": "cpu", "devices": 1}) == Place()


def test_a_job_that_was_queued_again_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    assert distributed.requeued() is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert distributed.requeued() == "77"


def test_what_was_begun_by_the_same_job_is_not_cleared_when_it_is_queued_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = resolve(words("rfd/table5/student", "data=scenes", "rerun=true"))
    spec = dataclasses.replace(spec, directory=tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    (tmp_path / "environment.json").write_text('{"job": "76"}')
    assert Runner(spec).rerun, "an older job began it"
    (tmp_path / "environment.json").write_text('{"job": "77"}')
    assert not Runner(spec).rerun
    assert capsys.readouterr().err == (
        "rerun=true is left out: job 77 was started again, and goes on with the run that it began.\n"
    )


def test_the_likely_cause_comes_before_what_it_drew_after_it() -> None:
    class Ended:
        ended = 3.0

        def __init__(self, code: int, **report: Any) -> None:
            self.code, self.report = code, report

    lost = Ended(1, error="Connection closed by peer", time=1.0)
    for first in (Ended(2, refused="no", time=2.0), Ended(-9), Ended(1, error="earlier", time=0.5)):
        assert min([lost, first], key=processes._likely_cause) is first  # type: ignore[arg-type, list-item]
    assert min([Ended(-6), lost], key=processes._likely_cause) is lost, "an abort follows a lost connection"  # type: ignore[arg-type, list-item]


@pytest.mark.parametrize("trainer", TRAINERS)
def test_no_trainer_but_debug_changes_which_run_it_is(trainer: str) -> None:
    bare = resolve(words("rfd/table5/student"))
    other = resolve(words("rfd/table5/student", f"trainer={trainer}"))
    assert (other.fingerprint == bare.fingerprint) == (trainer != "debug")


@pytest.mark.filterwarnings("ignore:GPU available but not used")
@pytest.mark.parametrize("trainer", TRAINERS)
def test_lightning_takes_the_settings_of_every_trainer(
    trainer: str, four_gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = resolve(words("rfd/table5/student", f"trainer={trainer}", "data.batch_size=8", "data=scenes"))
    config = spec.config
    if trainer == "multi_node":
        for name, value in SRUN.items():
            monkeypatch.setenv(name, value)
    place = distributed.place(config["trainer"])
    if place.starts:  # what the processes that it starts are told
        for name, value in {
            "LIMPID_REPORT": "",
            "RANK": "1",
            "LOCAL_RANK": "1",
            "WORLD_SIZE": str(place.world),
        }.items():
            monkeypatch.setenv(name, value)
        place = distributed.place(config["trainer"])
    data: RestorationData = instantiate.construct(config["data"], "data")
    data.plan(10, None, place.world)
    made = Runner(dataclasses.replace(spec, directory=tmp_path)).build_trainer(data, place)
    expected = {"ddp": 4, "ddp_cpu": 2, "fsdp": 4, "multi_node": 8}.get(trainer, 1)
    assert (place.world, made.world_size) == (expected, expected)
    assert made.global_rank == place.rank
    kind = FullySharded if trainer == "fsdp" else DDPStrategy
    assert isinstance(made.strategy, kind) == (expected > 1)
    if expected > 1:
        assert made.strategy._timeout.total_seconds() == 600
    assert made.precision == ("32-true" if trainer == "debug" else "bf16-mixed")
