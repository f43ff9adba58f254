"""The stages of a build between registration and labels: correct channels, measure nuclei."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable, ChannelRecord, HistogramRecord
from regdata.chain.options import AUTO, BuildOptions
from regdata.chain.pair import Pair
from regdata.errors import RegdataError
from regdata.files import RunDirectory, StageResult, bar, replacing
from regdata.labelling.channels import (
    Correction,
    CorrectionOptions,
    corrected,
    fit_correction,
    saturated,
)
from regdata.labelling.measuring import Measured, PixelValues, Signal, measure
from regdata.labelling.thresholds import (
    MIN_CONTRAST,
    Histogram,
    parse_method,
    stained_from,
    tissue_histogram,
)
from regdata.report import intensities
from regdata.slides import Slide, if_tissue
from regdata.transforms import Transform, warped


@dataclass(frozen=True)
class Channel:
    """A channel of the IF slide: how it is corrected, and its intensities in the tissue."""

    correction: Correction
    pixels: Histogram

    def describe(self) -> ChannelRecord:
        """The channel as a file of cells keeps it; enough to find other thresholds."""
        p = self.pixels
        pixels = HistogramRecord(counts=p.counts, low=p.low, high=p.high)
        return ChannelRecord(pixels=pixels, correction=self.correction.describe())


def correct_channel(
    pair: Pair, name: str, options: BuildOptions, run: RunDirectory
) -> StageResult[Channel]:
    """How a channel is corrected, and the histogram of its tissue.

    Raises
    ------
    RegdataError
        It is constant, or shows one population of pixels; a figure of them is left beside the
        output.
    """
    channel = pair.markers.get(name, pair.dapi)
    nuclear = channel == pair.dapi
    af, ratio = (None, None) if nuclear else pair.autofluorescence
    wish = CorrectionOptions(af, ratio, pair.dapi, options.field_um, hot=True)

    def make(path: Path) -> None:
        with bar(f"correct {name}"[:12]) as progress:
            tissue = if_tissue(pair.if_, pair.dapi)
            correction = fit_correction(pair.if_, channel, tissue, wish)
            pixels = tissue_histogram(corrected(pair.if_, correction), tissue, progress)
        save_channel(path, Channel(correction, pixels))

    result = run.stage(f"correct {name}", f"channel_{channel}.npz", make).then(load_channel)
    if not nuclear:
        check_stained(pair, name, result.value.pixels, options)
    return result


def check_stained(pair: Pair, name: str, pixels: Histogram, options: BuildOptions) -> None:
    """Refuse a marker without stained pixels, unless its threshold was given."""
    cut, apart = stained_from(pixels)
    method = parse_method(options.thresholds.get(name, AUTO))
    if apart >= MIN_CONTRAST or method.name == "fixed":
        return
    figure = options.output.parent / "qc" / f"{options.output.stem}_{name}_refused.svg"
    figure.parent.mkdir(parents=True, exist_ok=True)
    with replacing(figure) as part:
        ends = pixels.low, pixels.high
        part.write_text(intensities(pixels.counts, ends, np.array([cut])), encoding="utf-8")
    raise RegdataError(
        f"channel {name} of {pair.if_.path} shows one population of pixels, not stained and "
        f"unstained ones (contrast {apart:.1f}, {MIN_CONTRAST:g} needed; see {figure}): a failed "
        "stain, or a section without positive cells; leave the marker out, or pass "
        f"`thresholds={name}=fixed:VALUE`"
    )


def save_channel(path: Path, channel: Channel) -> None:
    """Write to `.npz`, whole or not at all."""
    p = channel.pixels
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            counts=p.counts,
            range=np.array([p.low, p.high]),
            **channel.correction.to_arrays(),  # type: ignore[arg-type]
        )


def load_channel(path: Path) -> Channel:
    """Read back what `save_channel` wrote."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    low, high = arrays.pop("range").tolist()
    pixels = Histogram(arrays.pop("counts"), low, high)
    return Channel(Correction.from_arrays(arrays), pixels)


def signals(
    pair: Pair, he_to_if: Transform, channels: dict[str, Channel], nuclear: str
) -> dict[str, Signal]:
    """The corrected channels in the frame of the H&E slide."""

    def on_he(slide: Slide) -> Slide:
        return warped(slide, pair.he, he_to_if)

    out = {}
    for name, channel in channels.items():
        correction = channel.correction
        full = None
        if correction.saturation is not None and name != nuclear:
            full = on_he(saturated(pair.if_, correction))
        out[name] = Signal(on_he(corrected(pair.if_, correction)), full, curves=name != nuclear)
    return out


def measure_nuclei(
    pair: Pair,
    cells: CellTable,
    channels: dict[str, Signal],
    error_um: NDArray[np.float64],
    step: float,
    options: BuildOptions,
    run: RunDirectory,
) -> StageResult[Measured]:
    """Intensities of all nuclei in all channels.

    Parameters
    ----------
    channels
        Corrected channels by name, in the frame of the H&E.
    error_um
        (N,) float64, expected registration error, µm; NaN where it is not known.
    step
        Level-0 H&E pixels per pixel of the network.
    """

    def make(path: Path) -> None:
        with bar("measure") as progress:
            measured = measure(cells, pair.he, channels, step, error_um, options.ring_um, progress)
        save_measured(path, measured)

    return run.stage("measure", "intensities.npz", make).then(load_measured)


def save_measured(path: Path, measured: Measured) -> None:
    """Write to `.npz`, whole or not at all."""
    columns = {f"column {name}": values for name, values in measured.columns.items()}
    curves = {f"curve {name}": values for name, values in measured.curves.items()}
    pixels = {
        f"{field} {name}": array
        for name, values in measured.pixels.items()
        for field, array in values.to_arrays().items()
    }
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, **columns, **curves, **pixels)  # type: ignore[arg-type]


def load_measured(path: Path) -> Measured:
    """Read back what `save_measured` wrote."""
    with np.load(path) as stored:
        arrays = [(*name.split(" ", 1), stored[name]) for name in stored.files]
    fields: dict[str, dict[str, Any]] = {}
    for field, name, array in arrays:
        fields.setdefault(field, {})[name] = array
    columns, curves = fields.pop("column", {}), fields.pop("curve", {})
    pixels = {
        name: PixelValues.from_arrays({field: own[name] for field, own in fields.items()})
        for name in fields.get("rows", {})
    }
    return Measured(columns, curves, pixels)
