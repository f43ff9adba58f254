"""A slow post-processing of CellViT maps, step by step as published, and scenes to try it on."""

import heapq
from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regdata.cellvit.maps.maps import Maps
from regdata.train.segmentation.targets import hv_map


@dataclass(frozen=True)
class Nucleus:
    """One nucleus as the published code records it; centroid and contour are pixel indices."""

    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    contour: NDArray[np.int32]
    kind: int
    kind_probability: float
    token: NDArray[np.float32]


def instances_of(
    nucleus: NDArray[np.float32], hv: NDArray[np.float32], min_marker: int, sobel: int
) -> NDArray[np.int32]:
    """Instances by scipy, OpenCV and a plain queue on the whole tile."""
    binary = _at_least(nucleus > 0.5, 10).astype(np.int32)
    steepness = []
    for axis in (0, 1):
        image = cv2.normalize(hv[axis], None, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)
        gradient = cv2.Sobel(image, cv2.CV_64F, 1 - axis, axis, ksize=sobel)
        steepness.append(1 - cv2.normalize(gradient, None, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F))
    overall = np.maximum(*steepness) - (1 - binary)
    overall[overall < 0] = 0
    energy = -cv2.GaussianBlur((1.0 - overall) * binary, (3, 3), 0)
    marker = binary - (overall >= 0.4)
    marker[marker < 0] = 0
    filled = ndimage.binary_fill_holes(marker).astype(np.uint8)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(filled, cv2.MORPH_OPEN, ellipse)
    markers = ndimage.label(_at_least(opened > 0, min_marker))[0]
    return flooded(energy, markers.astype(np.int32), binary > 0)


def flooded(
    energy: NDArray[np.float64], markers: NDArray[np.int32], mask: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """Watershed by a queue of all pixels: lowest first, then oldest, then in reading order."""
    labels = np.pad(np.where(mask, markers, -1), 1, constant_values=-1)
    height = np.pad(energy, 1)
    queue = [(height[place], 0, place) for place in map(tuple, np.argwhere(labels > 0).tolist())]
    heapq.heapify(queue)
    age = 0
    while queue:
        _, _, (row, column) = heapq.heappop(queue)
        for place in ((row - 1, column), (row, column - 1), (row, column + 1), (row + 1, column)):
            if labels[place] == 0:
                labels[place] = labels[row, column]
                age += 1
                heapq.heappush(queue, (height[place], age, place))
    return np.maximum(labels, 0)[1:-1, 1:-1].astype(np.int32)


def _at_least(mask: NDArray[np.bool_], area: int) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(mask)
    small = np.bincount(labels.ravel()) < area
    return mask & ~small[labels]


def nuclei_of(instances: NDArray[np.int32], maps: Maps) -> list[Nucleus]:
    """What is kept of each instance, in order."""
    found = (_nucleus(instances == i, maps) for i in np.unique(instances[instances > 0]))
    return [nucleus for nucleus in found if nucleus is not None]


def _nucleus(mask: NDArray[np.bool_], maps: Maps) -> Nucleus | None:
    rows, columns = np.nonzero(mask)
    box = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    crop = mask[box[0] : box[2], box[1] : box[3]].astype(np.uint8)
    contour = cv2.findContours(crop, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0][0][:, 0]
    counts = Counter(sorted(np.argmax(maps.kinds, 0)[mask].tolist()))
    ranking = [kind for kind, _ in counts.most_common()]  # of equals the smaller comes first
    kind = ranking[1] if ranking[0] == 0 and len(ranking) > 1 else ranking[0]
    if len(contour) < 3 or kind == 0:
        return None
    moments = cv2.moments(crop)
    top, left, bottom, right = np.array(box) / maps.patch
    tokens = maps.tokens[
        :, int(np.floor(top)) : int(np.ceil(bottom)), int(np.floor(left)) : int(np.ceil(right))
    ]
    return Nucleus(
        box=tuple(int(side) for side in box),
        centroid=(
            moments["m10"] / moments["m00"] + box[1],
            moments["m01"] / moments["m00"] + box[0],
        ),
        contour=contour + np.array([box[1], box[0]], np.int32),
        kind=kind,
        kind_probability=counts[kind] / (mask.sum() + 1e-6),
        token=tokens.mean((1, 2)),
    )


def scene(seed: int, shape: tuple[int, int] = (160, 192), noise: float = 0.04) -> Maps:
    """Maps of rotated, touching, overlapping and cut ellipses, with holes, specks and noise."""
    rng = np.random.default_rng(seed)
    instances = np.zeros(shape, np.int32)
    rows, columns = np.indices(shape)
    for i in range(1, 1 + shape[0] * shape[1] // 600):
        x, y = rng.uniform(0, shape[1]), rng.uniform(0, shape[0])
        a, b, turn = rng.uniform(3, 14), rng.uniform(2, 9), rng.uniform(0, np.pi)
        u = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
        v = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
        instances[(u / a) ** 2 + (v / b) ** 2 <= 1] = i
    hv = hv_map(instances) + rng.normal(0, noise, (2, *shape))
    logit = np.where(instances > 0, 4, -4) + ndimage.gaussian_filter(
        rng.normal(0, 25, shape), 1.2, mode="wrap"
    )
    kind = rng.integers(0, 6, instances.max() + 1)[instances]
    doubtful = (instances % 2 == 1) & (rng.random(shape) < 0.4)
    kind = np.where(doubtful, rng.integers(0, 6, shape), kind)
    kinds = np.where(np.arange(6)[:, None, None] == kind, 0.9, 0.02)
    tokens = rng.normal(size=(8, -(-shape[0] // 16), -(-shape[1] // 16)))
    nucleus = 1 / (1 + np.exp(-logit))
    return Maps(*(m.astype(np.float32) for m in (nucleus, hv, kinds, tokens)), patch=16)


def ellipses(shape: tuple[int, int], parts: list[tuple[int, int, int, int]]) -> NDArray[np.int32]:
    """Instances 1..n from (x, y, half width, half height), later ones on top."""
    rows, columns = np.indices(shape)
    out = np.zeros(shape, np.int32)
    for i, (x, y, a, b) in enumerate(parts, 1):
        out[((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1] = i
    return out


def maps_of(instances: NDArray[np.int32], kinds: NDArray[np.float32] | None = None) -> Maps:
    nucleus = np.where(instances > 0, 0.9, 0.05).astype(np.float32)
    if kinds is None:
        kinds = np.stack([1 - nucleus, nucleus])
    tokens = np.arange(np.prod([-(-s // 16) for s in instances.shape]), dtype=np.float32)
    tokens = tokens.reshape(1, -(-instances.shape[0] // 16), -1)
    return Maps(nucleus, hv_map(instances), kinds, tokens, 16)
