"""`limpid export`: a network as files for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from limpid.config.compose import launch_once, plain_values
from limpid.errors import CannotRun, UserError

if TYPE_CHECKING:
    from limpid.exporting import Subject

HELP = """limpid export ckpt=PATH|zoo:NAME|model=NAME format=FORMAT output=FILE_OR_FOLDER [OVERRIDE ...]

Writes a trained network for other programs, alone, without what trained it. A graph takes images of any number and
size, and is run and compared with the network before it is kept.

  limpid export ckpt=runs/.../best.ckpt format=onnx output=student.onnx
  limpid export ckpt=zoo:NAME format=all output=exported/
  limpid export model=gamma format=torch output=gamma.pt2

format=onnx          a graph that onnxruntime runs (needs `pip install 'limpid[export]'`)
format=torch         a graph that torch.export.load reads (.pt2), without Limpid
format=safetensors   the weights, which ckpt=FILE takes again, with a card beside them
format=all           each of them that the network can
check=false          write without comparing; tolerance=1e-4 is the largest difference allowed
overwrite=true       replace files that exist; otherwise they are kept
opset=18             version of ONNX's operators"""

_KEYS = ("output", "format", "opset", "check", "tolerance", "overwrite")
_ALL = "all"


def run(arguments: list[str]) -> int:
    """The exit status, after composing and exporting."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return 0
    if any(a in ("-m", "--multirun") for a in arguments):
        raise UserError("limpid export writes one network; leave out -m and give the command twice.")
    from limpid.runs.select_network import with_aliases

    launch_once("export", with_aliases(arguments), _job)
    return 0


def _job(config: DictConfig) -> None:
    from limpid.config.settings import refuse_values
    from limpid.runs.select_network import refuse_others
    from limpid.surroundings import refuse_unwritable

    refuse_others("export", _KEYS)
    refuse_values(plain_values(config), "export")
    _refuse_missing(config)
    subject, source = _subject(config)
    places = _places(config.format, Path(config.output), subject, source)
    existing = [] if config.overwrite else [form for form, path in places.items() if path.exists()]
    for form in existing:
        print(f"{places[form]} exists and is kept (overwrite=true replaces it)")
    for path in places.values():
        refuse_unwritable(path.parent)
    _export({form: path for form, path in places.items() if form not in existing}, subject, config)


def _refuse_missing(config: DictConfig) -> None:
    if OmegaConf.is_missing(config, "output"):
        raise UserError("limpid export lacks output; give output=PATH, a file or a folder.")


def _subject(config: DictConfig) -> tuple[Subject, Path | None]:
    """The network that is exported, with its settings, and the file that its weights come from.

    Raises:
        UserError: there are no weights, or nothing that restores.
    """
    from limpid import checkpoint, zoo
    from limpid.exporting import Subject
    from limpid.priors.trivial import Identity
    from limpid.runs.select_network import chosen_network

    chosen = chosen_network(config, weights=True)
    if not chosen.trained:
        raise UserError(
            f"The model {chosen.name} has no weights to export; give ckpt=PATH, or "
            f"ckpt={zoo.how_to_name(chosen.name)}, or train it first with `limpid train model={chosen.name}`."
        )
    if isinstance(chosen.network, Identity):
        raise UserError(f"The model {chosen.name} has no network of its own, so nothing is exported; choose another.")
    if chosen.ckpt is None:
        settings: Any = OmegaConf.to_container(config.network, resolve=True)
        del settings["_target_"]
        return Subject(chosen.network, HydraConfig.get().runtime.choices["network"], settings, {}), None
    loaded = checkpoint.read(Path(chosen.ckpt))
    name = zoo.parse_zoo_name(chosen.ckpt)
    source = Path(chosen.ckpt) if name is None else zoo.find(name).weights
    return Subject(chosen.network, loaded["network"], loaded["network_config"], loaded["provenance"]), source


def _places(form: str, output: Path, subject: Subject, source: Path | None) -> dict[str, Path]:
    """The file of each format asked for; in a folder it has the name of the network, or of its entry in the zoo.

    Raises:
        UserError: `output` is the file of another format, or the weights themselves.
    """
    from limpid.exporting import SUFFIXES

    others = {*SUFFIXES.values(), ".pt", ".pth", ".ckpt"}
    to_file = output.suffix in others and not output.is_dir()
    if to_file and form == _ALL:
        raise UserError(f"format=all writes several files, so output={output} must be a folder.")
    if to_file and output.suffix != SUFFIXES[form]:
        raise UserError(f"format={form} writes a file {SUFFIXES[form]}, and output={output} is named otherwise.")
    forms = list(SUFFIXES) if form == _ALL else [form]
    stem = subject.provenance.get("zoo") or subject.name
    places = {one: output if to_file else output / f"{stem}{SUFFIXES[one]}" for one in forms}
    for path in places.values():
        if source is not None and path.exists() and path.samefile(source):
            raise UserError(f"The result would be written over {source}; give another output.")
    return places


def _export(places: dict[str, Path], subject: Subject, config: DictConfig) -> None:
    """Write the files; of several, those that cannot be are told.

    Raises:
        CannotRun: the only one cannot be.
    """
    from limpid.exporting import COMPARED, export, reason

    refused = {form: why for form in places if (why := reason(subject, form))}
    if config.format != _ALL and refused:
        raise CannotRun(refused[config.format])
    for why in refused.values():
        print(why, file=sys.stderr)
    sizes = " and ".join(f"{height}x{width}" for _, height, width in COMPARED)
    possible = {form: path for form, path in places.items() if form not in refused}
    for written in export(subject, possible, config.opset, config.check, config.tolerance):
        words = f"{written.path} ({written.path.stat().st_size / 2**20:.2f} MB)"
        if written.difference is not None:
            words += f", largest difference to the network {written.difference:.1e} at {sizes} pixels"
        print(words, flush=True)
