"""Where nuclei may sit and how they point: candidates for every kind of cell.

Conventions
-----------
Positions and axes are full-resolution pixels, (x, y), corner origin; angles in radians from x
towards y (down).
"""

import numpy as np
from numpy.typing import NDArray

from regdata.simulate.layout import Gland, Layout
from regdata.simulate.maps import COARSE, lookup

KINDS = ("epithelial", "lymphocyte", "fibroblast", "plasma")
"""Kinds of nuclei; `Tissue.kinds` are indices into this."""
EPITHELIAL, LYMPHOCYTE, FIBROBLAST, PLASMA = range(4)

NUCLEUS = np.dtype(
    [
        ("x", "f4"),
        ("y", "f4"),
        ("long", "f4"),  # semi-axes
        ("short", "f4"),
        ("angle", "f4"),
        ("bend", "f4"),
        ("kind", "u1"),
        ("dark", "f4"),
        ("soft", "f4"),  # width of the edge, px
        ("vesicular", "f4"),
    ]
)
_SEMI_AXES = {  # px: (long, short) from, to
    EPITHELIAL: ((16.5, 12.2), (23.5, 16.5)),
    LYMPHOCYTE: ((12.6, 11.8), (15.2, 13.6)),
    FIBROBLAST: ((22.0, 5.2), (34.0, 7.8)),
    PLASMA: ((14.0, 12.0), (17.5, 14.0)),
}


def candidates(layout: Layout, rng: np.random.Generator) -> NDArray[np.void]:
    """Candidate nuclei, (M,), in the order in which they are painted.

    Returns
    -------
    array
        (M,) of `NUCLEUS`. They may overlap: the first one stays.
    """
    epithelium = [_epithelium(gland, rng) for gland in layout.glands]
    lining = [_lining(vessel, rng) for vessel in layout.vessels]
    stroma = _stroma(layout, rng)
    return np.concatenate([*epithelium, *lining, stroma])


def _draw(
    kind: int, xy: NDArray[np.float64], angle: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.void]:
    """Nuclei of one kind at the points, their sizes and looks drawn."""
    out = np.zeros(len(xy), NUCLEUS)
    out["x"], out["y"], out["angle"], out["kind"] = xy[:, 0], xy[:, 1], angle, kind
    low, high = np.array(_SEMI_AXES[kind])
    axes = low + (high - low) * rng.beta(2, 2, (len(xy), 2))
    out["long"], out["short"] = axes.T
    out["dark"] = np.exp(rng.normal(0, 0.25, len(xy)))
    out["soft"] = rng.gamma(4, 0.55, len(xy)) + 1
    out["vesicular"] = rng.uniform(0, 1, len(xy))
    if kind == FIBROBLAST:
        out["bend"] = rng.normal(0, 0.1, len(xy))
        out["dark"] *= np.exp(rng.normal(0, 0.25, len(xy)))
    return out


def walk(
    outline: NDArray[np.float64], pitch: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (K, 2) `pitch` px apart along a closed curve (N, 2) px, and inward unit normals."""
    closed = np.vstack([outline, outline[:1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    places = np.arange(0, length[-1] - pitch / 2, pitch)
    points = np.stack([np.interp(places, length, closed[:, k]) for k in (0, 1)], 1)
    ahead = np.stack(
        [np.interp((places + 12) % length[-1], length, closed[:, k]) for k in (0, 1)], 1
    )
    along = (ahead - points) / np.linalg.norm(ahead - points, axis=1, keepdims=True)
    normal = np.stack([-along[:, 1], along[:, 0]], 1)
    inward = np.sign(np.sum((outline.mean(0) - points) * normal))
    return points, normal * inward


def _epithelium(gland: Gland, rng: np.random.Generator) -> NDArray[np.void]:
    """Line up a palisade of basal nuclei and a looser second row, pointing to the lumen."""
    rows = []
    for depth, pitch, keep in ((0.30, 22.0, 0.97), (0.62, 27.0, 0.6)):
        points, normal = walk(gland.outline, pitch + rng.uniform(-1, 3))
        chosen = rng.random(len(points)) < keep
        points, normal = points[chosen], normal[chosen]
        reach = gland.wall * np.clip(rng.normal(depth, 0.07, len(points)), 0.22, 0.8)
        side = rng.normal(0, 3, len(points))[:, None] * normal[:, ::-1]
        angle = np.arctan2(normal[:, 1], normal[:, 0]) + rng.normal(0, 0.16, len(points))
        row = _draw(EPITHELIAL, points + normal * reach[:, None] + side, angle, rng)
        row["dark"] *= gland.dark
        row["vesicular"] = np.clip(rng.normal(gland.vesicular, 0.2, len(row)), 0, 1)
        rows.append(row)
    return np.concatenate(rows)


def _lining(vessel: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.void]:
    """Flat endothelial nuclei around a vessel; they look like fibroblasts."""
    points, normal = walk(vessel, 75.0)
    angle = np.arctan2(normal[:, 0], -normal[:, 1])
    flat = _draw(FIBROBLAST, points - normal * 8, angle, rng)
    flat["bend"] = 0.1
    return flat


def _stroma(layout: Layout, rng: np.random.Generator) -> NDArray[np.void]:
    """Lymphocytes, plasma cells and fibroblasts in one random order, clusters denser."""
    area = layout.size[0] * layout.size[1]
    xy = rng.uniform((0, 0), layout.size, (area // 420, 2))
    cluster = lookup(layout.cluster, xy)
    room = np.minimum(lookup(layout.tissue, xy) - 14, -10 - lookup(layout.gland, xy))
    room = np.minimum(room, -14 - lookup(layout.vessel, xy))
    shares = np.stack(  # of each kind among the candidates
        [0.026 + 0.36 * cluster, 0.08 * (1 - 0.8 * cluster), 0.012 + 0.1 * cluster], 1
    )
    order = np.cumsum(shares, 1)
    pick = (rng.random(len(xy))[:, None] > order).sum(1)
    kind = np.array([LYMPHOCYTE, FIBROBLAST, PLASMA, 255])[pick]
    chosen = (room > 0) & (kind < 255)
    xy, kind = xy[chosen], kind[chosen]
    out = np.zeros(len(xy), NUCLEUS)
    for k in (LYMPHOCYTE, FIBROBLAST, PLASMA):
        angle = rng.uniform(0, np.pi, int((kind == k).sum()))
        if k == FIBROBLAST:
            angle = _fibre_angle(layout, xy[kind == k]) + rng.normal(0, 0.15, len(angle))
        out[kind == k] = _draw(k, xy[kind == k], angle, rng)
    return out


def _fibre_angle(layout: Layout, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction of the fibres at points: along the level line of the stream function."""
    step = np.array([[2.0 * COARSE, 0.0], [0.0, 2.0 * COARSE]])
    dx, dy = (lookup(layout.stream, xy + s) - lookup(layout.stream, xy - s) for s in step)
    return np.arctan2(dx, -dy).astype(np.float64)
