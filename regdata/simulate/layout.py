"""Where tissue, glands, vessels and lymphoid clusters lie: the plan of a simulated section.

Conventions
-----------
Points and distances are full-resolution pixels, (x, y), corner origin. Maps are `COARSE` times
coarser; signed distances are positive inside.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.simulate.maps import COARSE, signed_distance
from regdata.simulate.noise import Noise, Plane
from regdata.slides import Box

_ANGLES = np.linspace(0, 2 * np.pi, 96, endpoint=False)
_GAP = 34  # least stroma between two glands, px


@dataclass(frozen=True)
class Gland:
    """A gland: its outline and how its epithelium looks.

    Attributes
    ----------
    outline
        (96, 2) points, px.
    wall
        Height of the epithelium, px.
    dark
        Factor on the hematoxylin of its nuclei.
    vesicular
        0 for dense chromatin to 1 for pale nuclei with a rim and nucleoli.
    goblets
        Share of cells with a mucin vacuole.
    """

    outline: NDArray[np.float64]
    wall: float
    dark: float
    vesicular: float
    goblets: float


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The plan: coarse maps of the whole picture, (h, w) float32, and the shapes in them.

    Attributes
    ----------
    size
        (w, h), px.
    tissue, gland, lumen, vessel
        Signed distances, px; `lumen` is inside the gland's wall.
    cluster
        Density of lymphocytes in lymphoid clusters, 0..1.
    stream
        Stream function of the fibres, px: they run along its level lines.
    ray_x, ray_y
        Where the ray from the gland's middle meets a circle of its radius, px: constant from
        base to lumen, so cells and streaks that stand on the base are drawn with it.
    glands, vessels
        The shapes; vessels are outlines, (96, 2).
    """

    size: tuple[int, int]
    tissue: Plane
    gland: Plane
    lumen: Plane
    vessel: Plane
    cluster: Plane
    stream: Plane
    ray_x: Plane
    ray_y: Plane
    glands: tuple[Gland, ...]
    vessels: tuple[NDArray[np.float64], ...]


def plan(size: tuple[int, int], rng: np.random.Generator, noise: Noise) -> Layout:
    """A random plan of a section for a picture of `size` (w, h) px."""
    grid = Box(0, 0, -(-size[0] // COARSE), -(-size[1] // COARSE))
    tissue = _tissue(size, grid, rng, noise)
    glands, labels = _place_glands(tissue, rng, noise)
    gland = signed_distance(labels > 0)
    walls = np.array([1e4, *(g.wall for g in glands)], np.float32)
    lumen = gland - walls[labels]
    solid = np.minimum(tissue, -gland)
    vessels, vessel = _place_vessels(solid, rng)
    cluster = _clusters(solid, rng) * (tissue > 0)
    stream = _stream(grid, gland, vessel, rng, noise)
    ray_x, ray_y = _rays(glands, labels)
    return Layout(
        size=size,
        tissue=tissue,
        gland=gland,
        lumen=lumen,
        vessel=vessel,
        cluster=cluster,
        stream=stream,
        ray_x=ray_x,
        ray_y=ray_y,
        glands=glands,
        vessels=vessels,
    )


def _tissue(size: tuple[int, int], grid: Box, rng: np.random.Generator, noise: Noise) -> Plane:
    """Draw a lobed outline with one deep notch and one loose fragment: no symmetry to mistake."""
    u = ((np.arange(grid.w, dtype=np.float32) + 0.5) / grid.w * 2 - 1)[None, :]
    v = ((np.arange(grid.h, dtype=np.float32) + 0.5) / grid.h * 2 - 1)[:, None]
    radius = (np.abs(u) ** 2.8 + np.abs(v) ** 2.8) ** (1 / 2.8)
    angle = np.arctan2(v, u)
    reach = 0.87 + 0.04 * noise.plane(grid, max(size) / COARSE / 3, 1)
    for k in (1, 2, 3):
        reach += rng.uniform(0.02, 0.04) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    turn = rng.uniform(0, 2 * np.pi)
    notch = _ellipse(u, v, turn, 0.95, (0.42, 0.12))
    corner = np.pi / 4 + np.pi / 2 * rng.integers(4)
    fragment = _ellipse(u, v, corner, 1.22, (0.07, 0.1))
    wobble = 0.2 * noise.plane(grid, 60, 2)
    body = (radius < reach) & (notch > 1 + wobble)
    return signed_distance(body | (fragment < 1 + wobble))


def _ellipse(u: Plane, v: Plane, turn: float, reach: float, axes: tuple[float, float]) -> Plane:
    """Squared radius in an ellipse at (reach, turn) whose first axis points to the middle."""
    du, dv = u - reach * np.cos(turn), v - reach * np.sin(turn)
    along = du * np.cos(turn) + dv * np.sin(turn)
    across = dv * np.cos(turn) - du * np.sin(turn)
    return np.asarray((along / axes[0]) ** 2 + (across / axes[1]) ** 2, np.float32)


def _outline(
    rng: np.random.Generator, centre: NDArray[np.float64], radius: float, stretch: float
) -> NDArray[np.float64]:
    """Draw a lobed closed curve, (96, 2)."""
    reach = np.ones_like(_ANGLES)
    for k in (2, 3, 4, 5):
        reach += rng.normal(0, 0.12 / k) * np.cos(k * _ANGLES + rng.uniform(0, 2 * np.pi))
    x, y = radius * reach * np.cos(_ANGLES) * stretch, radius * reach * np.sin(_ANGLES) / stretch
    turn = rng.uniform(0, np.pi)
    turned = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 1)
    return turned + centre


def _fits(free: NDArray[np.uint8], outline: NDArray[np.float64], margin: float) -> bool:
    """Whether the outline lies on free ground; if so the ground, grown by margin, is taken."""
    points = np.round(outline / COARSE).astype(np.int32)
    if (points < 1).any() or (points >= np.array(free.shape[::-1]) - 1).any():
        return False
    if not free[points[:, 1], points[:, 0]].all():
        return False
    cv2.fillPoly(free, [points], 0)
    cv2.polylines(free, [points], True, 0, max(1, round(2 * margin / COARSE)))
    return True


def _place_glands(
    tissue: Plane, rng: np.random.Generator, noise: Noise
) -> tuple[tuple[Gland, ...], NDArray[np.int32]]:
    height, width = tissue.shape
    zone = noise.plane(Box(0, 0, width, height), 2600 / COARSE, 3)
    inside = tissue > 30
    poorest = np.quantile(zone[inside], 0.3) if inside.any() else 0.0  # that part has none
    free = (inside & (zone > poorest)).astype(np.uint8)
    glands: list[Gland] = []
    labels = np.zeros(tissue.shape, np.int32)
    for _ in range(80 + tissue.size * COARSE**2 // 4000):
        centre = rng.uniform((0, 0), (width * COARSE, height * COARSE))
        stretch = rng.uniform(1, 1.35)
        outline = _outline(rng, centre, rng.uniform(110, 225), stretch)
        if free[int(centre[1] / COARSE), int(centre[0] / COARSE)] and _fits(free, outline, _GAP):
            glands.append(_gland(rng, outline))
            cv2.fillPoly(labels, [np.round(outline / COARSE).astype(np.int32)], len(glands))
    return tuple(glands), labels


def _rays(glands: tuple[Gland, ...], labels: NDArray[np.int32]) -> tuple[Plane, Plane]:
    """Ray maps, from the nearest gland so that they run on a little outside."""
    centres = np.array([(0, 0), *(gland.outline.mean(0) for gland in glands)], np.float32)
    nearest = cv2.dilate(labels.astype(np.float32), np.ones((5, 5), np.uint8)).astype(int)
    x = (np.arange(labels.shape[1], dtype=np.float32)[None, :] + 0.5) * COARSE
    y = (np.arange(labels.shape[0], dtype=np.float32)[:, None] + 0.5) * COARSE
    dx, dy = x - centres[nearest, 0], y - centres[nearest, 1]
    scale = 170 / np.maximum(np.hypot(dx, dy), 1)
    ray_x, ray_y = dx * scale + nearest * 913, dy * scale + nearest * 371
    return ray_x.astype(np.float32), ray_y.astype(np.float32)


def _gland(rng: np.random.Generator, outline: NDArray[np.float64]) -> Gland:
    centre = outline.mean(0)
    reach = float(np.linalg.norm(outline - centre, axis=1).min())
    wall = min(rng.uniform(78, 122), 0.8 * reach)
    goblets = rng.choice([0.0, rng.uniform(0.1, 0.5)])
    return Gland(outline, wall, rng.uniform(0.85, 1.3), rng.uniform(0.1, 1), goblets)


def _place_vessels(
    solid: Plane, rng: np.random.Generator
) -> tuple[tuple[NDArray[np.float64], ...], Plane]:
    """Round holes in the stroma, where there is room."""
    height, width = solid.shape
    free = (solid > 24).astype(np.uint8)
    outlines: list[NDArray[np.float64]] = []
    mask = np.zeros(solid.shape, np.uint8)
    for _ in range(6 + solid.size * COARSE**2 // 120_000):
        centre = rng.uniform((0, 0), (width * COARSE, height * COARSE))
        outline = _outline(rng, centre, rng.uniform(20, 62), rng.uniform(1, 1.7))
        if _fits(free, outline, 200):
            outlines.append(outline)
            cv2.fillPoly(mask, [np.round(outline / COARSE).astype(np.int32)], 1)
    return tuple(outlines), signed_distance(mask > 0)


def _clusters(solid: Plane, rng: np.random.Generator) -> Plane:
    """Blobs of lymphocytes, centred in the stroma."""
    rows, columns = np.nonzero(solid[::4, ::4] > 16)
    count = 3 + solid.size * COARSE**2 // 800_000
    height, width = solid[::4, ::4].shape
    low = np.zeros((height, width), np.float32)
    y, x = np.arange(height, dtype=np.float32), np.arange(width, dtype=np.float32)
    for place in rng.choice(len(rows), min(count, len(rows)), replace=False):
        sigma = rng.uniform(60, 150) / COARSE / 4
        across = np.exp(-(((x - columns[place]) / sigma) ** 2) / 2)
        low += np.exp(-(((y - rows[place]) / sigma) ** 2) / 2)[:, None] * across
    full = cv2.resize(np.minimum(low, 1), solid.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)


def _stream(
    grid: Box, gland: Plane, vessel: Plane, rng: np.random.Generator, noise: Noise
) -> Plane:
    """Wavy in the open; around a gland or vessel the level lines follow its outline."""
    turn = rng.uniform(0, np.pi)
    x = np.arange(grid.w, dtype=np.float32)[None, :] * COARSE
    y = np.arange(grid.h, dtype=np.float32)[:, None] * COARSE
    stream = y * np.float32(np.cos(turn)) - x * np.float32(np.sin(turn))
    stream = stream + 150 * noise.plane(grid, 1100 / COARSE, 4)
    stream += 11 * noise.plane(grid, 150 / COARSE, 5)
    for distance, reach in ((gland, 60.0), (vessel, 30.0)):
        stream += 2.4 * reach * np.exp(np.minimum(distance, 0) / reach)
    return np.asarray(cv2.GaussianBlur(stream, (0, 0), 1.0), np.float32)
