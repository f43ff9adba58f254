"""Pictures of a build: alignment, masks and nuclei."""

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
    """(H, W) float32, the image scaled to 0..1 between its percentiles 1 and 99.7."""
    low, high = np.percentile(image, (1, 99.7))
    scaled = (image.astype(np.float32) - low) / max(float(high - low), 1e-6)
    clipped: NDArray[np.float32] = np.clip(scaled, 0, 1)
    return clipped


def overlay(he: RGB, dapi: NDArray[np.floating]) -> RGB:
    """(H, W, 3) uint8, hematoxylin in green and DAPI in magenta: aligned nuclei are white.

    Parameters
    ----------
    he
        (H, W, 3) uint8.
    dapi
        (H, W), in the frame of `he`.
    """
    green = stretch(hematoxylin(he))
    magenta = stretch(dapi)
    return (255 * np.stack([magenta, green, magenta], -1)).astype(np.uint8)


def checkerboard(he: RGB, dapi: NDArray[np.floating], square: int = 64) -> RGB:
    """(H, W, 3) uint8, squares of H&E and DAPI in turn: aligned nuclei run through the edges.

    Parameters
    ----------
    he, dapi
        (H, W, 3) uint8 and (H, W), in one frame.
    square
        Side of a square, pixels.
    """
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
    """(H, W, 3) uint8, the picture with outlines of cells in the colours of their labels.

    Parameters
    ----------
    image
        (H, W, 3) uint8, a region of the H&E frame.
    cells
        In level-0 pixels.
    labels
        (N,) int64; -1 is drawn black.
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
    """(H, W, 3) uint8, the H&E with the mask (H, W) of a marker as a yellow veil."""
    veil = np.array([255, 220, 0], np.float32)
    share = 0.35 * mask[..., None].astype(np.float32)
    return (he * (1 - share) + veil * share).astype(np.uint8)


def caption(image: RGB, text: str) -> RGB:
    """(H + 28, W, 3) uint8, the picture under a line of text."""
    band = np.full((28, image.shape[1], 3), 255, np.uint8)
    cv2.putText(band, text, (6, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([band, image])


@dataclass(frozen=True)
class Picture:
    """A picture, (H, W, 3) uint8, and its file name."""

    name: str
    image: RGB


def write_png(path: Path, image: RGB) -> None:
    """Write an RGB picture, (H, W, 3) uint8, as PNG, whole or not at all."""
    done, data = cv2.imencode(".png", image[..., ::-1])
    if not done:
        raise RegdataError(f"{path}: a picture of shape {image.shape} cannot be written as PNG")
    with replacing(path) as part:
        part.write_bytes(data.tobytes())
