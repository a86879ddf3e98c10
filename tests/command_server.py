"""A process that has imported what commands need, and forks itself for each: a start takes seconds of a processor.

It reads a line of JSON for each command (arguments, folder, environment, files for its output) and writes its exit status.
"""

from __future__ import annotations

import json
import os
import sys


def serve() -> list[str] | None:
    """In the process of a command its arguments; in the server None, once there are no more commands."""
    for line in sys.stdin:
        asked = json.loads(line)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _become(asked)
            return [str(word) for word in asked["arguments"]]
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def _become(asked: dict[str, object]) -> None:
    """Take the folder, the environment and the files of a command, as a process that was started for it has them."""
    os.chdir(str(asked["folder"]))
    os.environ.clear()
    os.environ.update({str(key): str(value) for key, value in dict(asked["environment"]).items()})  # type: ignore[call-overload]
    files = {
        0: (os.devnull, os.O_RDONLY),
        1: (str(asked["stdout"]), os.O_WRONLY),
        2: (str(asked["stderr"]), os.O_WRONLY),
    }
    for number, (path, flags) in files.items():
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    import lightning  # noqa: F401 - what takes long, and keeps nothing of a process's folder and environment
    import pandas  # noqa: F401
    import scipy.signal  # noqa: F401
    import torchmetrics  # noqa: F401

    import limpid.commands.train
    import limpid.data.datamodules
    import limpid.runs.runner  # noqa: F401
    from limpid.cli import main

    words = serve()
    if words is not None:
        main(words)
