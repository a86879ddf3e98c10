"""What is asked of `limpid data make`, checked before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limpid import __version__
from limpid.config import instantiate
from limpid.config.recipes import card, merged, names, option
from limpid.errors import UserError, nearest
from limpid.paths import leads_out

#: What is asked besides the operator's own settings.
WORDS = ("input", "output", "count", "seed", "workers", "split", "depth", "crop", "frames", "height", "width")


@dataclass(frozen=True)
class Job:
    """What a split is made of; plain values, so that other processes can do it.

    Args:
        name: of the file in conf/make.
        split: of the set.
        folder: where the set lies.
        files: patterns of its files: `input` and `target`, or `halves` with their `order`.
        source: a card of clean images or pairs, or of frames.
        degradation: the operator's card.
        first: the card of an operator that comes before it where the images are clean.
        seed: of all that is drawn.
        count: how many images; 0 for one of each source.
        crop: side of a random window that is degraded, or None.
        guess: whether depth is guessed (`stand_in_depth`).
        frames: how many successive frames are averaged, or 0.
        place: what the pattern's `{place}` stands for.
    """

    name: str
    split: str
    folder: str
    files: Mapping[str, Any]
    source: Mapping[str, object]
    degradation: Mapping[str, object]
    first: Mapping[str, object] | None = None
    seed: int = 0
    count: int = 0
    crop: int | None = None
    guess: bool = False
    frames: int = 0
    place: str = ""

    @property
    def manifest(self) -> Path:
        """Where the manifest lies."""
        return Path(self.folder) / f"manifest-{self.split}.jsonl"

    def header(self, sources: str) -> dict[str, object]:
        """The first line of the manifest but for the count; images under another header are others.

        Args:
            sources: the fingerprint of the sources.
        """
        written = ("name", "split", "degradation", "first", "seed", "crop", "guess", "frames")
        settings = {key: value for key, value in asdict(self).items() if key in written}
        return {"limpid": __version__, "sources_sha256": sources, **settings}


def plan_jobs(name: str, words: Mapping[str, Any], root: str) -> list[Job]:
    """The splits that are to be made.

    Args:
        name: of the file in conf/make.
        words: what was asked for: `WORDS`, and settings of the operator.
        root: the data root.

    Raises:
        UserError: there is no such file, a word is unknown or missing, or depth is needed and not there.
    """
    content = option("make", name)
    averaged = content.pop("averaged", None)
    if words.get("frames"):
        if averaged is None:
            raise UserError(f"`limpid data make {name}` averages no frames; leave out --frames.")
        content["degradation"] = averaged
    operator = content["degradation"]
    own = {key: value for key, value in words.items() if key not in WORDS}
    for key in own:
        if key not in operator or key == "_target_":
            known = [*WORDS, *(k for k in operator if k != "_target_")]
            hint = nearest(key, known) or f"; it has {', '.join(known)}."
            raise UserError(f"`limpid data make {name}` has no setting {key!r}{hint}")
    splits = content.get("splits") or {"all": {}}
    chosen = words.get("split", content.get("split")) or list(splits)
    chosen = [chosen] if isinstance(chosen, str) else list(chosen)
    for split in chosen:
        if split not in splits:
            raise UserError(f"`limpid data make {name}` has no split {split!r}; there are {', '.join(splits)}.")
    source, guess = _source(name, words, root, bool(content.get("needs_depth")))
    jobs = []
    for split in chosen:
        here = merged(content, splits[split])
        if leads_out(here["folder"]):
            raise UserError(
                f"The folder {here['folder']} of conf/make/{name}.yaml leads out of the output; correct it."
            )
        degradation = {**here["degradation"], **own}
        instantiate.check(degradation, f"make.{name}")
        instantiate.construct(degradation, f"make.{name}")  # a wrong value is said before anything is made
        crop = words.get("crop", here.get("crop"))
        jobs.append(
            Job(
                name,
                split,
                str(Path(str(words.get("output") or Path(root) / "made")).expanduser() / here["folder"]),
                here["files"],
                source,
                degradation,
                here.get("first"),
                _whole(name, "seed", words.get("seed", 0)),
                _whole(name, "count", words.get("count", here.get("count")) or 0),
                None if crop is None else _whole(name, "crop", crop),
                guess,
                _whole(name, "frames", words.get("frames") or 0),
                here.get("place", ""),
            )
        )
    return jobs


def _whole(name: str, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f"{key} of `limpid data make {name}` is {value!r}, but it must be a whole number from 0 on.")
    return value


def _source(name: str, words: Mapping[str, Any], root: str, needs_depth: bool) -> tuple[dict[str, object], bool]:
    """The card of the images that are degraded, and whether their depth is guessed."""
    given_input, depth = words.get("input"), words.get("depth")
    if given_input is None:
        raise UserError(f"`limpid data make {name}` lacks --input; give a folder of clean images, or --input scenes.")
    known, _, split = str(given_input).partition(":")
    if known == "scenes":
        count = _whole(name, "count", words.get("count") or 0)
        if not count:
            raise UserError("Scenes have no end; say how many with --count.")
        size = {side: int(words.get(side, default)) for side, default in (("height", 240), ("width", 320))}
        settings = {**card("parts/scenes", root), "count": count, "split": split or "test", **size}
        has_depth = True
    elif not Path(str(given_input)).expanduser().is_dir() and known in names("dataset"):
        settings = {**card(known, root), **({"split": split} if split else {})}
        has_depth = settings.get("depth") is not None
    else:
        settings = {**card("clean", str(Path(str(given_input)).expanduser())), "roots": ["."], "images": [".", "*"]}
        has_depth = False
    if depth is not None and depth != "stand_in":
        settings, has_depth = {**settings, "depth": str(Path(str(depth)).expanduser().resolve())}, True
    if needs_depth and not has_depth and depth != "stand_in":
        raise UserError(
            f"`limpid data make {name}` needs the depth of every image; give --depth FOLDER with a .npy for each, "
            "--input scenes or --input nyu_depth, which have it, or --depth stand_in, which guesses it and is no "
            "measurement."
        )
    return settings, depth == "stand_in"
