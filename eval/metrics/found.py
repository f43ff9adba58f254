"""The cells found in annotated images and what each of them met: the evidence behind a score."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regdata.annotated import AnnotatedImage
from regdata.eval.metrics.classes import ClassMap
from regdata.eval.metrics.counts import ImageCounts, Partners, pair_named, tally
from regdata.eval.metrics.predictions import Prediction, inside
from regdata.files import replacing

_NONE = "none"
"""Class of what has no partner."""


@dataclass(frozen=True, kw_only=True)
class FoundImage:
    """One image: its annotated nuclei, the cells found in it, and which of them are the same.

    Attributes
    ----------
    mpp
        µm per pixel.
    truth
        (N,) int64, scored class of each annotated nucleus; below 0 nobody could name it.
    xy
        (M, 2) float64, found cells, pixels of the image.
    probabilities
        (M, K) float32 over the scored classes.
    pairs
        (P, 2) int64, rows (annotated, found).
    free
        (M,) bool, found cells without a partner that count as found in vain.
    vertices, offsets
        Contours of the found cells, see `CellTable`; no vertices where none are known.
    """

    image: AnnotatedImage
    mpp: float
    truth: NDArray[np.int64]
    xy: NDArray[np.float64]
    probabilities: NDArray[np.float32]
    pairs: NDArray[np.int64]
    free: NDArray[np.bool_]
    vertices: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @property
    def guess(self) -> NDArray[np.int64]:
        """(M,) most probable class."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def missed(self) -> NDArray[np.int64]:
        """Indices of the named annotated nuclei without a partner."""
        alone = self.truth >= 0
        alone[self.pairs[:, 0]] = False
        return np.flatnonzero(alone)

    def contour(self, cell: int) -> NDArray[np.float32]:
        """(n, 2) contour of a found cell; (0, 2) where none is known."""
        return self.vertices[self.offsets[cell] : self.offsets[cell + 1]]

    def counts(self) -> ImageCounts:
        """Its confusion matrix."""
        classes = self.probabilities.shape[1]
        partners = Partners(self.truth, self.guess, self.pairs)
        return ImageCounts(
            self.image.name, self.image.slide, tally(partners, classes, self.free)[0]
        )


def found_image(
    image: AnnotatedImage,
    prediction: Prediction,
    classes: ClassMap,
    mpp: float,
    radius_um: float,
    outlines: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
) -> FoundImage:
    """Match the cells found in an image as `evaluate` does, and keep all there is of them.

    Parameters
    ----------
    outlines
        Vertices and offsets of the cells' contours, see `CellTable`.
    """
    truth = np.where(image.labels < 0, image.labels, classes.annotated[image.labels])
    scored = None if image.field is None else inside(prediction.xy, image.field)
    radius = radius_um / mpp
    pairs, free = pair_named(image.points_xy, truth >= 0, prediction.xy, radius, scored)
    nothing = np.zeros((0, 2), np.float32), np.zeros(len(prediction.xy) + 1, np.int64)
    merged = classes.merge(prediction.probabilities)
    vertices, offsets = outlines or nothing
    return FoundImage(
        image=image,
        mpp=mpp,
        truth=truth,
        xy=prediction.xy,
        probabilities=merged,
        pairs=pairs,
        free=free,
        vertices=vertices,
        offsets=offsets,
    )


def cells_table(images: Sequence[FoundImage], classes: Sequence[str]) -> pd.DataFrame:
    """A row per found cell and per missed annotated nucleus.

    Columns: image, slide, x, y (pixels of the image), outcome (`right`, `confused`, `false
    positive`, `missed`, `not scored`), predicted, probability of each class, annotated, and
    distance_um of a pair. A class that there is not is `none`.
    """
    frames = [_rows(image, classes) for image in images]
    return pd.concat(frames, ignore_index=True)


def write_cells(folder: Path, table: pd.DataFrame) -> Path:
    """Write `cells.parquet`, or `cells.csv.gz` where pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        path = folder / "cells.csv.gz"
        with replacing(path) as part:
            table.to_csv(part, index=False, compression="gzip")
        return path
    path = folder / "cells.parquet"
    with replacing(path) as part:
        table.to_parquet(part, index=False)
    return path


def _rows(found: FoundImage, classes: Sequence[str]) -> pd.DataFrame:
    names = np.array([*classes, _NONE], object)
    missed, cells = found.missed, len(found.xy)
    truth = np.full(cells, -1)
    distance = np.full(cells + len(missed), np.nan)
    here, there = found.pairs.T
    truth[there] = found.truth[here]
    apart = found.image.points_xy[here] - found.xy[there]
    distance[there] = np.hypot(*apart.T) * found.mpp
    outcome = np.where(found.free, "false positive", "not scored").astype(object)
    outcome[there] = np.where(truth[there] == found.guess[there], "right", "confused")
    chance = np.full((cells + len(missed), len(classes)), np.nan, np.float32)
    chance[:cells] = found.probabilities
    xy = np.concatenate([found.xy, found.image.points_xy[missed]])
    columns: dict[str, Any] = {
        "image": found.image.name,
        "slide": found.image.slide,
        "x": xy[:, 0],
        "y": xy[:, 1],
        "outcome": np.concatenate([outcome, np.full(len(missed), "missed", object)]),
        "predicted": np.concatenate([names[found.guess], np.full(len(missed), _NONE, object)]),
        **{f"probability_{name}": chance[:, k] for k, name in enumerate(classes)},
        "annotated": names[np.concatenate([truth, found.truth[missed]])],
        "distance_um": distance,
    }
    return pd.DataFrame(columns)
