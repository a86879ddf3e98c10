"""Panels say themselves what their columns are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from limpid.results.comparison_panel import panel, read_panel, write_panel


def test_a_panel_is_read_back_with_its_columns_and_pixels(tmp_path: Path) -> None:
    grey = [np.full((4, 5, 3), value, np.float32) for value in (0.0, 0.5, 1.0)]
    made = panel(dict(zip(("input", "restored", "transmission"), grey, strict=True)))
    assert made.caption == "input | restored | transmission"
    assert made.pixels.shape == (4, 15, 3)
    assert [int(made.pixels[0, 5 * i, 0]) for i in range(3)] == [0, 128, 255]  # halves round up
    path = tmp_path / "val" / "a set" / "ü [1].png"
    write_panel(path, made)
    again = read_panel(path)
    assert again.columns == made.columns
    assert np.array_equal(again.pixels, made.pixels)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_any_other_picture_has_one_column_without_a_name(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    assert read_panel(tmp_path / "a.png").columns == ("",)
