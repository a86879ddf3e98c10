"""`limpid predict`: restore photographs, each to a file of the same kind."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limpid.errors import UserError, printable

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from limpid.methods import Method
    from limpid.predicting.asked import Asked
    from limpid.predicting.choosing import Chooser
    from limpid.predicting.layout import Task
    from limpid.predicting.settings import Settings

HELP = """limpid predict input=PHOTOS output=FOLDER [OVERRIDE ...]
limpid predict model=NAME|[NAME,...] input=PHOTOS output=FOLDER [OVERRIDE ...]
limpid predict ckpt=PATH|zoo:NAME input=PHOTOS output=FOLDER [OVERRIDE ...]

Restores a photograph, every photograph in a folder and its folders, or those a pattern names. Each result keeps its
name, size, bit depth (8 or 16), alpha, colour profile and EXIF, upright, and says which method made it. Without model
and ckpt each photograph gets the best method at hand for what is wrong with it, by measured scores (also model=auto);
without any word what suits which weather is listed.

  limpid predict input=photos/ output=clear/                      guesses haze, sand, rain or blur, and says why
  limpid predict model=haze input=photos/ output=clear/           the default weights of a task: haze, rain, sand ...
  limpid predict model=wmcp input=photos/ output=clear/
  limpid predict model=dcp input=hazy.jpg output=clear.jpg
  limpid predict model=rfd_student input=photos/ output=clear/    with its weights from the zoo; see limpid zoo list
  limpid predict model=[dcp,wmcp,rfd_student] input=photos/ output=clear/ compare=true    a folder and a column each
  limpid predict model=dcp input=clip.mp4 output=clear.mp4        a video, with its sound; the same command goes on
  limpid predict ckpt=runs/.../best.ckpt input='photos/**/*.png' output=clear/

compare=true      also input and results side by side, and all of them on sheets: output/compare/
save=[depth,transmission,airlight]   also what a prior found on its way, beside the result: a.png_depth.png ...
strength=0.5      half of the change; 0 to 1
suffix=png        the format of the results; otherwise each keeps its own
overwrite=true    replace outputs that exist; otherwise what this method made is skipped, so that a second run goes on,
                  and what another method or program made is kept and named
inference=full|padded|tiled|adaptive how large images go through a network (inference.tile=512 ...)
precision=bf16    sooner where the processor computes in it, and up to a few grey levels from float32 (32)
video.crf=18, video.preset=medium, video.lossless=false, video.smoothing=1   how videos are written, and kept from
                  flickering
device=cpu, megapixels=200, quality=95, overlap=12, network.*=..."""

_KEYS = (
    "input",
    "output",
    "overwrite",
    "compare",
    "save",
    "suffix",
    "strength",
    "quality",
    "megapixels",
    "overlap",
    "sheet",
    "device",
    "inference",
    "precision",
    "video",
)


def run(arguments: list[str]) -> int:
    """The exit status, after composing and restoring."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return 0
    if any(a in ("-m", "--multirun") for a in arguments):
        raise UserError("limpid predict takes several models as model=[NAME,NAME]; leave out -m.")
    from limpid.config.compose import launch_once
    from limpid.predicting.asked import asked

    wanted = asked(arguments)
    launch_once("predict", list(wanted.words), functools.partial(_job, wanted))
    return 0


def _job(wanted: Asked, config: DictConfig) -> None:
    from omegaconf import OmegaConf

    from limpid.config.compose import plain_values, settle_permissions, typed
    from limpid.config.settings import refuse_values
    from limpid.predicting.layout import layout
    from limpid.predicting.photographs import found
    from limpid.predicting.settings import settings
    from limpid.predicting.videos import holds_videos, videos_in
    from limpid.runs.select_network import refuse_others

    refuse_others("predict", _KEYS)
    refuse_values(plain_values(config), "predict")
    settle_permissions(config, typed())
    plain: dict[str, Any] = {key: config[key] for key in _KEYS if not OmegaConf.is_missing(config, key)}
    chosen = settings(plain)
    for key in ("input", "output"):
        if not plain.get(key):
            raise UserError(f"limpid predict lacks {key}; give {key}=PATH.")
    output = str(config.output)
    videos = videos_in(str(config.input), output)
    if videos:
        _restore_videos(wanted, config, chosen, videos)
        return
    files = found(str(config.input), Path(output))
    names = [] if len(wanted.names) < 2 else wanted.folders()
    places = layout(files, output, chosen.suffix, names, chosen.compare)
    methods, chooser = _methods(wanted, config, chosen)

    from limpid.predicting.names import shown
    from limpid.predicting.restoring import Restoration

    work = Restoration(places, methods, chosen, chooser)
    summary = work.run()
    print(f"{summary.says()}: {shown(places.folder)}")
    if files.left_out:
        print(printable(f"left out: {files.says()}"))
        if holds_videos(files.left_out):
            print("videos are restored by a command of their own: input='FOLDER/**/*.mp4', or a file")
    if work.comparisons is not None and work.comparisons.sheets:
        sheets = ", ".join(map(shown, work.comparisons.sheets))
        print(f"side by side: {shown(places.comparisons)}, all on one sheet: {sheets}")
    for note in summary.notes:
        print(printable(note), file=sys.stderr)
    summary.problems += files.problems
    summary.refuse_failures(len(places.tasks), places.folder)


def _made(config: DictConfig, group: str) -> Any:
    """The object that a group of the configuration describes.

    Raises:
        UserError: one of its settings is unknown, or of another kind than it takes.
    """
    from omegaconf import OmegaConf

    from limpid.config import instantiate

    plain = OmegaConf.to_container(config[group], resolve=True)
    instantiate.check(plain, group)
    return instantiate.construct(plain, group)


def _restore_videos(wanted: Asked, config: DictConfig, chosen: Settings, videos: Sequence[Task]) -> None:
    from limpid.predicting.videos import VideoWork, video_places

    folders = [] if len(wanted.names) < 2 else wanted.folders()
    places = video_places(videos, str(config.input), str(config.output), folders, chosen)
    settings = _made(config, "video")
    methods, chooser = _methods(wanted, config, chosen)
    VideoWork(places, methods, chosen, settings, chooser).run()


def _methods(wanted: Asked, config: DictConfig, chosen: Settings) -> tuple[list[Method], Chooser | None]:
    """What restores, and what chooses among it.

    Raises:
        UserError: something has no weights, or cannot give the maps that were asked for.
    """
    from limpid.methods import method

    inference = _made(config, "inference")
    device, allow = str(config.device), _packages(config)
    nonfree = bool(config.allow_nonfree)
    chooser = None
    if wanted.auto:
        from limpid.predicting.choosing import Chooser

        chooser = Chooser()
        methods = [method(name, device, inference, allow, nonfree) for name in chooser.names]
    elif wanted.names:
        methods = [method(name, device, inference, allow, nonfree) for name in wanted.networks()]
    else:
        methods = [_composed(config, inference)]
    for one in methods:
        # What a network with weights finds beside its result is for its training: not the maps of a prior.
        trained = any(True for _ in one.network.parameters())
        if chosen.save and (trained or not hasattr(one.network, "estimate")):
            raise UserError(
                f"The model {one.name} does not estimate the {chosen.save[0]}; save works with wmcp, dcp, kim2020, "
                "mof, rop, rop_plus and zid."
            )
    return methods, chooser


def _packages(config: DictConfig) -> list[str]:
    """The packages in ``allow_targets``.

    Raises:
        UserError: it is no list.
    """
    from omegaconf import ListConfig

    if not isinstance(config.allow_targets, ListConfig):
        raise UserError(f"allow_targets is {config.allow_targets!r}, but it must be a list: allow_targets=[PACKAGE].")
    return [str(package) for package in config.allow_targets]


def _composed(config: DictConfig, inference: Any) -> Method:
    """The method that Hydra's words choose.

    Raises:
        UserError: it has no weights.
    """
    from limpid import zoo
    from limpid.methods import device_named, method_of
    from limpid.runs.select_network import chosen_network

    device = device_named(str(config.device))
    network, name, trained, ckpt, settings = chosen_network(config, weights=True)
    if not trained:
        raise UserError(
            f"The model {name} has no weights to restore with; give ckpt=PATH, or "
            f"ckpt={zoo.how_to_name(name)}, or train it first with `limpid train model={name}`."
        )
    return method_of(network, name, ckpt, device, inference, settings)
