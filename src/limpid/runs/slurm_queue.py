"""Which of a sweep's jobs SLURM still has, on clusters that keep no accounting: submitit would wait for ever.

submitit asks `sacct` whether a job without results is over. Where there is no accounting, `squeue` knows it too.
"""

from __future__ import annotations

import getpass
import shutil
import subprocess
import sys

from submitit.slurm import slurm

#: The states of jobs that are over.
_OVER = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT")
)


def ask_the_queue_without_accounting() -> None:
    """Have submitit ask `squeue` for the states of jobs if `sacct` has no answer; stderr says so."""
    if shutil.which("squeue") is None:
        return
    asked = subprocess.run(["sacct", "--noheader", "-j", "1"], capture_output=True, check=False)
    if asked.returncode:
        print("SLURM keeps no accounting here (sacct); squeue is asked which jobs are over.", file=sys.stderr)
        slurm.SlurmJob.watcher = QueueWatcher(delay_s=30)


class QueueWatcher(slurm.SlurmInfoWatcher):
    """Watches jobs with `squeue`, which lists those that are there and, for some minutes, those that are over."""

    def _make_command(self) -> list[str] | None:
        if not self._registered - self._finished:
            return None
        return ["squeue", "--noheader", "--array", "--states=all", f"--user={getpass.getuser()}", "--format=%i|%T"]

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """The state of every job that is watched: as SLURM calls it if the job is over, RUNNING if not, or GONE."""
        text = string if isinstance(string, str) else string.decode()
        listed = dict(line.strip().split("|", 1) for line in text.splitlines() if "|" in line)
        states = {}
        for job in self._registered:
            state = listed.get(job, "GONE")
            over = state == "GONE" or state in _OVER
            states[job] = {"JobID": job, "State": state if over else "RUNNING"}
        return states
