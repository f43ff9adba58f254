"""Pictures of a registration that a person judges at a glance."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import RGB, Floats
from regdata.registration.quality.table import TileQuality
from regdata.report import Picture, caption, checkerboard, overlay, write_png
from regdata.slides import Slide
from regdata.transforms import Transform, warped

_LONGEST = 1200  # pixels a side of the maps
_SHORTEST = 480
_DETAIL = 800  # pixels a side of a place
_MOST_UM = 4.0  # end of the colour scale
_BAR = 110  # pixels, width of the colour scale
_BARS_UM = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_ARROWS = 24  # along the longer side
_TIMES = (1, 2, 5, 10, 20, 50, 100)  # lengths of arrows
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class _Map:
    """A faint picture of the whole H&E slide to draw on, and its µm per pixel."""

    image: RGB
    mpp: float


def draw_quality(
    he: Slide, if_: Slide, dapi: int, he_to_if: Transform, quality: TileQuality, folder: Path
) -> list[Path]:
    """Write pictures of how well the slides fit; returns their paths.

    A map of the expected error, the deformation, and at the best, the median and the worst
    accepted tile an overlay and a checkerboard at full resolution.

    Parameters
    ----------
    he, if_, dapi, he_to_if
        As the quality was taken of.
    quality
        Of all tiles.
    folder
        Made if need be.

    Returns
    -------
    list
        The paths.
    """
    warped_if = warped(if_.channel(dapi), he, he_to_if)
    below = _faint(he)
    pictures = [
        Picture("quality_error", _error_map(below, quality)),
        Picture("quality_deformation", _deformation(below, quality, he_to_if)),
        *_details(he, warped_if, quality),
    ]
    paths = [folder / f"{picture.name}.png" for picture in pictures]
    for path, picture in zip(paths, pictures, strict=True):
        write_png(path, picture.image)
    return paths


def _faint(he: Slide) -> _Map:
    longest = max(he.size)
    downsample = max(1.0, longest / _LONGEST)
    rgb = he.overview(downsample).transpose(1, 2, 0)
    grey = np.repeat(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    zoom = max(1, round(_SHORTEST / max(grey.shape)))
    large = np.repeat(np.repeat(grey, zoom, 0), zoom, 1)
    image = (128 + large // 2).astype(np.uint8)
    return _Map(image, downsample * he.known_mpp("he_mpp") / zoom)


def _error_map(below: _Map, quality: TileQuality) -> RGB:
    """Tiles in the colour of their error, those not accepted with a cross."""
    image = below.image.copy()
    half = np.full(2, quality.tile_um / 2)
    for index in np.flatnonzero(quality.status != "empty"):
        low, high = (
            tuple(
                np.rint((quality.centre_um[index] + side * half) / below.mpp).astype(int).tolist()
            )
            for side in (-1, 1)
        )
        part = image[low[1] : high[1], low[0] : high[0]]
        colour = _colours(quality.error_um[index : index + 1])[0]
        image[low[1] : high[1], low[0] : high[0]] = part * 0.35 + colour * 0.65
        if quality.status[index] == "reject":
            cv2.line(image, low, high, (0, 0, 0), 1, cv2.LINE_AA)
    counts = {s: int((quality.status == s).sum()) for s in ("accept", "doubtful", "reject")}
    summary = ", ".join(f"{count} {status}" for status, count in counts.items())
    ruled = _with_bar(image, below.mpp)
    return _titled(
        _beside(ruled, _colour_bar(len(image))), f"expected error of tiles: {summary} (struck out)"
    )


def _colours(errors_um: Floats) -> NDArray[np.uint8]:
    """(N, 3) RGB: dark blue at 0, yellow from 4 µm on."""
    level = np.rint(np.clip(errors_um / _MOST_UM, 0, 1) * 255).astype(np.uint8)
    bgr = np.asarray(cv2.applyColorMap(level[:, None], cv2.COLORMAP_VIRIDIS), np.uint8)
    return bgr[:, 0, ::-1]


def _colour_bar(height: int) -> RGB:
    bar = np.full((height, _BAR, 3), 255, np.uint8)
    top, bottom = 20, height - 20
    shades = _colours(np.linspace(_MOST_UM, 0, bottom - top))
    bar[top:bottom, 10:30] = shades[:, None]
    for value in range(int(_MOST_UM) + 1):
        y = round(bottom - (bottom - top) * value / _MOST_UM)
        text = f"{value} um" if value < _MOST_UM else f"{value} um +"
        cv2.putText(bar, text, (36, y + 5), _FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return bar


def _deformation(below: _Map, quality: TileQuality, he_to_if: Transform) -> RGB:
    """Arrows: how the transform differs from the affine map that is nearest to it."""
    image = below.image.copy()
    inside = quality.tissue > 0
    at = quality.centre_um[inside]
    if len(at) < 3:
        return _titled(_with_bar(image, below.mpp), "deformation: too little tissue")
    bent = _bent(at, he_to_if)
    longest = float(np.linalg.norm(bent, axis=1).max())
    apart = max(quality.tile_um, max(image.shape[:2]) * below.mpp / _ARROWS)
    times = 0.9 * apart / max(longest, 1e-6)
    times = max((k for k in _TIMES if k <= times), default=1)
    every = max(1, round(apart / quality.tile_um))
    column, row = np.floor(at / quality.tile_um).astype(int).T
    for index in np.flatnonzero((column % every == 0) & (row % every == 0)):
        ends = np.stack([at[index], at[index] + times * bent[index]]) / below.mpp
        first, last = (tuple(end) for end in np.rint(ends).astype(int).tolist())
        cv2.arrowedLine(image, first, last, (200, 30, 30), 2, cv2.LINE_AA, tipLength=0.25)
    least = float(quality.jacobian_min[inside].min())
    most = float(quality.jacobian_max[inside].max())
    text = (
        f"deformation beyond an affine map, arrows {times} x; longest {longest:.1f} um; "
        f"areas x {least:.2f} to {most:.2f}"
    )
    return _titled(_with_bar(image, below.mpp), text)


def _bent(at: Floats, he_to_if: Transform) -> Floats:
    """Non-affine part of mapped points, (N, 2) µm on the H&E."""
    mapped = he_to_if.points(at)
    terms = np.column_stack([at, np.ones(len(at))])
    affine, *_ = np.linalg.lstsq(terms, mapped, rcond=None)
    rest = mapped - terms @ affine
    return np.asarray(np.linalg.solve(affine[:2].T, rest.T).T)


def _details(he: Slide, warped_if: Slide, quality: TileQuality) -> Iterator[Picture]:
    side = (min(_DETAIL, he.size[0]), min(_DETAIL, he.size[1]))
    mpp = he.known_mpp("he_mpp")
    for name, index in _places(quality).items():
        middle = quality.centre_um[index] / mpp
        room = np.array(he.size) - side
        x, y = np.clip(np.rint(middle - np.array(side) / 2), 0, room).astype(int).tolist()
        rgb, dapi = he.read_rgb((x, y), side), warped_if.read((x, y), side)[0]
        error = f"{name} accepted tile" if quality.status[index] == "accept" else f"{name} tile"
        text = f"{error}, expected error {quality.error_um[index]:.1f} um"
        both = overlay(rgb, dapi.astype(np.float32))
        board = checkerboard(rgb, dapi.astype(np.float32))
        colours = "hematoxylin green, DAPI magenta, both white"
        place = middle - (x, y)
        both, board = (_framed(image, place, quality.tile_um / mpp) for image in (both, board))
        yield Picture(
            f"quality_overlay_{name}", _titled(_with_bar(both, mpp), f"{text}: {colours}")
        )
        yield Picture(
            f"quality_checkerboard_{name}",
            _titled(_with_bar(board, mpp), f"{text}: H&E and DAPI in turn"),
        )


def _framed(image: RGB, middle: Floats, side: float) -> RGB:
    """The picture with the square of a tile drawn in; places in its pixels."""
    out = image.copy()
    first, last = (tuple(np.rint(middle + k * side / 2).astype(int).tolist()) for k in (-1, 1))
    cv2.rectangle(out, first, last, (255, 220, 0), 1)
    return out


def _places(quality: TileQuality) -> dict[str, int]:
    """The tiles to look at: accepted ones, or any with something to see when none is."""
    accepted = quality.status == "accept"
    wanted = np.flatnonzero(accepted if accepted.any() else quality.status != "empty")
    if len(wanted) == 0:
        return {}
    order = wanted[np.argsort(quality.error_um[wanted], kind="stable")]
    picked = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    return {name: int(index) for name, index in picked.items()}


def _with_bar(image: RGB, mpp: float) -> RGB:
    """The picture with a scale bar of a round length, a fifth of its width at most."""
    fits = [um for um in _BARS_UM if um / mpp <= image.shape[1] / 5]
    if not fits:
        return image
    out = image.copy()
    um, height = fits[-1], image.shape[0]
    length = round(um / mpp)
    box = (max(length, 8 * len(f"{um} um") + 4) + 16, 34)
    out[height - box[1] - 6 : height - 6, 6 : 6 + box[0]] = 255
    out[height - 16 : height - 12, 14 : 14 + length] = 0
    cv2.putText(out, f"{um} um", (14, height - 22), _FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return out


def _beside(left: RGB, right: RGB) -> RGB:
    return np.hstack([left, right])


def _titled(image: RGB, text: str) -> RGB:
    """The picture under a line of text, widened if the text needs it."""
    needed = cv2.getTextSize(text, _FONT, 0.5, 1)[0][0] + 12
    missing = max(0, needed - image.shape[1])
    wide = np.pad(image, ((0, 0), (0, missing), (0, 0)), constant_values=255)
    return caption(wide, text)
