"""Nuclei painted one by one: outline, chromatin texture and instance number.

Conventions
-----------
Positions are full-resolution pixels, (x, y), corner origin; the centre of pixel i is i + 0.5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regdata.simulate.noise import Plane, grain
from regdata.simulate.placing import EPITHELIAL, FIBROBLAST, KINDS, LYMPHOCYTE, PLASMA
from regdata.slides import Box

DENSITY_STEP = 0.01
"""Hematoxylin density of one step of `Painted.chromatin`."""
_LEAST_PIXELS = 30
_MOST_COVERED = 0.2  # share of a nucleus that others may hide before it is dropped


@dataclass(frozen=True)
class Painted:
    """All nuclei of a picture.

    Attributes
    ----------
    instances
        (H, W) int32, visible nuclei 1..N.
    chromatin
        (H, W) uint8, hematoxylin density in steps of `DENSITY_STEP`.
    cover
        (H, W) uint8, 255 where a nucleus hides what is behind it, with soft edges.
    nuclei
        (N,) of `placing.NUCLEUS`; nucleus i has instance i + 1.
    """

    instances: NDArray[np.int32]
    chromatin: NDArray[np.uint8]
    cover: NDArray[np.uint8]
    nuclei: NDArray[np.void]


@dataclass(frozen=True)
class _Shape:
    """A nucleus on its own small grid: depth from the edge in px, polar coordinates."""

    depth: Plane
    rho: Plane
    theta: Plane
    u: Plane
    v: Plane


def paint(wanted: NDArray[np.void], size: tuple[int, int], rng: np.random.Generator) -> Painted:
    """Nuclei painted in order, those that others would mostly hide left out; `wanted` is (M,)."""
    instances = np.zeros(size[::-1], np.int32)
    chromatin = np.zeros(size[::-1], np.uint8)
    cover = np.zeros(size[::-1], np.uint8)
    clumps, fine = grain(rng, 2.4), grain(rng, 1.0)
    kept = []
    for index, nucleus in enumerate(wanted):
        box = _box(nucleus, size)
        there = (slice(box.y, box.y + box.h), slice(box.x, box.x + box.w))
        shape = _shape(nucleus, box, rng)
        inside = shape.depth > 0
        taken = instances[there] > 0
        total, visible = int(inside.sum()), int((inside & ~taken).sum())
        if visible < _LEAST_PIXELS or visible < (1 - _MOST_COVERED) * total:
            continue
        kept.append(index)
        texture = (_cut(clumps, rng, inside.shape), _cut(fine, rng, inside.shape))
        density = _chromatin(nucleus, shape, texture, rng)
        instances[there][inside & ~taken] = len(kept)
        soft = np.clip(shape.depth / nucleus["soft"] + 0.5, 0, 1) * ~taken
        stain = np.clip(density * soft / DENSITY_STEP, 0, 255).astype(np.uint8)
        np.maximum(chromatin[there], stain, out=chromatin[there])
        veil = (255 * soft).astype(np.uint8)
        np.maximum(cover[there], veil, out=cover[there])
    return Painted(instances, chromatin, cover, wanted[kept])


def _box(nucleus: np.void, size: tuple[int, int]) -> Box:
    """Bound the part of the picture a nucleus may touch; empty when it lies outside."""
    reach = int(nucleus["long"] * 1.25) + 4
    left, top = int(nucleus["x"]) - reach, int(nucleus["y"]) - reach
    right, bottom = min(left + 2 * reach + 1, size[0]), min(top + 2 * reach + 1, size[1])
    x, y = max(left, 0), max(top, 0)
    return Box(x, y, max(0, right - x), max(0, bottom - y))


def _shape(nucleus: np.void, box: Box, rng: np.random.Generator) -> _Shape:
    """Lay the outline over a box: an ellipse, bent, with low harmonics."""
    x = np.arange(box.w, dtype=np.float32)[None, :] + np.float32(box.x + 0.5 - nucleus["x"])
    y = np.arange(box.h, dtype=np.float32)[:, None] + np.float32(box.y + 0.5 - nucleus["y"])
    cos, sin = np.float32(np.cos(nucleus["angle"])), np.float32(np.sin(nucleus["angle"]))
    u = (x * cos + y * sin) / nucleus["long"]
    v = (y * cos - x * sin) / nucleus["short"]
    if nucleus["kind"] == FIBROBLAST:  # pointed ends
        v = v / np.maximum(1.08 - nucleus["vesicular"] * 0.5 * u * u, 0.3)
    v = v + nucleus["bend"] * nucleus["long"] / nucleus["short"] * (u * u - 0.3)
    rho, theta = np.hypot(u, v), np.arctan2(v, u)
    rough = 0.05 if nucleus["kind"] == LYMPHOCYTE else 0.1
    edge = np.ones_like(rho)
    for k in (2, 3, 4, 5):
        size, phase = rng.normal(0, rough / (k - 1) ** 0.8), rng.uniform(0, 2 * np.pi)
        edge += np.float32(size) * np.cos(k * theta + np.float32(phase))
    radius = np.hypot(u * nucleus["long"], v * nucleus["short"]) + 0.01 * nucleus["short"]
    depth = (edge - rho) * radius / (rho + 0.01)
    return _Shape(depth, rho, theta, u, v)


def _cut(texture: Plane, rng: np.random.Generator, shape: tuple[int, ...]) -> Plane:
    y, x = (rng.integers(0, side - n) for side, n in zip(texture.shape, shape, strict=True))
    return texture[y : y + shape[0], x : x + shape[1]]


def _chromatin(
    nucleus: np.void, shape: _Shape, texture: tuple[Plane, Plane], rng: np.random.Generator
) -> Plane:
    """Hematoxylin density of one nucleus by its kind."""
    clumps, fine = texture
    kind, vesicular = KINDS[nucleus["kind"]], nucleus["vesicular"]
    base, rim, coarse, detail = {
        "epithelial": (
            0.62 - 0.26 * vesicular,
            0.06 + 0.22 * vesicular,
            0.13 + 0.06 * vesicular,
            0.10,
        ),
        "lymphocyte": (0.88, 0.08, 0.22, 0.12),
        "fibroblast": (0.52, 0.08, 0.12, 0.09),
        "plasma": (0.62, 0.14, 0.16, 0.10),
    }[kind]
    density = base + coarse * clumps + detail * fine
    density += rim * np.exp(-(((shape.depth - 1.5) / 2.0) ** 2))
    if nucleus["kind"] == PLASMA:  # clock-face chromatin
        wheel = np.cos(5 * shape.theta + 0.8 * clumps)
        density += 0.2 * wheel * np.clip(2 * shape.rho - 0.8, 0, 1)
    if nucleus["kind"] == EPITHELIAL:
        density += _nucleoli(nucleus, shape, rng)
    if nucleus["kind"] == FIBROBLAST:
        density *= 1 - 0.25 * shape.rho**2
    return np.asarray(np.maximum(density, 0.08) * nucleus["dark"], np.float32)


def _nucleoli(nucleus: np.void, shape: _Shape, rng: np.random.Generator) -> Plane:
    """One or two dark spots, clearest in pale nuclei."""
    spots = np.zeros_like(shape.u)
    for _ in range(rng.integers(1, 3)):
        u, v = rng.uniform(-0.45, 0.45, 2)
        sigma = rng.uniform(1.6, 2.8)
        du, dv = (shape.u - u) * nucleus["long"], (shape.v - v) * nucleus["short"]
        strength = 0.1 + 0.5 * nucleus["vesicular"] * rng.uniform(0.4, 1)
        spots += strength * np.exp(-(du * du + dv * dv) / (2 * sigma**2))
    return np.asarray(spots, np.float32)
