"""`limpid predict`: restore photographs, each to a file of the same kind."""

from __future__ import annotations

import glob
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig, OmegaConf

from limpid.config.compose import launch_once
from limpid.errors import UserError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from limpid.data.photo_io import Photograph
    from limpid.inference import Inference
    from limpid.results.contact_sheet import ContactSheet

HELP = """limpid predict model=NAME|ckpt=PATH|ckpt=zoo:NAME input=PHOTOS output=FOLDER [OVERRIDE ...]

Restores a photograph, every photograph in a folder and its folders, or those a pattern names. Each result keeps its
name, size, bit depth (8 or 16), alpha, colour profile and EXIF, upright.

  limpid predict model=wmcp input=photos/ output=clear/
  limpid predict model=dcp input=hazy.jpg output=clear.jpg
  limpid predict model=rfd_student input=photos/ output=clear/    with its weights from the zoo; see limpid zoo list
  limpid predict ckpt=runs/.../best.ckpt input='photos/**/*.png' output=clear/ compare=true

compare=true      also input and result side by side, and all of them on one sheet: output/compare/
save=[depth,transmission,airlight]   also what a prior found on its way
overwrite=true    replace outputs that exist; otherwise they are skipped, so that a second run goes on
inference=full|padded|tiled|adaptive how large images go through a network (inference.tile=512 ...)
device=cpu, megapixels=200, quality=95, network.*=..."""

_KEYS = ("input", "output", "overwrite", "compare", "save", "quality", "megapixels", "device", "inference")

#: What `save` names, and the field of a prior's estimate that holds it.
_MAPS = {"depth": "scene_depth", "transmission": "transmission", "airlight": "airlight"}


class _Task(NamedTuple):
    """One photograph: where it is, where its result goes, and the result's place below the output folder."""

    source: Path
    target: Path
    relative: Path


def run(arguments: list[str]) -> int:
    """The exit status, after composing and restoring."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return 0
    if any(a in ("-m", "--multirun") for a in arguments):
        raise UserError("limpid predict restores one input with one model; leave out -m and give the command twice.")
    launch_once("predict", arguments, _job)
    return 0


def _job(config: DictConfig) -> None:
    from limpid.config.kinds import refuse_values
    from limpid.methods import device_named
    from limpid.runs.select_network import chosen_network, refuse_others

    refuse_others("predict", _KEYS)
    refuse_values(config, "predict")
    for key in ("input", "output"):
        if OmegaConf.is_missing(config, key):
            raise UserError(f"limpid predict lacks {key}; give {key}=PATH.")
    folder, tasks = _tasks(str(config.input), str(config.output))
    device = device_named(config.device)
    from limpid.config import instantiate

    inference = instantiate.construct(OmegaConf.to_container(config.inference, resolve=True), "inference")
    network, name, trained, _ = chosen_network(config, weights=True)
    if not trained:
        raise UserError(
            f"The model {name} has no weights to restore with; give ckpt=PATH, or ckpt=zoo:NAME (`limpid zoo list` "
            f"names them), or train it first with `limpid train model={name}`."
        )
    from limpid.priors.trivial import Identity

    if isinstance(network, Identity):
        raise UserError(f"The model {name} has no network of its own, so it restores nothing; choose another.")
    for what in config.save:
        if what not in _MAPS:
            raise UserError(f"save={what} is unknown{nearest(what, _MAPS) or '; it takes ' + ', '.join(_MAPS) + '.'}")
        if not hasattr(network, "estimate"):
            raise UserError(f"The model {name} does not estimate the {what}; save works with priors such as wmcp, dcp.")
    _restore_all(_Session(network.to(device), inference, config, folder), tasks)


def _tasks(given: str, output: str) -> tuple[Path, list[_Task]]:
    """The output folder and what is to be restored.

    Raises:
        UserError: there is nothing to restore, or a result would be written over its own input.
    """
    from limpid.data.photo_io import FORMATS

    source, target = Path(given), Path(output)
    if source.is_file():
        to_file = target.suffix.lower() in FORMATS and not target.is_dir()
        file = target if to_file else target / source.name
        tasks = [_Task(source, file, Path(file.name))]
        folder = file.parent
    else:
        base, photographs = _found(source, given)
        tasks = [
            _Task(file, target / file.relative_to(base), file.relative_to(base))
            for file in photographs
            if target.resolve() not in file.resolve().parents or target.resolve() == base.resolve()
        ]
        folder = target
    tasks = [task for task in tasks if task.source.suffix.lower() in FORMATS]
    if not tasks:
        kinds = ", ".join(sorted(suffix[1:] for suffix in FORMATS))
        raise UserError(f"There is no photograph in {given} ({kinds}); give input=PATH to one, a folder or a pattern.")
    for task in tasks:
        if task.target.exists() and task.target.samefile(task.source):
            raise UserError(f"The result of {task.source} would be written over it; give another output.")
    return folder, tasks


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _found(source: Path, given: str) -> tuple[Path, list[Path]]:
    """The folder that relative names start from, and the files in it, by name."""
    if source.is_dir():
        return source, sorted(p for p in source.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(source)))
    if glob.has_magic(given):
        fixed = source
        while glob.has_magic(str(fixed)):
            fixed = fixed.parent
        return fixed, sorted(Path(p) for p in glob.glob(given, recursive=True) if Path(p).is_file())  # noqa: PTH207
    raise UserError(f"There is no file or folder {given}; give input=PATH to a photograph, a folder or a pattern.")


class _Session(NamedTuple):
    """What stays the same from one photograph to the next."""

    network: nn.Module
    inference: Inference
    config: DictConfig
    folder: Path


def _restore_all(session: _Session, tasks: list[_Task]) -> None:
    """Restore each photograph; those that cannot be are named at the end.

    Raises:
        UserError: some could not be restored.
    """
    from limpid.results.contact_sheet import ContactSheet

    overwrite, compare = bool(session.config.overwrite), bool(session.config.compare)
    sheet = ContactSheet() if compare else None
    skipped, failed = 0, []
    for task in _with_progress(tasks):
        exists = task.target.exists() and not overwrite
        skipped += exists
        try:
            if not exists:
                _restore_one(session, task)
            if sheet is not None:
                _compare(session, task, sheet)
        except UserError as error:
            failed.append(str(error))
    done = len(tasks) - skipped - len(failed)
    words = [f"{done} restored"] + ([f"{skipped} skipped that exist (overwrite=true replaces them)"] if skipped else [])
    print(f"{', '.join(words)}: {session.folder}")
    if sheet is not None and len(failed) < len(tasks):
        sheet_file = session.folder / "compare" / "sheet.jpg"
        sheet.write(sheet_file)
        print(f"side by side: {sheet_file.parent}, all on one sheet: {sheet_file}")
    if failed:
        raise UserError(f"{len(failed)} of {len(tasks)} photographs could not be restored:\n  " + "\n  ".join(failed))


def _with_progress(tasks: list[_Task]) -> Iterator[_Task]:
    """The tasks, with a bar on a terminal and elsewhere a line for each, on stderr."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if console.is_terminal:
        yield from track(tasks, "restoring", console=console)
        return
    for number, task in enumerate(tasks, 1):
        start = time.perf_counter()
        yield task
        print(f"{number}/{len(tasks)} {task.relative} {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)


def _restore_one(session: _Session, task: _Task) -> None:
    import torch

    from limpid.data.photo_io import read_photograph, write_photograph

    photograph = read_photograph(task.source, session.config.megapixels)
    x = torch.from_numpy(photograph.pixels.transpose(2, 0, 1))[None]
    if session.config.save:
        estimate = session.network.estimate(x)  # type: ignore[operator]
        restored = estimate.restored
        _save_maps(session, task, estimate)
    else:
        restored = session.inference(session.network, x)
    del x
    write_photograph(task.target, restored[0].permute(1, 2, 0).numpy(), photograph, session.config.quality)


def _save_maps(session: _Session, task: _Task, estimate: object) -> None:
    """Maps as 16-bit grey PNGs (transmission as it is, depth relative to the furthest point), airlight as JSON."""
    from limpid.store.atomic_io import write_json

    for what in session.config.save:
        values = getattr(estimate, _MAPS[what])[0]
        beside = task.target.with_name(f"{task.target.stem}_{what}")
        if what == "airlight":
            write_json(beside.with_suffix(".json"), {"airlight": [round(float(v), 6) for v in values]})
            continue
        if what == "depth":
            values = values / values.amax().clamp(min=1e-6)
        _write_map(beside.with_suffix(".png"), values[0].numpy())


def _write_map(path: Path, values: NDArray[np.float32]) -> None:
    import numpy as np

    from limpid.data.photo_io import Photograph, write_photograph

    pixels = np.repeat(values[..., None], 3, axis=2).astype(np.float32)
    write_photograph(path, pixels, Photograph(pixels, 65535, True, None, None, None))


def _compare(session: _Session, task: _Task, sheet: ContactSheet) -> None:
    """Input and result side by side, and onto the sheet."""
    from limpid.data.photo_io import read_photograph
    from limpid.results.contact_sheet import side_by_side, write_jpeg

    before: Photograph
    before, after = (read_photograph(file, session.config.megapixels) for file in (task.source, task.target))
    sheet.add(str(task.relative), [before.pixels, after.pixels])
    beside = session.folder / "compare" / task.relative.with_suffix(".jpg")
    write_jpeg(beside, side_by_side([before.pixels, after.pixels]))
