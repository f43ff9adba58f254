"""Predicted cells of annotated images and their annotated partners: the evidence of a score."""

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
class MatchedImage:
    """One image: its annotated nuclei, its predicted cells, and which of them are pairs.

    Attributes
    ----------
    mpp
        µm per pixel.
    truth
        (N,) int64, scored class of each annotated nucleus; below 0: a nucleus without a class.
    xy
        (M, 2) float64, predicted cells, pixels of the image, origin at its corner.
    probabilities
        (M, K) float32 over the scored classes.
    pairs
        (P, 2) int64, rows (annotated, predicted).
    free
        (M,) bool, predicted cells without a partner that count as false positives.
    vertices, offsets
        (V, 2) float32, pixels of the image, and (M + 1,) int64: contours of the predicted
        cells, see `CellTable`; no vertices where none are known.
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
        """(M,) int64, most probable class of each predicted cell."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def missed(self) -> NDArray[np.int64]:
        """(Q,) int64, indices of annotated nuclei that have a class but no partner."""
        alone = self.truth >= 0
        alone[self.pairs[:, 0]] = False
        return np.flatnonzero(alone)

    def contour(self, cell: int) -> NDArray[np.float32]:
        """(n, 2) float32, contour of a predicted cell, pixels; (0, 2) where none is known."""
        return self.vertices[self.offsets[cell] : self.offsets[cell + 1]]

    def counts(self) -> ImageCounts:
        """Confusion matrix of the image, with its name and slide."""
        classes = self.probabilities.shape[1]
        partners = Partners(self.truth, self.guess, self.pairs)
        return ImageCounts(
            self.image.name, self.image.slide, tally(partners, classes, self.free)[0]
        )


def match_image(
    image: AnnotatedImage,
    prediction: Prediction,
    classes: ClassMap,
    mpp: float,
    radius_um: float,
    outlines: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
) -> MatchedImage:
    """An image whose cells are matched as by `evaluate`, with everything known of them.

    Parameters
    ----------
    mpp
        µm per pixel.
    radius_um
        Largest distance of a pair, µm.
    outlines
        (V, 2) float32 vertices, pixels, and (M + 1,) int64 offsets of the cells' contours,
        see `CellTable`.
    """
    truth = np.where(image.labels < 0, image.labels, classes.annotated[image.labels])
    scored = None if image.field is None else inside(prediction.xy, image.field)
    radius = radius_um / mpp
    pairs, free = pair_named(image.points_xy, truth >= 0, prediction.xy, radius, scored)
    nothing = np.zeros((0, 2), np.float32), np.zeros(len(prediction.xy) + 1, np.int64)
    merged = classes.merge(prediction.probabilities)
    vertices, offsets = outlines or nothing
    return MatchedImage(
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


def cells_table(images: Sequence[MatchedImage], classes: Sequence[str]) -> pd.DataFrame:
    """Table with a row per predicted cell and per missed annotated nucleus.

    Columns: image, slide, x, y (pixels of the image), outcome (`right`, `confused`, `false
    positive`, `missed`, `not scored`), predicted, probability of each class, annotated, and
    distance_um of a pair. Where there is no class, it says `none`.
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


def _rows(matched: MatchedImage, classes: Sequence[str]) -> pd.DataFrame:
    names = np.array([*classes, _NONE], object)
    missed, cells = matched.missed, len(matched.xy)
    truth = np.full(cells, -1)
    distance = np.full(cells + len(missed), np.nan)
    here, there = matched.pairs.T
    truth[there] = matched.truth[here]
    apart = matched.image.points_xy[here] - matched.xy[there]
    distance[there] = np.hypot(*apart.T) * matched.mpp
    outcome = np.where(matched.free, "false positive", "not scored").astype(object)
    outcome[there] = np.where(truth[there] == matched.guess[there], "right", "confused")
    chance = np.full((cells + len(missed), len(classes)), np.nan, np.float32)
    chance[:cells] = matched.probabilities
    xy = np.concatenate([matched.xy, matched.image.points_xy[missed]])
    columns: dict[str, Any] = {
        "image": matched.image.name,
        "slide": matched.image.slide,
        "x": xy[:, 0],
        "y": xy[:, 1],
        "outcome": np.concatenate([outcome, np.full(len(missed), "missed", object)]),
        "predicted": np.concatenate([names[matched.guess], np.full(len(missed), _NONE, object)]),
        **{f"probability_{name}": chance[:, k] for k, name in enumerate(classes)},
        "annotated": names[np.concatenate([truth, matched.truth[missed]])],
        "distance_um": distance,
    }
    return pd.DataFrame(columns)
