"""The contact sheets of docs/data.md: `python docs/images/sheets.py`.

Only from photographs inside scikit-image and scikit-learn, and from drawn scenes; nothing of any data set.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
from skimage import data
from sklearn.datasets import load_sample_image

from limpid.config import instantiate
from limpid.config.recipes import card
from limpid.data.make import make, plan_jobs

HERE = Path(__file__).parent
CELL = (120, 160)  # height and width of a picture on a sheet
PHOTOGRAPHS = {
    "astronaut": data.astronaut,
    "cat": data.chelsea,
    "china": lambda: load_sample_image("china.jpg"),
    "coffee": data.coffee,
    "rocket": data.rocket,
}
#: What is made, its words, and the card and splits that are shown, each a row.
SHEETS = {
    "haze": ({"input": "scenes", "count": 5}, "reside_its", [""]),
    "haze_levels": ({"input": "scenes", "count": 5}, "haze_made", ["beta_0207", "beta_0813", "beta_1418"]),
    "sand": ({"depth": "stand_in", "count": 5}, "sand_synthetic", [""]),
    "div2k_hybrid": ({"scales": [1.0], "count": 5}, "rl_restore", ["mild", "moderate", "severe"]),
    "did_hy": ({"count": 5}, "did_hy_made", ["test"]),
    "blur": ({"count": 5}, "gopro", ["test"]),
}


def cell(image: np.ndarray) -> np.ndarray:
    """The middle of an image, in the shape of a cell."""
    height, width = image.shape[:2]
    scale = max(CELL[0] / height, CELL[1] / width)
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    resized = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=kind)
    top, left = ((a - b) // 2 for a, b in zip(resized.shape, CELL, strict=False))
    return resized[top : top + CELL[0], left : left + CELL[1]]


def sheet(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Rows of pictures with thin white lines between."""
    lines = []
    for row in rows:
        line = np.concatenate([np.pad(cell(image), ((0, 4), (0, 4), (0, 0)), constant_values=1) for image in row], 1)
        lines.append(line)
    return np.concatenate(lines)[:-4, :-4]


def main() -> None:
    """Write every sheet."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "in").mkdir()
        for name, photograph in PHOTOGRAPHS.items():
            cv2.imwrite(str(root / f"in/{name}.png"), np.ascontiguousarray(photograph()[..., ::-1]))
        for name, (words, loader, splits) in SHEETS.items():
            for job in plan_jobs(name, {"input": str(root / "in"), "output": str(root / name), **words}, "."):
                make(job)
            rows = []
            for split in splits:
                plain = card(loader, root / name) | ({"split": split} if split else {})
                images = instantiate.construct(plain, loader)
                samples = [images.load(i, np.random.default_rng(i)) for i in range(5)]
                if not rows or name == "div2k_hybrid":
                    rows.append([sample["target"] for sample in samples])
                rows.append([sample["input"] for sample in samples])
            pixels = (np.clip(sheet(rows), 0, 1) * 255).round().astype(np.uint8)
            file = HERE / f"made_{name}.jpg"
            cv2.imwrite(str(file), pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
            print(file.name, pixels.shape, file.stat().st_size)


if __name__ == "__main__":
    main()
