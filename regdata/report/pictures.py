"""Pictures of a build that a person judges at a glance."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import RGB
from regdata.cells import CellTable, colour
from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.slides import hematoxylin


def stretch(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale an image to 0..1 between its percentiles 1 and 99.7, so that faint stains show."""
    low, high = np.percentile(image, (1, 99.7))
    scaled = (image.astype(np.float32) - low) / max(float(high - low), 1e-6)
    clipped: NDArray[np.float32] = np.clip(scaled, 0, 1)
    return clipped


def overlay(he: RGB, dapi: NDArray[np.floating]) -> RGB:
    """Hematoxylin in green and DAPI in magenta: aligned nuclei are white.

    Parameters
    ----------
    he
        (H, W, 3).
    dapi
        (H, W), in the frame of `he`.
    """
    green = stretch(hematoxylin(he))
    magenta = stretch(dapi)
    return (255 * np.stack([magenta, green, magenta], -1)).astype(np.uint8)


def checkerboard(he: RGB, dapi: NDArray[np.floating], square: int = 64) -> RGB:
    """Squares of H&E and of DAPI in turn: aligned nuclei run through the edges."""
    rows, columns = (places // square for places in np.indices(dapi.shape))
    grey = (255 * stretch(dapi)).astype(np.uint8)
    even = np.asarray((rows + columns) % 2 == 0)[..., None]
    board = np.where(even, he, grey[..., None])
    return board.astype(np.uint8)


def draw_cells(
    image: RGB,
    cells: CellTable,
    labels: NDArray[np.int64],
    corner: tuple[float, float],
    step: float,
) -> RGB:
    """Outlines of cells on a picture, in the colours of their labels; -1 is drawn black.

    Parameters
    ----------
    image
        (H, W, 3), a region of the H&E frame.
    cells
        In level-0 pixels.
    labels
        (N,).
    corner
        Top-left corner of the region, level-0 pixels.
    step
        Level-0 pixels per pixel of the picture.
    """
    out = image.copy()
    for i, label in enumerate(labels):
        points = (cells.contour(i) - np.asarray(corner)) / step - 0.5
        line = colour(int(label)) if label >= 0 else (0, 0, 0)
        fixed = np.round(points * 16).astype(np.int32)  # 4 fractional bits
        cv2.polylines(out, [fixed], True, line, 1 if label <= 0 else 2, cv2.LINE_AA, 4)
    return out


def mark_mask(he: RGB, mask: NDArray[np.bool_]) -> RGB:
    """The H&E with the marker's mask as a yellow veil."""
    veil = np.array([255, 220, 0], np.float32)
    share = 0.35 * mask[..., None].astype(np.float32)
    return (he * (1 - share) + veil * share).astype(np.uint8)


def caption(image: RGB, text: str) -> RGB:
    """The picture under a line of text."""
    band = np.full((28, image.shape[1], 3), 255, np.uint8)
    cv2.putText(band, text, (6, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([band, image])


@dataclass(frozen=True)
class Picture:
    """A picture and the file name it gets."""

    name: str
    image: RGB


def write_png(path: Path, image: RGB) -> None:
    """Write an RGB picture as PNG, whole or not at all."""
    done, data = cv2.imencode(".png", image[..., ::-1])
    if not done:
        raise RegdataError(f"{path}: a picture of shape {image.shape} cannot be written as PNG")
    with replacing(path) as part:
        part.write_bytes(data.tobytes())
