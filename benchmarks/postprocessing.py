"""Post-processing of one 1024 px tile, ours and the published order of work, in CPU seconds.

    python benchmarks/postprocessing.py [500 1500] [--repeat 5]

The tile is a jittered grid of rotated ellipses, semi-axes 9-16 x 6-11 px, later ones over earlier
ones; HV maps with noise of 0.04; classes of 0.9 against 0.02 with 12 % of the pixels flipped. Ours
is everything from probabilities to the cell table, mean tokens (384 wide) included. The published
order of work, written anew from its description, has no tokens in it: it labels, filters, fills and
floods the whole tile, then scans it once per nucleus to renumber and once more to measure. Both
run in one thread; the least of the repeats counts.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed
from tiny import parsed

from regdata.cellvit.maps.maps import Maps, PostprocessSettings
from regdata.cellvit.maps.postprocess import find_cells
from regdata.train.segmentation.targets import hv_map

SIDE, WIDTH = 1024, 384
Labels = NDArray[np.int32]
Record = dict[str, Any]


def draw(count: int, seed: int) -> Labels:
    """Instances of the workload."""
    rng = np.random.default_rng(seed)
    across = int(np.ceil(np.sqrt(count)))
    step = SIDE / across
    instances = np.zeros((SIDE, SIDE), np.int32)
    for i in range(count):
        x, y = ((np.array((i % across, i // across)) + rng.uniform(0.25, 0.75, 2)) * step).tolist()
        axes, turn = (rng.uniform(9, 16), rng.uniform(6, 11)), rng.uniform(0, np.pi)
        left, top = max(0, int(x) - 17), max(0, int(y) - 17)
        rows, columns = np.mgrid[top : min(SIDE, top + 36), left : min(SIDE, left + 36)]
        u = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
        v = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
        inside = (u / axes[0]) ** 2 + (v / axes[1]) ** 2 <= 1
        instances[rows[inside], columns[inside]] = i + 1
    return instances


def workload(count: int, seed: int = 0) -> Maps:
    """The maps of the workload, 6 classes."""
    instances = draw(count, seed)
    rng = np.random.default_rng(seed + 1)
    noise = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 2)
    nucleus = 1 / (1 + np.exp(-np.where(instances > 0, 4, -4) - noise / noise.std()))
    hv = hv_map(instances) + rng.normal(0, 0.04, (2, SIDE, SIDE))
    kind = rng.integers(1, 6, count + 1)
    kind[0] = 0
    flipped = (instances > 0) & (rng.random(instances.shape) < 0.12)
    kind_map = np.where(flipped, rng.integers(1, 6, instances.shape), kind[instances])
    kinds = np.where(np.arange(6)[:, None, None] == kind_map, 0.9, 0.02)
    tokens = rng.normal(size=(WIDTH, SIDE // 16, SIDE // 16))
    return Maps(*(m.astype(np.float32) for m in (nucleus, hv, kinds, tokens)), patch=16)


def published_order(maps: Maps) -> tuple[Labels, list[Record]]:
    """Instances and one record per nucleus, with a scan of the tile for each."""
    nucleus = np.asarray(maps.nucleus)
    binary = np.argmax(np.stack([1 - nucleus, nucleus]), axis=0)
    kinds = np.argmax(np.asarray(maps.kinds), axis=0)
    stacked = np.stack([kinds, binary, *np.asarray(maps.hv)], axis=-1).astype(np.float32)
    kind_map = stacked[..., 0].astype(np.int32)
    instances = renumbered(flooded(stacked[..., 1], stacked[..., 2], stacked[..., 3]))
    found = (record(instances == i, kind_map) for i in np.unique(instances)[1:])
    return instances, [nucleus for nucleus in found if nucleus is not None]


def at_least(mask: NDArray[Any], area: int) -> NDArray[np.bool_]:
    """Without its small parts."""
    labels, _ = ndimage.label(mask)
    return np.asarray((labels > 0) & (np.bincount(labels.ravel()) >= area)[labels])


def flooded(binary: NDArray[Any], h: NDArray[Any], v: NDArray[Any]) -> Labels:
    """HoVer-Net's watershed on the whole tile."""
    blob = at_least(binary >= 0.5, 10).astype(np.int32)
    steep = []
    for axis, channel in enumerate((h, v)):
        image = cv2.normalize(channel, None, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F)
        sobel = cv2.Sobel(image, cv2.CV_64F, 1 - axis, axis, ksize=21)
        steep.append(1 - cv2.normalize(sobel, None, 0, 1, cv2.NORM_MINMAX, cv2.CV_32F))
    overall = np.maximum(*steep) - (1 - blob)
    overall[overall < 0] = 0
    energy = -cv2.GaussianBlur((1.0 - overall) * blob, (3, 3), 0)
    marker = np.maximum(blob - (overall >= 0.4), 0)
    filled = ndimage.binary_fill_holes(marker).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(filled, cv2.MORPH_OPEN, disc)
    markers = ndimage.label(at_least(opened, 10))[0]
    return np.asarray(watershed(energy, markers, mask=blob), np.int32)


def renumbered(instances: Labels) -> Labels:
    """1..n in order, one scan each."""
    out = np.zeros_like(instances)
    for i, old in enumerate(np.unique(instances)[1:], 1):
        out[instances == old] = i
    return out


def record(mask: NDArray[np.bool_], kind_map: Labels) -> Record | None:
    """Box, centroid, contour and class of one nucleus from its mask of the tile."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    crop = mask[box].astype(np.uint8)
    moments = cv2.moments(crop)
    contour = cv2.findContours(crop, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0][0][:, 0]
    ids, votes = np.unique(kind_map[box][crop > 0], return_counts=True)
    ranking = sorted(zip(ids.tolist(), votes.tolist(), strict=True), key=lambda pair: -pair[1])
    kind, count = ranking[1] if ranking[0][0] == 0 and len(ranking) > 1 else ranking[0]
    if len(contour) < 3 or kind == 0:
        return None
    centre = (moments["m10"] / moments["m00"], moments["m01"] / moments["m00"])
    corner = np.array([columns[0], rows[0]])
    return {
        "box": box,
        "xy": corner + centre,
        "contour": contour + corner,
        "kind": kind,
        "share": count / (crop.sum() + 1e-6),
    }


def least(work: Callable[[], object], repeat: int) -> float:
    """CPU seconds of the quickest of the repeats, after one to compile."""
    work()
    spent = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def same(maps: Maps, settings: PostprocessSettings) -> str:
    """Whether both ways find the same nuclei."""
    instances, cells = find_cells(maps, 0.25, settings)
    expected, records = published_order(maps)
    equal = (
        np.array_equal(instances, expected)
        and cells.kind.tolist() == [r["kind"] for r in records]
        and np.allclose(cells.xy - 0.5, [r["xy"] for r in records])
        and np.array_equal(cells.vertices - 0.5, np.concatenate([r["contour"] for r in records]))
    )
    return f"{len(cells)}, {'the same' if equal else 'DIFFERENT'}"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", nargs="*", type=int, default=[500, 1500])
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parsed(parser, counts=[40], repeat=1)
    cv2.setNumThreads(1)
    published = PostprocessSettings.published(0.25)
    default, fixed = PostprocessSettings(), PostprocessSettings(normalise="fixed")
    print("| nuclei | found | published order, CPU s | ours | ratio | default | default, fixed |")
    print("|---|---|---|---|---|---|---|")
    for count in arguments.counts:
        maps = workload(count)
        slow = least(lambda maps=maps: published_order(maps), max(1, arguments.repeat // 2))
        ours, plain, constant = (
            least(lambda maps=maps, s=s: find_cells(maps, 0.25, s), arguments.repeat)
            for s in (published, default, fixed)
        )
        print(
            f"| {count} | {same(maps, published)} | {slow:.3f} | {ours:.3f} | "
            f"{slow / ours:.1f} | {plain:.3f} | {constant:.3f} |"
        )


if __name__ == "__main__":
    main()
