"""Everything but nuclei: fibres, cytoplasm, lumens, vessels, red cells, as stain densities.

Conventions
-----------
Boxes and positions are full-resolution pixels, (x, y), corner origin. Densities are those of
`regdata.slides.stain`: optical density = (hematoxylin, eosin, residual) @ RGB_FROM_HED.
"""

from dataclasses import dataclass

import numpy as np

from regdata.simulate.layout import Layout
from regdata.simulate.maps import upsample
from regdata.simulate.noise import Noise, Plane, ramp
from regdata.simulate.spots import Spots
from regdata.slides import Box


@dataclass(frozen=True)
class Ground:
    """Stain densities behind the nuclei over a box, (h, w) float32 each."""

    hematoxylin: Plane
    eosin: Plane
    residual: Plane


def ground(layout: Layout, noise: Noise, spots: Spots, box: Box) -> Ground:
    """Stain densities behind the nuclei over a box; arrays of (box.h, box.w)."""
    tissue = upsample(layout.tissue, box) + 3 * noise.plane(box, 24, 6)
    tissue += 9 * noise.plane(box, 110, 31)
    gland = upsample(layout.gland, box) + 1.5 * noise.plane(box, 40, 7)
    lumen = upsample(layout.lumen, box) + 5 * noise.plane(box, 55, 8)
    vessel = upsample(layout.vessel, box) + 1.5 * noise.plane(box, 30, 9)
    present = ramp(tissue, -2, 2)
    eosin, blue = _stroma(layout, noise, box, gland, vessel)
    eosin *= 1 - 0.75 * spots.halo(box)
    plasma = spots.plasma(box)
    eosin = eosin * (1 - plasma) + 0.17 * plasma
    blue = blue * (1 - plasma) + 0.15 * plasma * (1 + 0.15 * noise.plane(box, 9, 30))
    wall = ramp(gland, -1.5, 1.5)
    cell_eosin, cell_blue = _epithelium(layout, noise, spots, box, lumen)
    eosin += wall * (cell_eosin - eosin)
    blue += wall * (cell_blue - blue)
    hole = ramp(vessel, -1.5, 1.5)
    red = spots.red_cells(box)
    eosin = eosin * (1 - hole) * (1 - red) + 0.42 * red
    blue = blue * (1 - hole) * (1 - red)
    residual = 0.48 * eosin + 0.15 * blue + 0.12 * red
    return Ground(blue * present, eosin * present, residual * present)


def _stroma(
    layout: Layout, noise: Noise, box: Box, gland: Plane, vessel: Plane
) -> tuple[Plane, Plane]:
    """Wavy strands with gaps; denser collagen in places and around glands and vessels."""
    across = upsample(layout.stream, box)
    x = np.arange(box.x, box.x + box.w, dtype=np.float32)[None, :]
    y = np.arange(box.y, box.y + box.h, dtype=np.float32)[:, None]
    across = across + 5 * noise.plane(box, 60, 10)
    along = (x + y) * np.float32(0.7) + 20 * noise.plane(box, 90, 11)
    strand = np.exp(-((noise.at(across / 26, along / 210, 12) / 0.45) ** 2))
    hair = np.exp(-((noise.at(across / 12, along / 110, 13) / 0.5) ** 2))
    gaps = noise.at(across / 60, along / 170, 14)
    dense = ramp(noise.plane(box, 900, 15), -1.0, 1.2)
    body = 0.05 + 0.10 * dense + (0.11 - 0.04 * dense) * strand + 0.06 * hair
    body *= 1 - 0.9 * ramp(gaps, 0.75 * dense - 0.1, 0.9 + 0.75 * dense)
    body += (0.018 * noise.plane(box, 7, 16) + 0.02 * noise.plane(box, 22, 29)) * (body > 0.06)
    body += 0.16 * np.exp(-(((gland + 5) / 4) ** 2))
    body += 0.22 * np.exp(-(((vessel + 6) / 5) ** 2))
    cluster = upsample(layout.cluster, box)
    reticular = 0.07 + 0.03 * noise.plane(box, 14, 27) + 0.02 * noise.plane(box, 40, 28)
    body = np.maximum(body * (1 - 0.4 * cluster), 0.012 + cluster * reticular)
    blue = body * (0.45 + 0.3 * cluster) + 0.02 * cluster
    return np.asarray(body, np.float32), np.asarray(blue, np.float32)


def _epithelium(
    layout: Layout, noise: Noise, spots: Spots, box: Box, lumen: Plane
) -> tuple[Plane, Plane]:
    """Cytoplasm with a brush border, mucin vacuoles, and the lumen with some mucus."""
    mottle = noise.plane(box, 70, 17)
    speck = noise.plane(box, 7, 18)
    ray_x, ray_y = upsample(layout.ray_x, box), upsample(layout.ray_y, box)
    streak = noise.at(ray_x / 13, ray_y / 13, 23) + 0.6 * noise.at(ray_x / 5, ray_y / 5, 24)
    gap = np.exp(-((noise.at(ray_x / 45, ray_y / 45, 25) / 0.12) ** 2))
    eosin = 0.17 + 0.025 * mottle + 0.016 * speck + 0.02 * streak
    eosin *= 1 - 0.55 * gap * ramp(noise.plane(box, 60, 26), 0.1, 0.9)
    eosin += 0.1 * np.exp(-(((lumen + 3) / 4) ** 2))
    blue = 0.15 + 0.03 * mottle + 0.02 * speck + 0.02 * streak
    blue = blue * (0.25 + 0.75 * eosin / 0.17) - 0.04 * ramp(lumen, -60, 0)
    goblet = spots.goblets(box)
    eosin *= 1 - 0.85 * goblet
    blue += goblet * (0.06 + 0.02 * mottle - blue)
    empty = ramp(lumen, -1.5, 2)
    mucus = np.maximum(noise.plane(box, 45, 19) - 0.3, 0) * ramp(noise.plane(box, 300, 20), -0.3, 1)
    mucus = mucus * (1 + 0.4 * speck)
    eosin += empty * (0.05 * mucus - eosin)
    blue += empty * (0.06 * mucus - blue)
    return np.asarray(eosin, np.float32), np.asarray(blue, np.float32)
