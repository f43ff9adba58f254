"""The last stage of a build: measure the nuclei in every channel and label them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import FLAGS, OUTSIDE_IF, CellTable, read_outlines
from regdata.cellvit.networks import Model, kinds_of
from regdata.chain.build_output import LabelledNuclei, finish, write_labelled
from regdata.chain.labelled import class_rules, label_columns, thresholds
from regdata.chain.measuring import Channel, measure_nuclei, signals
from regdata.chain.options import BuildOptions
from regdata.chain.pair import Pair, covered, slide_facts
from regdata.chain.registering import Registered, error_at
from regdata.files import Stages, bar
from regdata.labelling.measuring import Measured, Signal, mask_overlaps, shape_mask
from regdata.labelling.rules import REASONS, Nuclei
from regdata.labelling.thresholds import Surface, Threshold
from regdata.names import NEGATIVE, UNKNOWN
from regdata.report import Aligned


@dataclass(frozen=True)
class Found:
    """What the stages before have found: all that labels are made from.

    Attributes
    ----------
    channels
        The nuclear channel and the markers.
    nuclear
        Name of the nuclear channel.
    cells
        The file of the nuclei.
    """

    pair: Pair
    registered: Registered
    channels: dict[str, Channel]
    nuclear: str
    model: Model
    cells: Path

    @property
    def step(self) -> float:
        """Level-0 H&E pixels per pixel at which nuclei were found."""
        return self.model.config.mpp / self.pair.he.known_mpp("--he-mpp")

    @property
    def size_um(self) -> tuple[float, float]:
        """(w, h) of the H&E slide."""
        w, h = (side * self.pair.he.known_mpp("--he-mpp") for side in self.pair.he.size)
        return w, h


def label(found: Found, options: BuildOptions, stages: Stages) -> dict[str, int]:
    """Measure and label the nuclei, write file, pictures and GeoJSON; the number per label."""
    pair, cells = found.pair, read_outlines(found.cells)
    seen = signals(pair, found.registered.registration.he_to_if, found.channels, found.nuclear)
    error = error_at(pair, found.registered.quality, cells.xy)
    measured = measure_nuclei(pair, cells, seen, error, found.step, options, stages)
    nuclei = _place(found, cells, error, measured)
    pixels = {name: found.channels[name].pixels for name in options.markers}
    cuts = thresholds(nuclei, pixels, options, found.size_um)
    overlaps = _count_overlaps(found, cells, seen, cuts, options)
    columns = label_columns(nuclei, cuts, options, found.nuclear, overlaps)
    columns |= {
        "registration_error_um": error.astype(np.float32),
        "slide": options.he.stem,
        "patient": options.patient or options.he.stem,
    }
    made = LabelledNuclei(found.cells, nuclei.flags, columns, measured)
    aligned = Aligned(
        pair.he,
        seen[found.nuclear].slide,
        {name: seen[name].slide for name in options.markers},
        {name: threshold.surface for name, threshold in cuts.items()},
        found.step,
    )
    about = _describe(found, options, cuts)

    def make(path: Path) -> None:
        with bar("label") as progress:
            write_labelled(path, made, about, progress)

    labelled = stages.result("label", "labelled.h5", make)
    warnings = doubts(options, found.channels, {})
    return finish(options, aligned, labelled, stages, found.registered.verdict, warnings)


def _place(
    found: Found, cells: CellTable, error_um: NDArray[np.float64], measured: Measured
) -> Nuclei:
    """The nuclei as labels see them; those off the IF slide are flagged."""
    outside = ~covered(found.pair, found.registered.registration.he_to_if, cells.xy)
    return Nuclei(
        cells.xy * found.pair.he.known_mpp("--he-mpp"),
        np.sqrt(cells.area_um2 / np.pi),
        (cells.flags | np.where(outside, OUTSIDE_IF, 0)).astype(np.uint8),
        error_um,
        measured,
    )


def _count_overlaps(
    found: Found,
    cells: CellTable,
    seen: dict[str, Signal],
    cuts: dict[str, Threshold],
    options: BuildOptions,
) -> dict[str, NDArray[np.float32]]:
    """Overlaps counted in pixels, where a mask is more than a threshold."""
    if not options.shapes_masks:
        return {}
    mpp = found.model.config.mpp
    least = round(options.min_size_um2 / mpp**2)
    out = {}
    for name, threshold in cuts.items():
        ring = options.compartments.get(name, "nucleus") == "ring"

        def stained(
            corner: tuple[float, float],
            size: tuple[int, int],
            signal: Signal = seen[name],
            surface: Surface = threshold.surface,
        ) -> NDArray[np.bool_]:
            image = signal.slide.read(corner, size, found.step)[0]
            limit = surface.over(np.array(corner) / found.step * mpp, size, mpp)
            return shape_mask(image > limit, options.erode, least)

        with bar(f"mask {name}"[:12]) as progress:
            width = options.ring_um / mpp if ring else None
            out[name] = mask_overlaps(cells, stained, found.step, width, progress)
    return out


def _describe(found: Found, options: BuildOptions, cuts: dict[str, Threshold]) -> dict[str, Any]:
    """What the file says of how it was made."""
    pair, registration = found.pair, found.registered.registration
    return {
        "classes": np.array([NEGATIVE, *class_rules(options, options.markers)]),
        "options": options.model_dump_json(),
        "transform": {
            "maps": "he_to_if",
            "unit": "um",
            "matrix": registration.he_to_if.nearest_affine(np.array(found.size_um)),
            "steps": registration.he_to_if.to_dict(),
        },
        "registration": registration.numbers,
        "nuclear": found.nuclear,
        "channels": {name: channel.describe() for name, channel in found.channels.items()},
        "thresholds": {name: threshold.describe() for name, threshold in cuts.items()},
        "model": found.model.describe(),
        "kinds": np.array(kinds_of(found.model)),
        "he": slide_facts(pair.he, pair.identity["he"]),
        "if": slide_facts(pair.if_, pair.identity["if"]),
        "flags": FLAGS,
        "reasons": REASONS,
    }


def doubts(
    options: BuildOptions, channels: dict[str, Channel], counts: dict[str, int]
) -> list[str]:
    """What a person should know before trusting the labels.

    Parameters
    ----------
    counts
        Number of nuclei per label.
    """
    out = []
    if counts.get(UNKNOWN, 0) > sum(counts.values()) / 2:
        out.append("more than half of the nuclei are unknown; the report counts the reasons")
    for name in options.markers:
        if options.compartments.get(name) == "ring":
            out.append(
                f"{name} is read in the ring around nuclei, where neighbours' light lies too; the "
                "published workflow asks for nuclear markers: look at the gallery of the report"
            )
        level = channels[name].correction.saturation
        if level is not None:
            out.append(
                f"{name} is saturated (raw pixels at {level:g}); nuclei in mostly saturated places "
                "are unknown, and intensities near the top say little"
            )
    return out
