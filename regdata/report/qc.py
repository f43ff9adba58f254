"""Pictures beside a labelled file: alignment, masks and nuclei."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from regdata.arrays import RGB
from regdata.cells import CellTable, concatenate, iterate_cells, label_index
from regdata.names import UNKNOWN
from regdata.report.pictures import caption, checkerboard, draw_cells, mark_mask, overlay, write_png
from regdata.slides import Slide

_OVERVIEW = 1600  # pixels a side of the overview
_DETAIL = 1000  # pixels a side of a detail


class ThresholdMap(Protocol):
    """A threshold that may vary over the slide."""

    def over(
        self, corner_um: NDArray[np.float64], size: tuple[int, int], mpp: float
    ) -> NDArray[np.float32]:
        """(h, w) float32, threshold at the pixel centres of a region.

        Parameters
        ----------
        corner_um
            (2,) float64, x and y of its top left corner, µm.
        size
            Width and height in pixels of `mpp`.
        """
        ...


@dataclass(frozen=True)
class Aligned:
    """Everything a build measures, in the H&E frame.

    Attributes
    ----------
    he, dapi
        H&E, and the nuclear channel of the IF slide warped to it, if there is one.
    markers
        Per marker its channel without background, warped.
    thresholds
        Per marker the intensity over the H&E slide above which a pixel is stained; a marker
        without one is a mask, stained where it is above 0.
    step
        Level-0 H&E pixels per pixel at which nuclei were segmented.
    """

    he: Slide
    dapi: Slide | None
    markers: dict[str, Slide]
    thresholds: dict[str, ThresholdMap]
    step: float

    def limit(
        self, name: str, corner: tuple[float, float], size: tuple[int, int]
    ) -> NDArray[np.float32]:
        """(h, w) float32, threshold of a marker over a region, `size` being (w, h) at `step`.

        The corner is in level-0 pixels.
        """
        if name not in self.thresholds:
            return np.zeros(size[::-1], np.float32)
        mpp = self.he.known_mpp("he_mpp")
        return self.thresholds[name].over(np.array(corner) * mpp, size, mpp * self.step)


def count_labels(labelled: Path, classes: Sequence[str]) -> dict[str, int]:
    """Number of cells of each label."""
    counts = np.zeros(len(classes), np.int64)
    for _, obs in iterate_cells(labelled):
        counts += np.bincount(label_index(obs["label"], classes), minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


@dataclass(frozen=True)
class Place:
    """A region to show: its corner in level-0 pixels, its width and height in output pixels."""

    corner: tuple[float, float]
    side: tuple[int, int]


@dataclass(frozen=True)
class Look:
    """Pictures of the alignment of a build, read once.

    Attributes
    ----------
    he, dapi
        The whole H&E slide, (H, W, 3) uint8, and the nuclear channel warped to it, (H, W), if
        there is one.
    downsample
        Level-0 pixels per pixel of these.
    place
        A place with many labelled nuclei.
    near_he, near_dapi
        The same there, at the resolution of the network.
    """

    he: RGB
    dapi: NDArray[Any] | None
    downsample: float
    place: Place
    near_he: RGB
    near_dapi: NDArray[Any] | None


def look(aligned: Aligned, labelled: Path) -> Look:
    """Pictures of the alignment, read from the slides."""
    downsample = max(aligned.step, max(aligned.he.size) / _OVERVIEW)
    place = busiest(labelled, _classes(labelled), aligned)
    region = (place.corner, place.side, aligned.step)
    dapi, he = aligned.dapi, aligned.he
    return Look(
        np.ascontiguousarray(he.overview(downsample).transpose(1, 2, 0)),
        None if dapi is None else dapi.overview(downsample)[0],
        downsample,
        place,
        he.read_rgb(*region),
        None if dapi is None else dapi.read(*region)[0],
    )


def write_pictures(
    folder: Path, stem: str, aligned: Aligned, labelled: Path, view: Look
) -> list[Path]:
    """Paths of the pictures of a build, which are written.

    An overview and a detail of the alignment, a checkerboard, and per marker its mask with the
    nuclei coloured by label, at the place with the most labelled nuclei of the rarer kind.
    """
    classes, place, he = _classes(labelled), view.place, view.near_he
    corner, side = place.corner, place.side
    cells, labels = _cells_in(labelled, classes, place, aligned.step)
    outlined = draw_cells(he, cells, labels, corner, aligned.step)
    pictures = _alignment(view)
    for name, marker in aligned.markers.items():
        image = marker.read(corner, side, aligned.step)[0]
        limit = aligned.limit(name, corner, side)
        mask = mark_mask(he, image > limit)
        left = draw_cells(mask, cells, labels, corner, aligned.step)
        grey = np.repeat((255 * _above(image, limit))[..., None], 3, axis=-1)
        right = draw_cells(grey.astype(np.uint8), cells, labels, corner, aligned.step)
        text = f"{name}: mask (yellow), nuclei by label (grey: negative); right: warped {name}"
        pictures[_safe(name)] = caption(np.hstack([left, right]), text)
    pictures["cells"] = caption(outlined, "nuclei by label (grey: negative)")
    paths = [folder / f"{stem}_{name}.png" for name in pictures]
    for path, image in zip(paths, pictures.values(), strict=True):
        write_png(path, image)
    return paths


def _alignment(view: Look) -> dict[str, RGB]:
    if view.dapi is None or view.near_dapi is None:
        return {}
    colours = "hematoxylin green, warped DAPI magenta; aligned is white"
    near = view.near_he, view.near_dapi
    return {
        "overlay": caption(overlay(view.he, view.dapi), colours),
        "overlay_detail": caption(overlay(*near), "hematoxylin green, DAPI magenta"),
        "checkerboard": caption(checkerboard(*near), "H&E and DAPI in turn"),
    }


def _above(image: NDArray[Any], threshold: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intensity from background to three thresholds as 0..1."""
    clipped: NDArray[np.float32] = np.clip(image / (3 * np.maximum(threshold, 1e-9)), 0, 1).astype(
        np.float32
    )
    return clipped


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


def _classes(labelled: Path) -> list[str]:
    """Names of the labels, negative first; unknown is not one of them and is drawn black."""
    for _, obs in iterate_cells(labelled, 1):
        names = [str(name) for name in obs["label"].cat.categories if name != UNKNOWN]
        return sorted(names, key=lambda name: (name != "negative", name))
    return []


def busiest(labelled: Path, classes: Sequence[str], aligned: Aligned) -> Place:
    """The region with the most cells of the rarest label that occurs there with others."""
    step, size = aligned.step, aligned.he.size
    side = (min(_DETAIL, int(size[0] / step)), min(_DETAIL, int(size[1] / step)))
    shape = [max(1, int(size[axis] / step / side[axis])) for axis in (1, 0)]
    counts = np.zeros((len(classes), *shape))
    for cells, obs in iterate_cells(labelled):
        labels = label_index(obs["label"], classes)
        known = labels >= 0
        place = [(cells.xy[known, 1 - a] / step / side[1 - a]).astype(int) for a in (0, 1)]
        place = [np.minimum(p, n - 1) for p, n in zip(place, shape, strict=True)]
        np.add.at(counts, (labels[known], *place), 1)
    total = counts.sum((1, 2))
    # every label weighs the same, so that few positives are not drowned by many negatives
    score = (np.sqrt(counts) / np.maximum(np.sqrt(total), 1)[:, None, None]).sum(0)
    row, column = np.unravel_index(int(score.argmax()), score.shape)
    return Place((float(column * side[0] * step), float(row * side[1] * step)), side)


def _cells_in(
    labelled: Path, classes: Sequence[str], place: Place, step: float
) -> tuple[CellTable, NDArray[np.int64]]:
    low = np.array(place.corner)
    high = low + np.array(place.side) * step
    parts, labels = [], []
    width = 0
    for cells, obs in iterate_cells(labelled):
        width = cells.tokens.shape[1]
        keep = np.all((cells.xy >= low) & (cells.xy < high), axis=1)
        parts.append(cells.take(keep))
        labels.append(label_index(obs["label"], classes)[keep])
    return concatenate(parts, width), np.concatenate([np.zeros(0, np.int64), *labels])
