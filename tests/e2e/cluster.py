"""A SLURM of two machines, and two network namespaces, made on this machine for a test and removed after it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from tests.conftest import ROOT, environment

_PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "scancel", "scontrol", "squeue")

_CONF = """
ClusterName=limpidtest
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
SlurmctldPort={port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool.%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
KillWait=20
SlurmdParameters=config_overrides
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={one} CPUs=4 RealMemory=1000
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={two} CPUs=4 RealMemory=1000
PartitionName=all Nodes=one,two Default=YES MaxTime=INFINITE State=UP
"""


def require_slurm() -> None:
    """Skip the test where SLURM cannot be made."""
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {missing[0]}: apt-get install slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        pytest.skip("SLURM's daemons are started as root")


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class Slurm:
    """A running SLURM; its commands find it by the environment `variables`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = {"SLURM_CONF": str(folder / "slurm.conf")}
        self._munged: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start munge, the controller and two machines, and wait until both are idle."""
        (self.folder / "state").mkdir(parents=True)
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed", "log-file": "log"}
        options = [f"--{option}={self.folder}/munge.{end}" for option, end in files.items()]
        self._munged = subprocess.Popen(["munged", "--foreground", "--force", *options])
        ports = {name: free_port() for name in ("port", "one", "two")}
        text = _CONF.format(folder=self.folder, host=socket.gethostname(), **ports)
        Path(self.variables["SLURM_CONF"]).write_text(text)
        wait_for(lambda: (self.folder / "munge.socket").exists(), 20, "munge does not start")
        environment = {**os.environ, **self.variables}
        for command in (["slurmctld", "-c"], ["slurmd", "-N", "one"], ["slurmd", "-N", "two"]):
            subprocess.run(command, env=environment, check=True, timeout=60)
        wait_for(lambda: self.ask("sinfo", "--noheader", "--format=%D %t").strip() == "2 idle", 60, "no idle machines")

    def stop(self) -> None:
        """End every job and every daemon that was started here."""
        with contextlib.suppress(subprocess.SubprocessError, OSError, AssertionError):
            for options in (("--signal=KILL", "--user=root"), ("--user=root",)):
                self.ask("scancel", *options)
            wait_for(lambda: not self.ask("squeue", "--noheader"), 20, "jobs that do not end")
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(AssertionError):
                wait_for(lambda number=number: not _signalled(self.folder, number), 10, "daemons that do not end")
        if self._munged is not None:
            self._munged.wait(20)

    def ask(self, *command: str) -> str:
        """What a command of SLURM says."""
        done = subprocess.run(
            command, env={**os.environ, **self.variables}, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout


def _signalled(folder: Path, number: signal.Signals) -> list[int]:
    """The daemons and jobs of the SLURM in `folder`, all of which are sent the signal."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            if str(folder).encode() in told and int(entry.name) != os.getpid():
                found.append(int(entry.name))
                os.kill(found[-1], number)
    return found


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """A SLURM of two machines, for as long as the block runs."""
    require_slurm()
    made = Slurm(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def wait_for(happens: object, seconds: float, otherwise: str) -> None:
    """Wait until `happens()` is true.

    Raises:
        AssertionError: it is not within so many seconds.
    """
    assert callable(happens)
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.1)


def command(*arguments: str) -> list[str]:
    """The words that call `limpid` with these arguments, from this checkout."""
    return [sys.executable, "-c", "from limpid.cli import main; main()", *arguments]


def variables(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a command on a machine of the cluster."""
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    return environment(folder, PYTHONPATH=path, MASTER_ADDR="127.0.0.1", **more)


class Namespace:
    """A network namespace with one device and address, which stands for a machine."""

    def __init__(self, name: str, device: str, address: str) -> None:
        self.name = name
        self.device = device
        self.address = address

    def words(self, command: Sequence[str], private: Path | None = None) -> list[str]:
        """The words that run `command` there.

        Args:
            command: what to run.
            private: a folder that this machine has for itself, empty.
        """
        # Gloo takes the address of the machine's name, which is another machine's here.
        inside = ["env", f"GLOO_SOCKET_IFNAME={self.device}", *command]
        if private is not None:
            inside = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none "{private}" && exec "$@"', "sh", *inside]
        return ["ip", "netns", "exec", self.name, *inside]


@contextlib.contextmanager
def two_machines() -> Iterator[tuple[Namespace, Namespace]]:
    """Two network namespaces that reach each other by a cable of their own, for as long as the block runs."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces are made by root, with iproute2")
    tag = f"{os.getpid() % 100000}"
    first = Namespace(f"limpid{tag}a", f"li{tag}a", "10.231.7.1")
    second = Namespace(f"limpid{tag}b", f"li{tag}b", "10.231.7.2")
    try:
        for machine in (first, second):
            _ip("netns", "add", machine.name)
        other_end = ("peer", "name", second.device, "netns", second.name)
        _ip("link", "add", first.device, "netns", first.name, "type", "veth", *other_end)
        for machine in (first, second):
            _ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", machine.device)
            for device in (machine.device, "lo"):
                _ip("-n", machine.name, "link", "set", device, "up")
        yield first, second
    finally:
        for machine in (first, second):
            subprocess.run(["ip", "netns", "del", machine.name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"ip {' '.join(words)}: {done.stderr.strip()}")


def started(words: Sequence[str], folder: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """A command that runs; the caller waits for it."""
    return subprocess.Popen(
        words,
        cwd=folder,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
