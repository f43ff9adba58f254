"""The intensity above which a pixel counts as stained: finding it, and how well it divides."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.files import Progress, silent
from regdata.labelling.measuring import at_share
from regdata.labelling.thresholds.gaussians import (
    MIN_SEPARATION,
    Mixture,
    fit_mixture,
    one_population,
)
from regdata.labelling.thresholds.histogram import Histogram
from regdata.labelling.thresholds.methods import (
    TILE_UM,
    Method,
    bimodality,
    li_threshold,
    mad_threshold,
    otsu_threshold,
    stained_from,
    triangle_threshold,
)
from regdata.labelling.thresholds.surface import LINEAR_SDS, Surface, local_thresholds
from regdata.slides import Slide

EVIDENT = 0.25
"""Share of the tiles with nuclei that must show stained ones for `auto` to be local."""
_DECIDING = 0.15
"""The share of a nucleus whose least intensity is looked at to tell populations of nuclei: in the
rule of record it decides the label. A user's other cut-off does not move the threshold."""
_BINS = 4096
_STEP = 2048  # pixels a side read at once
_LINEAR = 8  # the scale is linear below this part of the threshold of Otsu at least
_SAMPLES, _SAMPLE = 16, 128  # samples of the noise, and their side in pixels


@dataclass(frozen=True)
class Nuclei:
    """What is measured of N nuclei, for the thresholds that are read off nuclei.

    Attributes
    ----------
    xy_um
        (N, 2) float64, centroids, µm on the H&E slide.
    area
        (N,) areas, any unit.
    curve
        (N, 21) intensities of the compartment that counts, see `intensity`.
    size_um
        (w, h) of the slide.
    """

    xy_um: NDArray[np.float64]
    area: NDArray[np.floating]
    curve: NDArray[np.float32]
    size_um: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """The threshold of one marker and how well it divides.

    Attributes
    ----------
    method
        The method that gave it, `auto` resolved.
    surface
        Background-subtracted intensity over the H&E slide; a pixel above it is stained.
    overall
        One threshold for the slide: the surface, or what it departs from.
    contrast
        Distance between the means of stained and unstained pixels of the tissue, in standard
        deviations of the unstained.
    bimodality
        Sarle's coefficient of the pixels, above 5/9 for two populations or a long tail.
    separation
        Ashman's D of the nuclei on a log scale, above 2 for two populations; 0 for one.
    reference
        What probabilities are relative to: the surface where it was fitted to nuclei or given,
        else that of `auto`. None for the surface.
    """

    method: str
    surface: Surface
    overall: float
    contrast: float
    bimodality: float
    separation: float
    reference: Surface | None = None

    def describe(self) -> dict[str, Any]:
        """The threshold as a file of cells keeps it."""
        return {
            "method": self.method,
            "value": self.overall,
            "contrast": self.contrast,
            "bimodality": self.bimodality,
            "separation": self.separation,
            "grid": self.surface.grid,
            "grid_weight": self.surface.weight,
            "tile_um": self.surface.tile_um,
        }


def find_threshold(method: Method, pixels: Histogram, nuclei: Nuclei) -> Threshold:
    """The threshold of a marker.

    `fixed` is a number; `otsu`, `li`, `triangle` and `mad` look at the pixels of the tissue, `gmm`
    at the intensity that decides each nucleus's label, `local` at the pixels of the nuclei of
    neighbouring tiles. `auto` is `gmm` where the nuclei are two populations, else `otsu`, and
    `local` around that where a quarter of the tiles show stained nuclei.

    Parameters
    ----------
    pixels
        Intensities of the tissue, 0 to the highest.
    """
    mixture = _mixture(nuclei, pixels, int(method.value or 2) if method.name == "gmm" else 2)
    overall = _overall(method, pixels, mixture)
    surface, name = Surface.constant(overall), str(method)
    if method.name in ("auto", "local"):
        tile_um = method.value or TILE_UM
        surface = local_thresholds(
            nuclei.xy_um, nuclei.curve, nuclei.area, nuclei.size_um, tile_um, overall
        )
        around = f"gmm:{len(mixture.mixture.means)}" if mixture else "otsu"
        name = f"local:{tile_um:g} around {around}"
        if method.name == "auto" and evident_share(nuclei, surface) < EVIDENT:
            surface, name = Surface.constant(overall), around
    of_pixels = method.name in ("otsu", "li", "triangle", "mad")
    return Threshold(
        method=name,
        surface=surface,
        overall=overall,
        contrast=stained_from(pixels)[1],
        bimodality=bimodality(pixels),
        separation=mixture.mixture.separation if mixture else 0.0,
        reference=find_threshold(Method("auto"), pixels, nuclei).surface if of_pixels else None,
    )


def _overall(method: Method, pixels: Histogram, mixture: "_LogMixture | None") -> float:
    if method.name == "fixed":
        return float(method.value or 0.0)
    if method.name == "gmm" and mixture is None:
        raise RegdataError(
            "the nuclei are one population, which a mixture of Gaussians would cut in two; "
            "choose another method with `thresholds=`, or leave the marker out"
        )
    if mixture is not None and method.name in ("gmm", "auto", "local"):
        return mixture.gate()
    if method.name == "mad":
        return mad_threshold(pixels, float(method.value or 0.0))
    simple = {"otsu": otsu_threshold, "li": li_threshold, "triangle": triangle_threshold}
    return simple[method.name](pixels) if method.name in simple else stained_from(pixels)[0]


@dataclass(frozen=True)
class _LogMixture:
    """Populations of nuclei on the inverse hyperbolic sine of intensity over noise."""

    mixture: Mixture
    noise: float

    def gate(self) -> float:
        return float(np.sinh(self.mixture.gate()) * self.noise)


def _mixture(nuclei: Nuclei, pixels: Histogram, components: int) -> _LogMixture | None:
    """Two populations of the intensity that decides each nucleus's label; None if it is one."""
    deciding = at_share(nuclei.curve, _DECIDING).astype(np.float64)
    deciding = deciding[np.isfinite(deciding)]
    if len(deciding) < 20:
        return None
    split, _ = stained_from(pixels)
    below = deciding[deciding < split]  # most nuclei may be stained
    spread = 1.4826 * float(np.median(np.abs(below - np.median(below)))) if len(below) else 0.0
    # a channel of few grey levels, or clipped at 0, has no noise of its own: without a floor its
    # lowest levels would be populations
    noise = max(LINEAR_SDS * spread, split / _LINEAR, pixels.width)
    level = np.arcsinh(deciding / noise)
    if one_population(level):
        return None
    mixture = fit_mixture(level, components=components)
    apart = components > 2 or mixture.separation >= MIN_SEPARATION
    return _LogMixture(mixture, noise) if apart else None


def evident_share(nuclei: Nuclei, surface: Surface) -> float:
    """The share of the tiles with nuclei in which the threshold is evident."""
    rows, columns = surface.grid.shape
    place = np.floor(nuclei.xy_um / surface.tile_um).astype(np.int64)
    x, y = np.clip(place, 0, [columns - 1, rows - 1]).T
    there = np.zeros(surface.grid.shape, np.bool_)
    there[y, x] = True
    return float((surface.weight[there] > 0.5).mean()) if there.any() else 0.0


def tissue_histogram(
    marker: Slide, tissue: NDArray[np.bool_], progress: Progress = silent
) -> Histogram:
    """Intensities of a marker inside the tissue, read in blocks.

    Parameters
    ----------
    marker
        One corrected channel.
    tissue
        (h, w) mask over the whole slide.

    Raises
    ------
    RegdataError
        When nothing in the channel lies above its background.
    """
    low, high = _range(marker, tissue)
    if not high > 0:
        raise RegdataError(
            f"channel {marker.channels[0]} of {marker.path} shows nothing above its background; "
            "check that it is the stained channel"
        )
    pixels = Histogram(np.zeros(_BINS), low, high)
    width, height = marker.size
    corners = [(x, y) for y in range(0, height, _STEP) for x in range(0, width, _STEP)]
    for done, (x, y) in enumerate(corners, 1):
        size = (min(_STEP, width - x), min(_STEP, height - y))
        mask = tissue_at(tissue, marker.size, (x, y), size)
        if mask.any():
            pixels = pixels.add(marker.read((x, y), size)[0][mask])
        progress(done / len(corners))
    return pixels


def _range(marker: Slide, tissue: NDArray[np.bool_]) -> tuple[float, float]:
    """Ends of the histogram: of the noise below, and the 99.99th percentile and a margin above.

    That percentile is taken at half a micrometre, so few pixels may be stained. Hot pixels, which
    are more, do not count: they stand alone and a median of 3x3 pixels removes them. Where nothing
    is stained that median is far below the noise of single pixels, which must not pile up at the
    end as if they were stained; nor at 0, where half of it would look like a class without spread.
    """
    finest = max(1.0, 0.5 / marker.known_mpp("if_mpp"))
    overview = marker.overview(max(finest, max(marker.size) / 4096))[0]
    overview = cv2.medianBlur(overview.astype(np.float32), 3)
    h, w = overview.shape
    mask = cv2.resize(tissue.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
    values = overview[mask] if mask.any() else overview.ravel()
    brightest = float(np.percentile(values, 99.99))
    if not brightest > 0:
        return 0.0, 0.0
    least, most = _noise(marker, tissue)
    return min(0.0, least), max(1.25 * brightest, most)


def _noise(marker: Slide, tissue: NDArray[np.bool_]) -> tuple[float, float]:
    """What single pixels reach by noise: six robust standard deviations either way, of samples."""
    places = np.argwhere(tissue if tissue.any() else np.ones_like(tissue))
    chosen = places[np.linspace(0, len(places) - 1, _SAMPLES).astype(int)]
    scale = np.array(marker.size) / tissue.shape[::-1]
    size = (min(_SAMPLE, marker.size[0]), min(_SAMPLE, marker.size[1]))
    last = np.array(marker.size) - size
    corners = np.clip(((chosen[:, ::-1] + 0.5) * scale).astype(int) - _SAMPLE // 2, 0, last)
    values = np.stack(
        [marker.read((x, y), size)[0] for x, y in np.unique(corners, axis=0).tolist()]
    )
    middle = float(np.median(values))
    reach = 6 * 1.4826 * float(np.median(np.abs(values - middle)))
    return middle - reach, middle + reach


def tissue_at(
    tissue: NDArray[np.bool_],
    slide_size: tuple[int, int],
    xy: tuple[int, int],
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """(h, w) tissue mask of a region at level 0, by nearest neighbour.

    Parameters
    ----------
    tissue
        (H, W) bool, over the whole slide at any resolution.
    slide_size
        (w, h) of the slide, level-0 pixels.
    xy, size
        Top-left corner and (w, h) of the region, level-0 pixels.
    """
    rows = (np.arange(size[1]) + xy[1] + 0.5) * tissue.shape[0] / slide_size[1]
    columns = (np.arange(size[0]) + xy[0] + 0.5) * tissue.shape[1] / slide_size[0]
    rows = np.clip(rows.astype(np.int64), 0, tissue.shape[0] - 1)
    columns = np.clip(columns.astype(np.int64), 0, tissue.shape[1] - 1)
    return tissue[np.ix_(rows, columns)]
