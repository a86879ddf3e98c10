"""Every ratio of this folder in one table: `python benchmarks [--quick] [--only train_step affinity] [--threads 2]`.

Each script gives its own by `ratios(quick)`, in a process of its own, so that none begins with the memory of the one
before. With `--quick` there are fewer turns and no long lines: a check that everything runs, not figures to quote.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

from measuring import Ratio, table

SCRIPTS = ("train_step", "transfer_step", "affinity", "inference", "predict", "wmcp", "metrics", "data")


def of_script(name: str, quick: bool, threads: int) -> list[Ratio]:
    """The ratios of one script, from a process of its own."""
    words = [sys.executable, str(Path(__file__).parent), "--one", name, "--threads", str(threads)]
    words += ["--quick"] if quick else []
    # Threads that wait must not spin; this has to be said before torch is there.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode:
        return [Ratio(f"{name} failed with {done.returncode}", float("nan"))]
    return [Ratio(*values) for values in json.loads(done.stdout.splitlines()[-1])]


def main() -> int:
    """Print the table; 1 if a script failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list(SCRIPTS), choices=SCRIPTS)
    parser.add_argument("--one", choices=SCRIPTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        import torch

        torch.set_num_threads(options.threads)
        print(json.dumps(importlib.import_module(options.one).ratios(options.quick)))
        return 0
    failed = False
    print(table([]))
    for name in options.only:
        for ratio in of_script(name, options.quick, options.threads):
            failed |= ratio.value != ratio.value  # NaN
            print(ratio, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
