"""On PYTHONPATH, this stops a process inside the writing of a checkpoint, where it waits to be killed.

Python imports a module of this name before anything else, so that the command under test stays as it is. `STOP_AT` is
`STAGE:COUNT:SHARE`: at the first chance from the COUNT-th checkpoint on that this process writes, stop at STAGE.

- half: the file beside the place holds only SHARE of its bytes;
- written: it is whole;
- linked: the checkpoint before has its second name;
- kept: the checkpoint before is `.previous`, and still has its own name too;
- moved: the new one has its name.

The file named by `STOPPED` is made then.
"""

import os
import time
from pathlib import Path

if "STOP_AT" in os.environ:
    stage, count, share = os.environ["STOP_AT"].split(":")
    written = 0
    fsync, link, replace = os.fsync, os.link, os.replace

    def stop_if(here: bool) -> None:
        if here and written >= int(count):
            Path(os.environ["STOPPED"]).touch()
            while True:
                time.sleep(60)

    def stopping_fsync(descriptor: int) -> None:
        global written
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.endswith(".ckpt.part"):
            written += 1
            if stage == "half" and written >= int(count):
                os.ftruncate(descriptor, int(float(share) * os.fstat(descriptor).st_size))
            fsync(descriptor)
            stop_if(stage in ("half", "written"))
        else:
            fsync(descriptor)

    def stopping_link(source: object, target: object, **more: object) -> None:
        link(source, target, **more)  # type: ignore[arg-type]
        stop_if(stage == "linked" and str(target).endswith(".ckpt.keep"))

    def stopping_replace(source: object, target: object, **more: object) -> None:
        replace(source, target, **more)  # type: ignore[arg-type, call-overload]
        name = str(source)
        stop_if((stage == "kept" and name.endswith(".ckpt.keep")) or (stage == "moved" and name.endswith(".ckpt.part")))

    os.fsync, os.link, os.replace = stopping_fsync, stopping_link, stopping_replace  # type: ignore[assignment]
