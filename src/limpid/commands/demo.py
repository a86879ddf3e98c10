"""`limpid demo`: photographs restored by both priors, and one picture to look at."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

from limpid.errors import UserError, nearest

HELP = """limpid demo [photos=DIR] [output=demo]

Puts haze on the photographs that come inside installed packages, restores them, and every photograph in `photos`, with
the dark channel prior and with WMCP-EM, and puts all on one sheet: input, DCP, WMCP-EM, the truth where it is known."""

#: Haze for the photographs inside packages: scattering coefficient and the brightness of the airlight.
_BETA, _AIRLIGHT = 1.4, 0.85
_SIZE = (288, 384)
_METHODS = ("dcp", "wmcp")


def run(arguments: list[str]) -> int:
    """Restore, and show where the picture is; the exit status."""
    if "--help" in arguments or "-h" in arguments:
        print(HELP)
        return 0
    asked = {"photos": "", "output": "demo"}
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key not in asked:
            hint = nearest(key, asked) or "; it takes photos and output."
            raise UserError(f"limpid demo does not take {key!r}{hint}")
        asked[key] = value
    output = Path(asked["output"])
    _write_hazy(output / "hazy", output / "truth")
    folders = [(output / "hazy", output / "restored")]
    if asked["photos"]:
        folders.append((Path(asked["photos"]), output / "restored_photos"))
    from limpid.commands import predict

    for source, restored in folders:
        for method in _METHODS:
            predict.run([f"model={method}", f"input='{source}'", f"output='{restored / method}'", "overwrite=true"])
    sheet = _sheet(folders, output)
    print(f"look at {sheet}: input, DCP, WMCP-EM, and the truth where it is known")
    if sys.stdout.isatty() and (os.environ.get("DISPLAY") or sys.platform in ("darwin", "win32")):
        webbrowser.open(sheet.resolve().as_uri())
    return 0


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
    """One picture of all."""
    from limpid.data.photo_io import FORMATS, read_photograph
    from limpid.results.contact_sheet import ContactSheet

    sheet = ContactSheet()
    for source, restored in folders:
        for file in sorted(p for p in source.rglob("*") if p.suffix.lower() in FORMATS):
            name = file.relative_to(source)
            others = [restored / method / name for method in _METHODS] + [output / "truth" / name]
            known = others if source == output / "hazy" else others[:-1]
            sheet.add(str(name), [read_photograph(f).pixels for f in (file, *known) if f.is_file()])
    place = output / "look.jpg"
    sheet.write(place)
    return place
