"""What lies beside a labelled file for people: pictures and cells for QuPath."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable, concatenate
from regdata.dataset import UNKNOWN, iterate_cells, label_index
from regdata.pictures import caption, checkerboard, draw_cells, mark_mask, overlay, write_png
from regdata.slide import Slide

_OVERVIEW = 1600  # pixels a side of the overview
_DETAIL = 1000  # pixels a side of a detail


@dataclass(frozen=True)
class Aligned:
    """Everything a build measures, in the H&E frame.

    Attributes
    ----------
    he, dapi
        H&E, and the nuclear channel of the IF slide warped to it.
    markers
        Per marker its channel without background, warped.
    thresholds
        Per marker the intensity above which a pixel is stained.
    step
        Level-0 H&E pixels per pixel at which nuclei were found.
    covered
        Whether points, (N, 2) level-0 H&E pixels, lie on the IF slide.
    error_um
        Expected error of the registration at such points, µm.
    """

    he: Slide
    dapi: Slide
    markers: dict[str, Slide]
    thresholds: dict[str, float]
    step: float
    covered: Callable[[NDArray[np.float64]], NDArray[np.bool_]]
    error_um: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def count_labels(labelled: Path, classes: Sequence[str]) -> dict[str, int]:
    """Number of cells per label."""
    counts = np.zeros(len(classes), np.int64)
    for _, obs in iterate_cells(labelled):
        counts += np.bincount(label_index(obs["label"], classes), minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


@dataclass(frozen=True)
class Place:
    """A square region to look at: its corner in level-0 pixels, its side in output pixels."""

    corner: tuple[float, float]
    side: tuple[int, int]


def write_pictures(folder: Path, stem: str, aligned: Aligned, labelled: Path) -> list[Path]:
    """Write the pictures of a build; returns their paths.

    An overview and a detail of the alignment, a checkerboard, and per marker its mask with the
    nuclei coloured by label, at the place with the most labelled nuclei of the rarer kind.
    """
    classes = _classes(labelled)
    place = busiest(labelled, classes, aligned)
    corner, side = place.corner, place.side
    he = aligned.he.read_rgb(corner, side, aligned.step)
    dapi = aligned.dapi.read(corner, side, aligned.step)[0]
    cells, labels = _cells_in(labelled, classes, place, aligned.step)
    outlined = draw_cells(he, cells, labels, corner, aligned.step)
    pictures = {
        "overlay": _overview(aligned),
        "overlay_detail": caption(overlay(he, dapi), "hematoxylin green, DAPI magenta"),
        "checkerboard": caption(checkerboard(he, dapi), "H&E and DAPI in turn"),
    }
    for name, marker in aligned.markers.items():
        image = marker.read(corner, side, aligned.step)[0]
        mask = mark_mask(he, image > aligned.thresholds[name])
        left = draw_cells(mask, cells, labels, corner, aligned.step)
        grey = np.repeat((255 * _above(image, aligned.thresholds[name]))[..., None], 3, axis=-1)
        right = draw_cells(grey.astype(np.uint8), cells, labels, corner, aligned.step)
        text = f"{name}: mask (yellow), nuclei by label (grey: negative); right: warped {name}"
        pictures[_safe(name)] = caption(np.hstack([left, right]), text)
    pictures["cells"] = caption(outlined, "nuclei by label (grey: negative)")
    paths = [folder / f"{stem}_{name}.png" for name in pictures]
    for path, image in zip(paths, pictures.values(), strict=True):
        write_png(path, image)
    return paths


def _above(image: NDArray[Any], threshold: float) -> NDArray[np.float32]:
    """Intensity from background to three thresholds as 0..1."""
    clipped: NDArray[np.float32] = np.clip(image / (3 * threshold), 0, 1).astype(np.float32)
    return clipped


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)


def _overview(aligned: Aligned) -> NDArray[np.uint8]:
    downsample = max(aligned.step, max(aligned.he.size) / _OVERVIEW)
    he = aligned.he.overview(downsample).transpose(1, 2, 0)
    dapi = aligned.dapi.overview(downsample)[0]
    return caption(overlay(he, dapi), "hematoxylin green, warped DAPI magenta; aligned is white")


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
