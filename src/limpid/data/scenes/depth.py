"""Depth for photographs that have none: INVENTED, not measured, so that haze has something to follow."""

from __future__ import annotations

import math

import numpy as np

from limpid.data.scenes.arrays import Array
from limpid.data.scenes.textures import fractal_noise


def invented_depth(
    rng: np.random.Generator,
    height: int,
    width: int,
    nearest: tuple[float, float] = (0.1, 0.5),
    layers: int = 4,
    unevenness: float = 0.3,
) -> Array:
    """A made-up depth map: slanted planes one behind another, with gentle unevenness.

    It does not follow the photograph's content. The furthest plane covers everything; each nearer one covers
    the part of the view below or beside a ragged edge.

    Args:
        rng: source of all randomness.
        height: rows.
        width: columns.
        nearest: range of the depth of the nearest point.
        layers: largest number of nearer planes.
        unevenness: largest amplitude of the smooth noise on the planes.

    Returns:
        (H, W) float32 from `nearest` to 1, where 0 would be at the camera and 1 is the furthest point.
    """
    depth = _plane(rng, height, width)
    for _ in range(int(rng.integers(0, layers + 1))):
        edge = _plane(rng, height, width) + rng.uniform(0.1, 1) * _smooth(rng, height, width, slope=1.3)
        share = np.quantile(edge[::2, ::2], rng.uniform(0.2, 0.7))
        depth = np.where(edge < share, depth * rng.uniform(0.3, 0.9) + _plane(rng, height, width) * 0.2, depth)
    depth += rng.uniform(0, unevenness) * _smooth(rng, height, width, slope=2.0)
    depth -= depth.min()
    depth /= max(float(depth.max()), 1e-6)
    near = rng.uniform(*nearest)
    return near + (1 - near) * depth


def _plane(rng: np.random.Generator, height: int, width: int) -> Array:
    """A ramp from 0 to 1, in most cases upwards, as floors recede."""
    angle = rng.normal(0, 0.7)
    sine, cosine = math.sin(angle), math.cos(angle)
    across = np.linspace(-0.5, 0.5, width) * sine
    up = np.linspace(0.5, -0.5, height)[:, None] * cosine
    return ((across + up) / (abs(sine) + abs(cosine)) + 0.5).astype(np.float32)


def _smooth(rng: np.random.Generator, height: int, width: int, slope: float) -> Array:
    """Slow noise in [0, 1] of the given size."""
    return fractal_noise(rng, max(height, width), coarsest=3, slope=slope)[:height, :width]
