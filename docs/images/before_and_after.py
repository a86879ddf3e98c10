"""The page docs/before_and_after.md and its pictures: `python docs/images/before_and_after.py`.

Only from photographs inside scikit-image and scikit-learn that Limpid's scenes keep for tests, degraded by Limpid's own
operators. For each task what its alias stands for restores, else what `limpid predict` takes by itself, if anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from sklearn.datasets import load_sample_image

import limpid
from limpid import zoo
from limpid.data import degradations
from limpid.metrics import psnr
from limpid.offers import choice, offers

HERE = Path(__file__).parent
PAGE = HERE.parent / "before_and_after.md"
#: Height and width of the middle that is shown of a photograph, in its own pixels.
PART = (330, 440)
QUALITY = 85
SEED = 3

Picture = NDArray[np.uint8]


class Source(NamedTuple):
    """A photograph: what reads it, RGB of 8 bits, and whose it is."""

    read: Callable[[], Picture]
    whose: str


class Task(NamedTuple):
    """What is shown for one task: its title, its weather, the photograph, what is put on it, and that in words."""

    title: str
    weather: str
    photograph: Source
    operator: degradations.Operator
    what: str


CHINA = Source(
    lambda: load_sample_image("china.jpg"),
    "[china.jpg](https://www.flickr.com/photos/danielbuechele/6061409035/) by danielbuechele, CC BY 2.0",
)
COFFEE = Source(data.coffee, "coffee.png of scikit-image by Rachel Michetti, CC0")

#: By the alias of the weights.
TASKS = {
    "haze": Task(
        "Haze",
        "haze",
        CHINA,
        degradations.Haze(beta=[1.2, 1.2], airlight=[0.9, 0.9], depth="stand_in"),
        "haze of a scattering coefficient of 1.2 in airlight of 0.9, over a depth that is guessed",
    ),
    "rain": Task(
        "Rain",
        "rain",
        CHINA,
        degradations.Rain(level="medium", veil=[0.1, 0.1]),
        "medium rain: streaks, and a veil of 0.1",
    ),
    "blur": Task(
        "Motion blur",
        "blur",
        COFFEE,
        degradations.CameraShake(length=[12.0, 12.0]),
        "a camera that moves by 12 pixels while the shutter is open",
    ),
    "sand": Task(
        "Sand and dust",
        "sand",
        CHINA,
        degradations.Sand(beta=[0.45, 0.45], depth="stand_in"),
        "a sandstorm in a colour of real ones, over a depth that is guessed",
    ),
    "noise": Task(
        "Noise with JPEG",
        "hybrid",
        COFFEE,
        degradations.Chain([degradations.Noise([25.0, 25.0]), degradations.Jpeg([40.0, 40.0])]),
        "noise of a standard deviation of 25 grey levels, then JPEG at quality 40",
    ),
}


def main() -> None:
    """Write every picture and the page."""
    parts = [
        "# Before and after",
        "Each picture shows the degraded photograph, what `limpid` makes of it, and the photograph itself: the middle, "
        "in its own pixels. The photographs are free to show, and Limpid's scenes keep them for tests; what is wrong "
        "with them was made by Limpid's own operators, so that the truth is known. Real photographs are harder. "
        "`python docs/images/before_and_after.py` makes this page anew.",
    ]
    for alias, task in TASKS.items():
        parts += [f"## {task.title}", *shown(alias, task)]
    PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(PAGE.name)


def shown(alias: str, task: Task) -> list[str]:
    """The paragraphs on a task, once its picture is written."""
    file = HERE / f"before_and_after_{alias}.jpg"
    method = method_for(alias, task.weather)
    if method is None:
        file.unlink(missing_ok=True)
        return [f"Nothing here takes away {task.title.lower()} well enough yet."]
    clear = task.photograph.read()
    degraded = eight_bit(
        task.operator({"target": clear.astype(np.float32) / 255}, np.random.default_rng(SEED))["input"]
    )
    restored = limpid.restore(degraded, method, device="cpu")
    strip = np.concatenate(
        [np.pad(part(one), ((0, 0), (0, 4), (0, 0)), constant_values=255) for one in (degraded, restored, clear)],
        axis=1,
    )[:, :-4]
    cv2.imwrite(str(file), strip[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    before, after = (float(psnr(tensor(one), tensor(clear))) for one in (degraded, restored))
    print(f"{file.name}: {method}, {before:.1f} to {after:.1f} dB, {file.stat().st_size:,} bytes")
    card = zoo.aliases().get(method)
    name = method.removeprefix(zoo.PREFIX) if card is None else card.name
    gain = f"`{name}`: {before:.1f} dB before, {after:.1f} dB after."
    return [
        f"![{task.title}: before, after, the photograph](images/{file.name})",
        f"    limpid predict model={method} input=photos/ output=clear/",
        f"{gain} Made: {task.what}. Photograph: {task.photograph.whose}.",
    ]


def method_for(alias: str, weather: str) -> str | None:
    """What restores: the alias, where it stands for anything, else the best at hand; None where nothing is."""
    if alias in zoo.aliases():
        return alias
    taken = choice(weather, offers())
    return None if taken is None else taken.offer.name


def part(picture: Picture) -> Picture:
    """The middle of a picture."""
    top, left = ((size - wanted) // 2 for size, wanted in zip(picture.shape, PART, strict=False))
    return picture[top : top + PART[0], left : left + PART[1]]


def eight_bit(pixels: NDArray[np.float32]) -> Picture:
    """Values in [0, 1] as a file holds them."""
    return (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)


def tensor(picture: Picture) -> torch.Tensor:
    """The picture as `(1, 3, H, W)` in [0, 1]."""
    return torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]


if __name__ == "__main__":
    main()
