"""Rescaling HV gradients by a tile's own extremes or by constants: limits, scores and seams.

    python benchmarks/normalisation.py [consep/train] [--model FILE] [--every 4]

Limits are the smallest and the largest Sobel response of an image, in units of the response to a
step from 0 to 1; the constants of `normalise="fixed"` are their means. bPQ pairs nuclei at IoU >
0.5, detection F1 pairs centroids one-to-one within 12 px. For the seams, four tiles of 512 px are
cut 256 px apart from every image; of the nuclei at least 32 px inside two tiles, the share is given
whose masks in the two overlap by an IoU below 0.99 (differ) or 0.5 (lost). Tiles are run through
the network one by one, as on a slide, or cut from the maps of the whole image, so that only the
post-processing can differ.
"""

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from data import Annotated, data_folder, load_one
from numpy.typing import NDArray
from tiny import parsed

from regdata.annotated.outlined import find_annotated
from regdata.cellvit.maps.maps import Maps, Normalise, PostprocessSettings, step_response
from regdata.cellvit.maps.postprocess import find_cells
from regdata.cellvit.networks.weights import Model, load_model
from regdata.cellvit.tiles.inference import predict
from regdata.eval.metrics.instances import overlaps
from regdata.eval.metrics.matching import match_points
from regdata.eval.metrics.panoptic import panoptic_quality
from regdata.eval.metrics.rates import precision_recall_f1

TILE, SHIFT, MARGIN = 512, 256, 32
CORNERS = tuple(itertools.product((0, SHIFT), (0, SHIFT)))
MODES: tuple[Normalise, ...] = ("tile", "fixed")
HOW = ("run one by one", "cut from one run")
Labels = NDArray[np.int32]


def limits(maps: Maps, sobel: int) -> NDArray[np.float64]:
    """Smallest and largest Sobel response along x and along y, in units of a step's, (2, 2)."""
    found = []
    for axis, hv in enumerate(np.asarray(maps.hv, np.float32)):
        gradient = cv2.Sobel(hv, cv2.CV_64F, 1 - axis, axis, ksize=sobel) / step_response(sobel)
        found.append((gradient.min(), gradient.max()))
    return np.array(found)


def score(image: Annotated, maps: Maps, mpp: float, settings: PostprocessSettings) -> list[float]:
    """Binary PQ and detection F1 of one image."""
    instances, cells = find_cells(maps, mpp, settings)
    pairs = len(match_points(image.xy, cells.xy, 12.0))
    f1 = float(precision_recall_f1(pairs, len(cells), len(image.xy), empty=0.0)[2])
    return [panoptic_quality(overlaps(image.instances, instances)).pq or 0.0, f1]


def best_iou(first: Labels, second: Labels) -> NDArray[np.float64]:
    """For each nucleus that is inside the first map by a margin, its best IoU in the second."""
    columns = int(second.max()) + 1
    joint = np.bincount(first.ravel() * np.int64(columns) + second.ravel())
    joint = np.pad(joint, (0, (int(first.max()) + 1) * columns - len(joint))).reshape(-1, columns)
    union = joint.sum(1, keepdims=True) + joint.sum(0, keepdims=True) - joint
    iou = (joint / np.maximum(union, 1))[:, 1:].max(1, initial=0.0)
    inside = np.bincount(first[MARGIN:-MARGIN, MARGIN:-MARGIN].ravel(), minlength=len(iou))
    whole = inside == joint.sum(1)
    whole[0] = False
    return np.asarray(iou[whole & (inside > 0)])


def seams(
    tiles: dict[tuple[int, int], Maps], mpp: float, settings: PostprocessSettings
) -> list[NDArray[np.float64]]:
    """IoUs of the nuclei that two tiles share, for all pairs of tiles in both directions."""
    found = {corner: find_cells(maps, mpp, settings)[0] for corner, maps in tiles.items()}
    ious = []
    for a, b in itertools.permutations(tiles, 2):
        (x0, y0), (x1, y1) = np.maximum(a, b), np.minimum(a, b) + TILE
        views = [found[c][y0 - c[1] : y1 - c[1], x0 - c[0] : x1 - c[0]] for c in (a, b)]
        ious.append(best_iou(*views))
    return ious


def seen_alone(model: Model, rgb: NDArray[np.uint8]) -> dict[tuple[int, int], Maps]:
    """The maps of four tiles by their corners (x, y), each tile run through the network."""
    return {(x, y): predict(model, rgb[y : y + TILE, x : x + TILE]) for x, y in CORNERS}


def cut_out(maps: Maps) -> dict[tuple[int, int], Maps]:
    """Four tiles of the maps of a whole image: what differs is the post-processing's."""
    fields = [np.asarray(m) for m in (maps.nucleus, maps.hv, maps.kinds, maps.tokens)]
    steps = (1, 1, 1, int(maps.patch))
    tiles = {}
    for x, y in CORNERS:
        parts = [
            field[..., y // n : (y + TILE) // n, x // n : (x + TILE) // n]
            for field, n in zip(fields, steps, strict=True)
        ]
        tiles[x, y] = Maps(parts[0], parts[1], parts[2], parts[3], maps.patch)
    return tiles


def main() -> None:
    """Print the limits and a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="consep/train")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--every", type=int, default=4, help="use each n-th image")
    arguments = parsed(parser, every=2)
    model = load_model(arguments.model)
    mpp, plain = model.config.mpp, PostprocessSettings()
    images = find_annotated(data_folder() / arguments.folder)[:: arguments.every]
    extremes = []
    scores: dict[str, list[list[float]]] = {mode: [] for mode in MODES}
    ious: dict[str, list[NDArray[np.float64]]] = {mode + how: [] for mode in MODES for how in HOW}
    for image in map(load_one, images):
        maps = predict(model, image.rgb)
        tilings = zip(HOW, (seen_alone(model, image.rgb), cut_out(maps)), strict=True)
        extremes.append(limits(maps, plain.sobel))
        for mode, (how, tiles) in itertools.product(MODES, list(tilings)):
            ious[mode + how] += seams(tiles, mpp, replace(plain, normalise=mode))
        for mode in MODES:
            scores[mode].append(score(image, maps, mpp, replace(plain, normalise=mode)))
    spread = np.concatenate(extremes)
    low, high = spread.mean(0)
    print(f"{arguments.folder}: {len(images)} images, model {model.sha256[:12]}; limits")
    print(f"{low:.2f} (sd {spread[:, 0].std():.2f}) to {high:.2f} (sd {spread[:, 1].std():.2f})\n")
    print("| normalise | tiles | bPQ | detection F1 | nuclei in two tiles | differ | lost |")
    print("|---|---|---|---|---|---|---|")
    for mode, how in itertools.product(MODES, HOW):
        (quality, f1), shared = np.mean(scores[mode], 0), np.concatenate(ious[mode + how])
        print(
            f"| {mode} | {how} | {quality:.4f} | {f1:.4f} | {len(shared)} | "
            f"{(shared < 0.99).mean():.2%} | {(shared < 0.5).mean():.2%} |"
        )


if __name__ == "__main__":
    main()
