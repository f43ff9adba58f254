"""HoVer-Net's post-processing: from the network's maps to nuclei (Graham et al., 2019)."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from skimage.segmentation import watershed

from regdata.cells import CellTable

Float = NDArray[np.float32]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class PostprocessSettings:
    """Sizes in pixels at the resolution the network works at; defaults for 0.25 µm/px.

    Attributes
    ----------
    min_marker
        Smaller markers are dropped.
    sobel
        Side of the Sobel kernel on the HV maps.
    edge
        Normalised HV gradient above which a pixel separates nuclei.
    min_area
        Smaller nuclei are dropped.
    """

    min_marker: int = 10
    sobel: int = 21
    edge: float = 0.4
    min_area: int = 30


@dataclass(frozen=True)
class Maps:
    """What the network says of one tile, as probabilities.

    Attributes
    ----------
    nucleus
        (H, W) probability of a nucleus.
    hv
        (2, H, W) horizontal, vertical offset from the nucleus's centre, -1..1.
    kinds
        (C, H, W) class probabilities, background first.
    tokens
        (D, h, w); token (i, j) covers the pixels from (i, j) * patch on.
    patch
        Side of a token in pixels.
    """

    nucleus: Float
    hv: Float
    kinds: Float
    tokens: Float
    patch: int


def separate(nucleus: Float, hv: Float, settings: PostprocessSettings) -> Labels:
    """Split the nuclei of one tile by a watershed on the gradients of the HV maps.

    Parameters
    ----------
    nucleus
        (H, W) probability; a pixel above 0.5 is nucleus.
    hv
        (2, H, W).

    Returns
    -------
    array
        (H, W) int32 instances 1..N, 0 = background.
    """
    binary = _drop_small(nucleus > 0.5, 10)
    if not binary.any():
        return np.zeros(nucleus.shape, np.int32)
    size = settings.sobel
    gradient_x = cv2.Sobel(_normalise(hv[0]), cv2.CV_64F, 1, 0, ksize=size)
    gradient_y = cv2.Sobel(_normalise(hv[1]), cv2.CV_64F, 0, 1, ksize=size)
    # a jump from +1 to -1 between touching nuclei is a strongly negative gradient
    edge = np.maximum(1 - _normalise(gradient_x), 1 - _normalise(gradient_y))
    edge = np.clip(edge - (1 - binary), 0, None)
    energy = -cv2.GaussianBlur((1 - edge) * binary, (3, 3), 0)
    marker = binary & (edge < settings.edge)
    filled = ndimage.binary_fill_holes(marker).astype(np.uint8)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(filled, cv2.MORPH_OPEN, ellipse)
    _, markers = cv2.connectedComponents(_drop_small(opened > 0, settings.min_marker), None, 4)
    found = watershed(energy, markers, mask=binary.astype(bool))  # type: ignore[no-untyped-call]
    return np.asarray(found, dtype=np.int32)


def _normalise(image: NDArray[Any]) -> Float:
    low, high = float(image.min()), float(image.max())
    return ((image - low) / max(high - low, 1e-12)).astype(np.float32)


def _drop_small(mask: NDArray[np.bool_], area: int) -> NDArray[np.uint8]:
    """Remove 4-connected parts of fewer than `area` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), None, None, None, 4
    )
    keep = stats[:, cv2.CC_STAT_AREA] >= area
    keep[0] = False
    return np.asarray(keep[labels], dtype=np.uint8)


def measure(instances: Labels, maps: Maps, mpp: float, min_area: int) -> CellTable:
    """Measure the nuclei of one tile.

    Parameters
    ----------
    instances
        (H, W) int32 instances, 0 = background; ids need not be contiguous.
    maps
        The network's maps of the same tile.
    mpp
        Micrometres per pixel of the tile.
    min_area
        Nuclei of fewer pixels are left out.

    Returns
    -------
    CellTable
        Positions in pixels of the tile, corner origin. The kind is the likeliest class, summed
        over the nucleus, other than background; its probability is its share of the classes
        other than background.
    """
    outlines = [_outline(instances, i, box) for i, box in _boxes(instances)]
    kept = [(i, line) for i, line in outlines if len(line) >= 3]
    index = np.array([i for i, _ in kept], dtype=np.int64)
    area = np.bincount(instances.ravel(), minlength=1 + max(index, default=0))
    index = index[area[index] >= min_area] if len(index) else index
    if len(index) == 0:
        return CellTable.empty(maps.tokens.shape[0])
    lines = dict(kept)
    size = area[index].astype(np.float64)
    flat = instances.ravel()
    count = len(area)

    def mean(image: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(flat, image.ravel(), count)[index] / size

    height, width = instances.shape
    rows = np.repeat(np.arange(height), width)
    columns = np.tile(np.arange(width), height)
    shares = np.stack([mean(np.asarray(kind)) for kind in maps.kinds[1:]], 1)
    kind = shares.argmax(1)
    vertices = [lines[i] for i in index]
    offsets = np.cumsum([0, *(len(v) for v in vertices)])
    return CellTable(
        xy=np.stack([mean(columns), mean(rows)], 1) + 0.5,
        vertices=np.concatenate(vertices),
        offsets=offsets.astype(np.int64),
        tokens=mean_tokens(instances, maps.tokens, index, maps.patch).astype(np.float16),
        kind=(kind + 1).astype(np.uint8),
        kind_probability=(shares.max(1) / np.maximum(shares.sum(1), 1e-6)).astype(np.float32),
        probability=mean(np.asarray(maps.nucleus)).astype(np.float32),
        area_um2=(size * mpp**2).astype(np.float32),
        flags=np.zeros(len(index), np.uint8),
    )


def _boxes(instances: Labels) -> list[tuple[int, tuple[slice, slice]]]:
    found = ndimage.find_objects(instances)
    return [(i, box) for i, box in enumerate(found, 1) if box is not None]


def _outline(instances: Labels, i: int, box: tuple[slice, slice]) -> tuple[int, Float]:
    """The outer contour of instance i, through the centres of its border pixels, (n, 2)."""
    mask = (instances[box] == i).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    longest = max(contours, key=len)[:, 0]
    corner = np.array([box[1].start, box[0].start])
    # +0.5: from pixel indices, which count centres, to points with a corner origin
    return i, (longest + corner + 0.5).astype(np.float32)


def mean_tokens(instances: Labels, tokens: Float, index: NDArray[np.int64], patch: int) -> Float:
    """Mean token of each nucleus, every token weighing as the nucleus's pixels in its patch.

    Parameters
    ----------
    instances
        (H, W) int32.
    tokens
        (D, h, w), covering at least the instance map.
    index
        (N,) ids of the nuclei.
    patch
        Side of a token in pixels.

    Returns
    -------
    array
        (N, D) float32.
    """
    width, h, w = tokens.shape
    rows, columns = np.nonzero(instances)
    place = rows // patch * w + columns // patch
    nucleus = instances[rows, columns]
    shape = (int(instances.max()) + 1, h * w)
    weight = sparse.coo_array((np.ones(len(rows), np.float32), (nucleus, place)), shape).tocsr()
    sums = weight[index] @ tokens.reshape(width, -1).T
    total = np.asarray(weight[index].sum(1))[:, None]
    return np.asarray(sums / total, dtype=np.float32)
