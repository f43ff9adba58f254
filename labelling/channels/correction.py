"""What stands between a camera's counts and the light of a marker, and a channel without it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from regdata.arrays import Bools
from regdata.errors import RegdataError
from regdata.labelling.channels.autofluorescence import check_channels, fit_ratio
from regdata.labelling.channels.background import Background, channel_background, without_background
from regdata.labelling.channels.flat_field import Shading, fit_shading
from regdata.labelling.channels.pixels import MARGIN, repair_hot, saturation_level
from regdata.slides import Box, Slide

_COARSE_UM, _LONGEST = 4.0, 4096  # where shading and autofluorescence are fitted
_HOT_UM = 0.8  # coarser levels of a pyramid have averaged hot pixels away, and nuclei are small


@dataclass(frozen=True)
class CorrectionOptions:
    """What to correct besides the background, which always is.

    Attributes
    ----------
    autofluorescence
        Index of the channel that shows autofluorescence only.
    ratio
        Marker per autofluorescence; fitted when not given.
    dapi
        Index of the nuclear channel, which is never that of autofluorescence.
    field_um
        Side of a camera field whose shading is taken out, µm.
    hot
        Whether hot pixels are repaired.
    """

    autofluorescence: int | None = None
    ratio: float | None = None
    dapi: int | None = None
    field_um: float | None = None
    hot: bool = False


@dataclass(frozen=True)
class Correction:
    """How one channel is corrected.

    Attributes
    ----------
    channel
        Its index in the IF slide.
    background
        What is subtracted of it, after its shading is taken out.
    autofluorescence
        Channel, background and ratio: `ratio` times that channel without its background is
        subtracted as well.
    shading
        What both channels are divided by.
    hot
        Whether hot pixels are repaired first.
    saturation
        Intensity at and above which a raw pixel is clipped; None when no pixels are.
    """

    channel: int
    background: Background
    autofluorescence: tuple[int, Background, float] | None = None
    shading: Shading | None = None
    hot: bool = False
    saturation: float | None = None

    def describe(self) -> dict[str, Any]:
        """How the channel was corrected, as a file of cells keeps it."""
        description: dict[str, Any] = {
            "channel": self.channel,
            "background": _range(self.background),
            "hot_pixels_repaired": self.hot,
        }
        if self.autofluorescence is not None:
            channel, background, ratio = self.autofluorescence
            description["autofluorescence"] = {
                "channel": channel,
                "ratio": ratio,
                "background": _range(background),
            }
        if self.shading is not None:
            profile = self.shading.profile
            description["shading"] = {
                "field_px": self.shading.field,
                "min": float(profile.min()),
                "max": float(profile.max()),
                "profile": profile,
            }
        if self.saturation is not None:
            description["saturation"] = self.saturation
        return description

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays for `numpy.savez`, grids (rows, columns) and scalars; `from_arrays` reads them."""
        level = np.nan if self.saturation is None else self.saturation
        arrays = {
            "channel": np.array(self.channel),
            "grid": self.background.grid,
            "scalars": np.array([self.background.block, float(self.hot), level]),
        }
        if self.autofluorescence is not None:
            channel, background, ratio = self.autofluorescence
            arrays["af_grid"] = background.grid
            arrays["af_scalars"] = np.array([channel, background.block, ratio])
        if self.shading is not None:
            arrays["shading_profile"] = self.shading.profile
            arrays["shading_field"] = np.array(self.shading.field)
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Correction":
        """The correction that `to_arrays` gave the arrays of."""
        block, hot, level = arrays["scalars"].tolist()
        autofluorescence = shading = None
        if "af_grid" in arrays:
            channel, side, ratio = arrays["af_scalars"].tolist()
            autofluorescence = (int(channel), Background(arrays["af_grid"], side), ratio)
        if "shading_profile" in arrays:
            shading = Shading(arrays["shading_profile"], float(arrays["shading_field"]))
        return cls(
            int(arrays["channel"]),
            Background(arrays["grid"], block),
            autofluorescence,
            shading,
            bool(hot),
            None if np.isnan(level) else level,
        )


def fit_correction(
    slide: Slide, channel: int, tissue: Bools, options: CorrectionOptions | None = None
) -> Correction:
    """Find how one channel of a slide with a pixel size is to be corrected.

    Parameters
    ----------
    tissue
        (h, w) mask over the whole slide.

    Raises
    ------
    RegdataError
        When a channel is constant or no number, the autofluorescence channel shows something
        else, or there are too few camera fields.
    """
    wish = options or CorrectionOptions()
    af = wish.autofluorescence
    if af is not None:
        check_channels(slide, channel, af, wish.dapi)
    if wish.ratio is not None and (af is None or not 0 <= wish.ratio < np.inf):
        raise RegdataError(
            f"expected a ratio >= 0 and a channel of autofluorescence, got ratio {wish.ratio:g} "
            f"and {'no channel' if af is None else slide.channels[af]}"
        )
    repaired = _repaired(slide, channel, wish.hot)
    shading = None if wish.field_um is None else _shading(repaired, tissue, wish.field_um)
    flat = _flat(repaired, shading)
    background = channel_background(flat, 0, tissue)
    subtracted = None
    if af is not None:
        other = _flat(_repaired(slide, af, wish.hot), shading)
        under = channel_background(other, 0, tissue)
        ratio = wish.ratio
        if ratio is None:
            marker, mask = _overview(without_background(flat, 0, background), tissue)
            ratio = fit_ratio(
                marker, _overview(without_background(other, 0, under), tissue)[0], mask
            )
        subtracted = (af, under, ratio)
    level = saturation_level(slide, channel)
    return Correction(channel, background, subtracted, shading, wish.hot, level)


def corrected(slide: Slide, correction: Correction) -> Slide:
    """The corrected channel as a slide of its own, float32, computed when read.

    Hot pixels are repaired, the shading divided out, the background subtracted, then the
    autofluorescence. A pixel has the same value in whatever region it is read.
    """
    marker = without_background(
        _flat(_repaired(slide, correction.channel, correction.hot), correction.shading),
        0,
        correction.background,
    )
    if correction.autofluorescence is None:
        return marker
    channel, background, ratio = correction.autofluorescence
    flat = _flat(_repaired(slide, channel, correction.hot), correction.shading)
    other = without_background(flat, 0, background)

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[Any]:
        light = marker.pixels(level, box, (0,))
        return np.asarray(light - np.float32(ratio) * other.pixels(level, box, (0,)), np.float32)

    return replace(marker, pixels=pixels)


def saturated(slide: Slide, correction: Correction) -> Slide:
    """Where the raw channel is clipped: a slide of one channel, float32, 1 or 0.

    In the coarser levels of a pyramid only what is clipped throughout still shows.
    """
    raw = _repaired(slide, correction.channel, correction.hot)
    full = np.float32(np.inf if correction.saturation is None else correction.saturation)

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[Any]:
        return (raw.pixels(level, box, (0,)) >= full).astype(np.float32)

    return replace(raw, dtype=np.dtype(np.float32), pixels=pixels)


def _repaired(slide: Slide, channel: int, hot: bool) -> Slide:
    """One raw channel as it is, or float32 without hot pixels."""
    if not hot:
        return slide.channel(channel)
    fine = slide.mpp or _HOT_UM
    integer = float(np.issubdtype(slide.dtype, np.integer))

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[Any]:
        if level > 0 and fine * slide.downsamples[level] > _HOT_UM:
            return slide.pixels(level, box, (channel,)).astype(np.float32)
        width, height = slide.sizes[level]
        x0, y0 = max(0, box.x - MARGIN), max(0, box.y - MARGIN)
        x1, y1 = min(width, box.x + box.w + MARGIN), min(height, box.y + box.h + MARGIN)
        wide = slide.pixels(level, Box(x0, y0, x1 - x0, y1 - y0), (channel,))[0]
        plane = repair_hot(np.ascontiguousarray(wide, np.float32), integer)
        rows = slice(box.y - y0, box.y - y0 + box.h)
        return plane[None, rows, box.x - x0 : box.x - x0 + box.w]

    names = (slide.channels[channel],)
    return replace(slide, channels=names, dtype=np.dtype(np.float32), pixels=pixels)


def _flat(one: Slide, shading: Shading | None) -> Slide:
    """One channel with its shading divided out."""
    if shading is None:
        return one

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[Any]:
        step = one.downsamples[level]
        shade = shading.at((box.x * step, box.y * step), (box.w, box.h), step)
        return np.asarray(one.pixels(level, box, (0,)) / shade, np.float32)

    return replace(one, dtype=np.dtype(np.float32), pixels=pixels)


def _shading(one: Slide, tissue: Bools, field_um: float) -> Shading:
    field = field_um / one.known_mpp("if_mpp")
    overview, mask = _overview(one, tissue)
    return Shading(fit_shading(overview, mask, field * overview.shape[1] / one.size[0]), field)


def _overview(one: Slide, tissue: Bools) -> tuple[NDArray[np.float32], Bools]:
    """A channel at a coarse resolution, and the tissue in it."""
    mpp = one.known_mpp("if_mpp")
    overview = one.overview(max(1.0, _COARSE_UM / mpp, max(one.size) / _LONGEST))[0]
    size = (overview.shape[1], overview.shape[0])
    mask = cv2.resize(tissue.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return np.asarray(overview, np.float32), np.asarray(mask)


def _range(background: Background) -> dict[str, float]:
    return {"min": float(background.grid.min()), "max": float(background.grid.max())}
