"""H&E fields stitched from real images, and an IF of them that a known map leads to.

The H&E is real: images of 512 px, stain-normalised to one another and feathered into each other
over 64 px, with an irregular outline and a tear. The IF is rendered from the hematoxylin of the
stitched field: nuclei of random brightness, some missing, with a chromatin of their own,
autofluorescence, light out of focus, vignetting and camera noise. The truth is the map itself.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from data import data_folder
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from regdata.cells.positions import centroids
from regdata.slides import pixel_centres, pull
from regdata.slides.slide import Box, Slide
from regdata.slides.stain import HED_FROM_RGB, RGB_FROM_HED, hematoxylin
from regdata.transforms.displacement import Displacement
from regdata.transforms.nodes import between_nodes

SIDE, TILE, FEATHER, MPP = 4240, 512, 64, 0.25
NODE = 8  # px between the nodes the inverse map is evaluated at

Floats = NDArray[np.float64]
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """How an IF differs from its H&E.

    Attributes
    ----------
    degrees, scale, shear, mirror
        Of the affine part.
    elastic_px
        Standard deviation of the displacement at nodes 900, 350 and 140 px apart, H&E pixels.
    dropped
        Share of nuclei that are missing.
    psf_px
        Blur, H&E pixels.
    photons
        From a typical nucleus.
    out_of_focus
        Of the light.
    lost
        Share of the tissue washed away.
    uneven
        Largest factor of the illumination, and one over the smallest.
    if_mpp
        µm per pixel.
    share
        Of the section in view.
    """

    degrees: float = 4.0
    scale: float = 1.005
    shear: float = 0.0
    mirror: bool = False
    elastic_px: tuple[float, float, float] = (14.0, 5.0, 1.5)
    dropped: float = 0.15
    psf_px: float = 1.2
    photons: float = 300.0
    out_of_focus: float = 0.25
    lost: float = 0.0
    uneven: float = 1.0
    if_mpp: float = MPP
    share: float = 1.0


HARD = {
    "dropped": 0.4,
    "psf_px": 3.0,
    "photons": 100.0,
    "out_of_focus": 0.7,
    "lost": 0.07,
    "uneven": 2.5,
}
CASES = {
    "A": Case(),
    "B": Case(degrees=163.0, scale=0.98, shear=0.01, elastic_px=(25.0, 9.0, 2.5)),
    "C": Case(degrees=-11.0, scale=1.0, **HARD),  # type: ignore[arg-type]
}


@dataclass(frozen=True)
class Truth:
    """H&E µm to IF µm: displaced, then affine."""

    matrix: Floats
    fields: tuple[Displacement, ...]

    def points(self, um: Floats) -> Floats:
        """Map points, (..., 2)."""
        moved = um + sum(field.displacement(um) for field in self.fields)
        return np.asarray(moved @ self.matrix[:2, :2].T + self.matrix[:2, 2])

    def errors_um(self, he_to_if: object, um: Floats) -> Floats:
        """Distance of mapped points, (N, 2), from where they are, in H&E µm."""
        apart = he_to_if.points(um) - self.points(um)  # type: ignore[attr-defined]
        scale = np.sqrt(abs(np.linalg.det(self.matrix[:2, :2])))
        return np.asarray(np.linalg.norm(apart, axis=1) / scale)

    def inverse_points(self, um: Floats) -> Floats:
        """Map points back by fixed point; right to 1e-4 µm where displacements are smooth."""
        back = np.linalg.inv(self.matrix)
        target = um @ back[:2, :2].T + back[:2, 2]
        found = target.copy()
        for _ in range(40):
            better = target - sum(field.displacement(found) for field in self.fields)
            close = np.abs(better - found).max(initial=0.0) < 1e-4
            found = better
            if close:
                break
        return np.asarray(found)


@dataclass(frozen=True)
class Section:
    """An H&E field, the light it emits as an IF, and the centres of its nuclei.

    Attributes
    ----------
    rgb
        (side, side, 3).
    light
        (side, side); 1 is a typical nucleus.
    nuclei_um
        (N, 2).
    """

    rgb: NDArray[np.uint8]
    light: Plane
    nuclei_um: Floats


@dataclass(frozen=True)
class Known:
    """A pair of slides in memory and the truth between them.

    Attributes
    ----------
    nuclei_um
        (N, 2) centres of the nuclei on the H&E.
    """

    he: Slide
    if_: Slide
    truth: Truth
    nuclei_um: Floats

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(N,) whether the IF shows a nucleus."""
        um = self.truth.points(self.nuclei_um)
        size = np.array(self.if_.size) * (self.if_.mpp or 1)
        return np.asarray(((um > 0) & (um < size)).all(1))

    def errors_um(self, he_to_if: object) -> Floats:
        """Distance of each nucleus inside from where it is, in H&E µm."""
        return self.truth.errors_um(he_to_if, self.nuclei_um[self.inside])


def slide_of(planes: NDArray[np.generic], mpp: float, names: tuple[str, ...]) -> Slide:
    """An image in memory as a slide."""

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.generic]:
        return planes[list(channels), box.y : box.y + box.h, box.x : box.x + box.w]

    size = (planes.shape[2], planes.shape[1])
    return Slide(Path("simulated"), (size,), mpp, names, planes.dtype, pixels)


def field(seed: int, held_out: bool, side: int | None = None) -> NDArray[np.uint8]:
    """A stitched H&E field, (side, side, 3).

    Parameters
    ----------
    seed
        Decides which image lies where, and the outline.
    held_out
        From CoNSeP's test images, which the settings were not tuned on; from its training
        images otherwise.
    """
    side = side or SIDE
    rng = np.random.default_rng(seed)
    step = TILE - FEATHER
    count = -(-(side - FEATHER) // step)
    parts = _parts(held_out)
    order = np.concatenate([rng.permutation(len(parts)) for _ in range(count**2 // len(parts) + 1)])
    whole = count * step + FEATHER
    total = np.zeros((whole, whole, 3), np.float32)
    weight = np.zeros((whole, whole, 1), np.float32)
    ramp = np.minimum(np.arange(1, TILE + 1), np.arange(TILE, 0, -1)) / FEATHER
    feather = np.clip(np.minimum.outer(ramp, ramp), 0, 1).astype(np.float32)[..., None]
    for place in range(count**2):
        tile = np.rot90(_normalised(parts[order[place]]), int(rng.integers(4)))
        y, x = (step * i for i in divmod(place, count))
        total[y : y + TILE, x : x + TILE] += feather * tile
        weight[y : y + TILE, x : x + TILE] += feather
    density = (total / np.maximum(weight, 1e-6))[:side, :side]
    glass = _glass(side, rng)[..., None]
    rgb = 256 * np.exp(-density * (1 - glass)) - 1
    noisy = rgb - 8 * glass + rng.normal(0, 1.5, rgb.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _parts(held_out: bool) -> list[NDArray[np.uint8]]:
    """Images of TILE px."""
    root = data_folder()
    # one organ: beside others its stain could not be told from theirs by one threshold
    paths = sorted((root / "consep" / ("test" if held_out else "train") / "images").glob("*.*"))
    parts = []
    for path in paths:
        rgb = np.asarray(cv2.imread(str(path)), np.uint8)[..., ::-1]
        height, width = rgb.shape[:2]
        for y in sorted({0, height - TILE}):
            for x in sorted({0, width - TILE}):
                part = rgb[y : y + TILE, x : x + TILE]
                # fat and empty tiles have no nuclei to speak of
                if (hematoxylin(part) > 0.5).mean() > 0.04:
                    parts.append(part)
    return parts


def _normalised(rgb: NDArray[np.uint8]) -> Plane:
    """Optical density with hematoxylin and eosin brought to a common strength."""
    density = -np.log((rgb.astype(np.float32) + 1) / 256)
    stains = np.maximum(density @ HED_FROM_RGB.astype(np.float32), 0)
    strong = np.percentile(stains[..., :2].reshape(-1, 2), 97, axis=0)
    gain = np.array([1.0, 0.7], np.float32) / np.maximum(strong, 0.4)
    stains[..., :2] *= gain
    stains[..., 2] *= 0.3
    return np.asarray(stains @ RGB_FROM_HED.astype(np.float32), np.float32)


def _smooth(side: int, spacing: int, rng: np.random.Generator) -> Plane:
    """Noise of standard deviation about 1 that varies over `spacing` pixels."""
    nodes = side // spacing + 4
    coarse = rng.standard_normal((nodes, nodes)).astype(np.float32)
    size = (nodes * spacing, nodes * spacing)
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)[:side, :side]
    return np.asarray(fine / fine.std(), np.float32)


def _glass(side: int, rng: np.random.Generator) -> Plane:
    """1 where there is glass: around an irregular outline, and along one tear."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side - 0.5
    radius = np.maximum(np.abs(x), np.abs(y)) * 0.6 + np.hypot(x, y) * 0.4
    outside = radius + 0.03 * _smooth(side, side // 8, rng) > 0.47
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle) + 0.02 * _smooth(side, side // 10, rng)
    tear = (np.abs(across) < 0.006) & (along > 0.05) & (along < 0.4)
    mask = (outside | tear).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.0), np.float32)


def nuclei_of(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Nuclei by hematoxylin alone: threshold, then watershed of the distance to the border."""
    density = cv2.GaussianBlur(hematoxylin(rgb), (0, 0), 1.5)
    mask = density > max(0.45, float(np.percentile(density, 80)) * 0.9)
    mask = ndimage.binary_opening(mask, iterations=2)
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    distance = cv2.GaussianBlur(distance, (0, 0), 2.0)
    peaks = (distance == cv2.dilate(distance, np.ones((15, 15), np.uint8))) & (distance > 3)
    seeds, _ = ndimage.label(peaks)
    found = watershed(-distance, seeds, mask=mask)  # type: ignore[no-untyped-call]
    return np.asarray(found, np.int32)


def render(rgb: NDArray[np.uint8], case: Case, seed: int) -> Known:
    """The IF of an H&E."""
    rng = np.random.default_rng(seed)
    return posed(stained(rgb, case, rng), case, rng)


def stained(rgb: NDArray[np.uint8], case: Case, rng: np.random.Generator) -> Section:
    """What an H&E would emit, before it is moved and photographed."""
    instances = nuclei_of(rgb)
    light = _light(rgb, instances, case, rng)
    return Section(rgb, light, centroids(instances) * MPP)


def posed(section: Section, case: Case, rng: np.random.Generator) -> Known:
    """The two slides of a section."""
    truth, size = true_map(case, len(section.rgb), rng)
    image = _photograph(section.light, truth, size, case, rng)
    he = slide_of(section.rgb.transpose(2, 0, 1), MPP, ("red", "green", "blue"))
    return Known(he, slide_of(image, case.if_mpp, ("DAPI",)), truth, section.nuclei_um)


def _light(
    rgb: NDArray[np.uint8], instances: NDArray[np.int32], case: Case, rng: np.random.Generator
) -> Plane:
    """Emission in the H&E frame; 1 is a typical nucleus."""
    side = len(rgb)
    stain = hematoxylin(rgb)
    gain = np.exp(rng.normal(0, 0.35, instances.max() + 1)).astype(np.float32)
    gain *= rng.random(len(gain)) >= case.dropped
    gain[0] = 0
    texture = cv2.GaussianBlur(rng.standard_normal((side, side)).astype(np.float32), (0, 0), 2.5)
    texture = 1 + 0.25 * texture / texture.std()
    nuclear = gain[instances] * (0.5 + 0.5 * np.minimum(stain, 1.5)) * np.maximum(texture, 0.1)
    density = -np.log((rgb.astype(np.float32) + 1) / 256)
    eosin = np.maximum(density @ HED_FROM_RGB[:, 1].astype(np.float32), 0)
    if case.lost:
        holes = _smooth(side, 200, rng)
        nuclear = np.where(holes > np.quantile(holes, 1 - case.lost), 0, nuclear)
    deep = np.roll(nuclear, (side // 3, side // 5), (0, 1))[::-1]  # nuclei of another layer
    deep = cv2.GaussianBlur(deep, (0, 0), 10.0)
    light = nuclear + 0.1 * eosin + case.out_of_focus * deep
    light = cv2.GaussianBlur(light, (0, 0), case.psf_px)
    if case.uneven > 1:
        bias = np.clip(_smooth(side, 600, rng), -1.5, 1.5) / 1.5
        light = light * np.exp(np.log(case.uneven) * bias)
    return np.asarray(light, np.float32)


def true_map(case: Case, side: int, rng: np.random.Generator) -> tuple[Truth, tuple[int, int]]:
    """The true map, and the size of the IF in pixels."""
    fields = []
    for spacing, spread in zip((900, 350, 140), case.elastic_px, strict=True):
        count = side // spacing + 6
        samples = rng.normal(0, spread * MPP, (2, count, count))
        origin = -np.full(2, 2.0 * spacing * MPP)
        fields.append(Displacement.through(samples, origin, spacing * MPP))
    turn = np.deg2rad(case.degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    flip = np.diag([-1.0 if case.mirror else 1.0, 1.0])
    matrix = np.eye(3)
    matrix[:2, :2] = case.scale * rotation @ np.array([[1, case.shear], [0, 1]]) @ flip
    um = side * MPP
    corners = np.array([[0, 0], [um, 0], [0, um], [um, um]]) @ matrix[:2, :2].T
    if case.share < 1:
        # a window of the field, anywhere
        span = um * case.scale * np.sqrt(case.share)
        low = np.array([um / 2, um / 2]) @ matrix[:2, :2].T - span / 2
        low = low + rng.uniform(-0.15, 0.15, 2) * um
        size = np.full(2, span)
    else:
        low = corners.min(0) - 15
        size = corners.max(0) + 15 - low
    matrix[:2, 2] = -low
    width, height = np.ceil(size / case.if_mpp).astype(int).tolist()
    return Truth(matrix, tuple(fields)), (width, height)


def _photograph(
    light: Plane, truth: Truth, size: tuple[int, int], case: Case, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """(1, H, W) uint16, what the camera of the IF sees."""
    width, height = size
    pitch = case.if_mpp / MPP
    if pitch > 1.01:
        # a pixel averages over its area
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), 0.4 * pitch), np.float32)
    at = he_pixels(truth, Box(0, 0, width, height), case.if_mpp)
    seen = np.empty((height, width), np.float32)
    for top in range(0, height, 1024):  # OpenCV takes at most 32767 px
        part = at[top : top + 1024]
        seen[top : top + 1024] = pull(light, part, kernel="cubic")
    return counted(seen, (0, 0), case, rng)[None]


def he_pixels(truth: Truth, box: Box, if_mpp: float) -> Floats:
    """Position (x, y) on the H&E, pixels, that every pixel of a box of the IF shows, (h, w, 2)."""
    wide = Box(box.x - NODE, box.y - NODE, box.w + 3 * NODE, box.h + 3 * NODE)
    nodes = truth.inverse_points(pixel_centres(wide, NODE) * if_mpp) / MPP
    return between_nodes(nodes, NODE, (0, 0), (box.w, box.h))


def counted(
    seen: Plane, corner: tuple[int, int], case: Case, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """What a camera counts of the light in a part of the IF that begins at `corner`."""
    height, width = seen.shape
    pitch, period = case.if_mpp / MPP, 250.0 / case.if_mpp
    x, y = (
        (np.arange(start, start + n) / period % 1 * 2 - 1)
        for start, n in zip(corner, (width, height), strict=True)
    )
    seen = seen * (1 - 0.1 * ((x * x)[None] + (y * y)[:, None])).astype(np.float32)
    photons = (np.maximum(seen, 0) + 0.03) * case.photons * pitch**2
    photons += np.sqrt(photons + 9) * rng.standard_normal(photons.shape).astype(np.float32)
    counts = photons * (8000 / (case.photons * pitch**2)) + 160
    return np.clip(counts, 0, 65535).astype(np.uint16)
