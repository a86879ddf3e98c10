"""`limpid demo`: photographs restored by both priors, and one picture to look at."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from limpid.commands.command_parser import CommandParser
from limpid.surroundings import refuse_unwritable

#: Haze for the photographs inside packages: scattering coefficient and the brightness of the airlight.
_BETA, _AIRLIGHT = 1.4, 0.85
_SIZE = (288, 384)
_METHODS = ("dcp", "wmcp")


def run(arguments: list[str]) -> int:
    """The exit status, after photographs are restored and the picture is shown."""
    chosen = _parser().parse_args(arguments)
    output: Path = chosen.output
    refuse_unwritable(output)
    _write_hazy(output / "hazy", output / "truth")
    folders = [(output / "hazy", output / "restored")]
    if chosen.photos:
        folders.append((Path(chosen.photos), output / "restored_photos"))
    from limpid.commands import predict

    for source, restored in folders:
        for method in _METHODS:
            paths = [f"input={_quoted(source)}", f"output={_quoted(restored / method)}"]
            predict.run([f"model={method}", *paths, "overwrite=true"])
    sheet = _sheet(folders, output)
    print(f"look at {sheet}: input, DCP, WMCP-EM, and the truth where it is known")
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform in ("darwin", "win32")):
        webbrowser.open(sheet.resolve().as_uri())
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="limpid demo",
        description="Puts haze on the photographs that come inside installed packages, restores them, and every "
        "photograph in PHOTOS,\nwith the dark channel prior and with WMCP-EM, and puts all on one sheet: input, DCP, "
        "WMCP-EM, the truth where it is known.",
    )
    parser.add_argument("--photos", default="", metavar="DIR", help="a folder of your own photographs")
    parser.add_argument("--output", default="demo", type=Path, metavar="DIR", help="where all goes (demo)")
    return parser


def _quoted(path: Path) -> str:
    """The text of `path` in quotes that Hydra's grammar takes literally."""
    return "'" + str(path).replace("'", r"\'").replace("${", r"\${") + "'"


def _write_hazy(hazy: Path, truth: Path) -> None:
    """Every photograph inside a package, clean and hazed."""
    import numpy as np

    from limpid.data.degradations.haze import scatter, transmission_from_depth
    from limpid.data.image_io import write_image
    from limpid.data.scenes.photographs import PHOTOGRAPHS, crop_photograph, installed

    for split in PHOTOGRAPHS:
        for photograph in installed(split):
            image, depth = crop_photograph(np.random.default_rng(0), photograph, *_SIZE)
            name = f"{Path(photograph.path).stem}.png"
            write_image(truth / name, image)
            transmission = transmission_from_depth(depth, _BETA)[..., None]
            write_image(hazy / name, scatter(image, transmission, _AIRLIGHT))


def _sheet(folders: list[tuple[Path, Path]], output: Path) -> Path:
    """The path of the picture that shows all of them."""
    from limpid.data.photo_io import FORMATS, read_photograph
    from limpid.results.contact_sheet import ContactSheet

    sheet = ContactSheet()
    for source, restored in folders:
        for file in sorted(p for p in source.rglob("*") if p.suffix.lower() in FORMATS):
            name = file.relative_to(source)
            others = [restored / method / name for method in _METHODS] + [output / "truth" / name]
            known = others if source == output / "hazy" else others[:-1]
            sheet.add(str(name), [read_photograph(f).pixels for f in (file, *known) if f.is_file()])
    picture_file = output / "look.jpg"
    sheet.write(picture_file)
    return picture_file
