"""Where the segmentation fails worst, as pictures.

    python benchmarks/failures.py OUT.png [consep/test] [--model FILE] [--places 8] [--outlines]

Of every image the square of 200 px with the most nuclei missed, invented, merged or cut (no partner
with IoU > 0.5), the worst of all first: annotated outlines green, found ones magenta. --outlines
leaves the tissue out, so that the picture shows no image of the set.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from data import data_folder
from numpy.typing import NDArray
from tiny import parsed

from regdata.annotated.outlined import AnnotatedNuclei, find_annotated
from regdata.cells.positions import centroids
from regdata.cellvit.networks.weights import load_model
from regdata.eval.metrics.instances import overlaps
from regdata.eval.segmentation import find_nuclei

SIDE, ZOOM, COLUMNS = 200, 2, 4
GREEN, MAGENTA = (40, 160, 40), (200, 30, 170)


@dataclass(frozen=True)
class Place:
    """A square of an image with its outlines, and what went wrong in it."""

    picture: NDArray[np.uint8]
    errors: int
    nuclei: int


def unpaired(labels: NDArray[np.int32], partner: NDArray[np.int32]) -> NDArray[np.float64]:
    """Centres of the nuclei of `labels` that have no partner with IoU > 0.5."""
    pairs = overlaps(labels, partner)
    alone = np.ones(len(pairs.true_ids), bool)
    alone[pairs.rows[pairs.matched]] = False
    return centroids(labels)[pairs.true_ids[alone] - 1]


def worst(image: AnnotatedNuclei, found: NDArray[np.int32], outlines: bool) -> Place:
    """The square with the most errors."""
    errors = np.concatenate([unpaired(image.instances, found), unpaired(found, image.instances)])
    height, width = image.instances.shape
    corners = [(x, y) for y in range(0, height - SIDE, 50) for x in range(0, width - SIDE, 50)]

    def inside(xy: NDArray[np.float64], corner: tuple[int, int]) -> int:
        return int(((xy >= corner) & (xy < np.add(corner, SIDE))).all(1).sum())

    corner = max(corners, key=lambda corner: inside(errors, corner))
    part = np.s_[corner[1] : corner[1] + SIDE, corner[0] : corner[0] + SIDE]
    rgb = np.full((SIDE, SIDE, 3), 255, np.uint8) if outlines else image.rgb[part]
    picture = cv2.resize(rgb, None, None, ZOOM, ZOOM, cv2.INTER_CUBIC)
    for labels, colour in ((image.instances[part], GREEN), (found[part], MAGENTA)):
        big = np.repeat(np.repeat(labels, ZOOM, 0), ZOOM, 1)
        for label in np.unique(big[big > 0]):
            mask = (big == label).astype(np.uint8)
            shapes, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, shapes, -1, colour, 1, cv2.LINE_AA)
    picture = cv2.copyMakeBorder(picture, 4, 4, 4, 4, cv2.BORDER_CONSTANT, value=(120, 120, 120))
    picture = np.asarray(picture, np.uint8)
    return Place(picture, inside(errors, corner), inside(centroids(image.instances), corner))


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("folder", nargs="?", default="consep/test")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--places", type=int, default=8)
    parser.add_argument("--outlines", action="store_true")
    arguments = parsed(parser, places=1)
    model = load_model(arguments.model)
    places = []
    for outlined in find_annotated(data_folder() / arguments.folder):
        image = outlined.read()
        found = find_nuclei(model, image.rgb, 0.25)
        place = worst(image, found.instances, arguments.outlines)
        places.append(place)
        print(f"{image.name}: {place.errors} errors at {place.nuclei} annotated nuclei")
    places = sorted(places, key=lambda place: -place.errors)[: arguments.places]
    columns = min(COLUMNS, len(places))
    rows = [
        np.concatenate([place.picture for place in places[k : k + columns]], 1)
        for k in range(0, len(places) // columns * columns, columns)
    ]
    picture = np.concatenate(rows)[..., ::-1]
    cv2.imwrite(str(arguments.output), picture, (cv2.IMWRITE_PNG_COMPRESSION, 9))


if __name__ == "__main__":
    main()
