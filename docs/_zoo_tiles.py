"""Make the tiles on which the zoo's own weights are trained, from photographs in packages of Debian 12.

    apt-get download mate-backgrounds plasma-workspace-wallpapers lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 \
        hugin-data opencv-doc
    for file in *.deb; do dpkg-deb -x "$file" "packages/${file%%_*}"; done
    python docs/_zoo_tiles.py packages data/photographs

Each photograph is brought to shorter sides of 1200, 640 and 384 pixels, as far as it is larger, and cut into tiles of
384x384 that overlap where they must; flat ones are left out. Photographs of mist, of dusk and of pale skies alone are
not in the list: a network would learn to leave haze as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

TILE = 384
SIDES = (1200, 640, TILE)
#: Tiles of a standard deviation below this, in grey levels, show nothing.
FLAT = 8.0

#: The folder of each package's photographs, a short name for it, and the photographs.
PHOTOGRAPHS = (
    (
        "hugin-data/usr/share/hugin/xrc/data/help_en_EN",
        "hugin-data",
        "CA_fringes00 CA_tCA00",
    ),
    (
        "lomiri-wallpapers-16.04/usr/share/backgrounds",
        "lomiri-16.04",
        "Dragonfly_by_Bolly Picture_0B_by_freespace Picture_1A_by_freespace "
        "aitzgorri_by_Aitzol_Berasategi free_by_Peter_Nerlich friends_by_Aitzol_Berasategi greentock_by_Peter_Nerlich "
        "life_by_Aitzol_Berasategi picosdeeuropa_by_Aitzol_Berasategi seeding_by_Clements_Engelhardt",
    ),
    ("lomiri-wallpapers-20.04/usr/share/backgrounds", "lomiri-20.04", "Kleiber_by_Lukas_Baubkus"),
    (
        "mate-backgrounds/usr/share/backgrounds/mate/nature",
        "mate",
        "Blinds Dune FreshFlower Garden GreenMeadow LadyBird RainDrops TwoWings YellowFlower",
    ),
    (
        "plasma-workspace-wallpapers/usr/share/wallpapers",
        "plasma",
        "BytheWater ColorfulCups EveningGlow FallenLeaf Kite OneStandsOut Path",
    ),
    (
        "opencv-doc/usr/share/doc/opencv-doc/examples/data",
        "opencv-doc",
        "building leuvenA aloeL fruits stuff home board apple orange",
    ),
    (
        "opencv-doc/usr/share/doc/opencv-doc/examples/text",
        "opencv-doc",
        "scenetext01 scenetext02 scenetext03 scenetext04 scenetext05 scenetext06",
    ),
)


def photographs(packages: Path) -> Iterator[tuple[str, Path]]:
    """The name and the file of each photograph below the folder of unpacked packages."""
    for folder, package, names in PHOTOGRAPHS:
        for name in names.split():
            yield f"{package}_{name}", next(_places(packages / folder, name))


def _places(folder: Path, name: str) -> Iterator[Path]:
    """The file of a photograph: in the folder, or the one size of a wallpaper that has a folder of its own."""
    yield from folder.glob(f"{name}.jpg")
    yield from folder.glob(f"{name}/contents/images/*.jpg")


def tiles(photograph: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """The name and the pixels of each tile of a photograph `(H, W, 3)`."""
    shorter = min(photograph.shape[:2])
    for side in SIDES:
        if side != TILE and shorter < 1.15 * side:
            continue  # it would hardly differ from the next size
        factor = side / shorter
        scaled = cv2.resize(photograph, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        for top in _starts(scaled.shape[0]):
            for left in _starts(scaled.shape[1]):
                tile = scaled[top : top + TILE, left : left + TILE]
                if tile.astype(np.float64).std() >= FLAT:
                    yield f"{side}_{top}_{left}", np.asarray(tile, np.uint8)


def _starts(length: int) -> list[int]:
    """Where tiles begin along a side."""
    places = np.linspace(0, length - TILE, max(1, round(length / TILE)))
    return [int(place) for place in places]


def main(packages: str, output: str) -> None:
    """Write the tiles of all photographs as PNG."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in photographs(Path(packages)):
        photograph = cv2.imread(str(file))
        for place, tile in tiles(np.asarray(photograph, np.uint8)):
            cv2.imwrite(str(folder / f"{name}_{place}.png"), tile)


if __name__ == "__main__":
    main(*sys.argv[1:])
