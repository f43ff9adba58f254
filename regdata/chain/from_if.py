"""`regdata build --if`: an H&E and an IF slide of one section, registered to each other."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regdata.cells import (
    FLAGS,
    OUTSIDE_IF,
    CellTable,
    Record,
    ThresholdRecord,
    TransformRecord,
    read_outlines,
)
from regdata.cellvit.networks import Model, kinds_of, load_model
from regdata.cellvit.tiles import Journal
from regdata.chain.keys import pair_keys
from regdata.chain.labelled import check_options, class_rules, label_columns, thresholds
from regdata.chain.measuring import Channel, correct_channel, measure_nuclei, signals
from regdata.chain.nuclei import slide_nuclei
from regdata.chain.options import BuildOptions
from regdata.chain.output import show
from regdata.chain.pair import Pair, covered, open_pair, slide_record
from regdata.chain.registering import Registered, draw_registration, error_at, register_slides
from regdata.chain.shapes import shape_overlaps
from regdata.chain.source import Labels
from regdata.files import Progress, RunDirectory, StageResult
from regdata.labelling.measuring import Measured, Signal
from regdata.labelling.rules import REASONS, Nuclei
from regdata.labelling.thresholds import Threshold
from regdata.names import NEGATIVE, UNKNOWN
from regdata.report import Aligned


@dataclass(frozen=True)
class IfSource:
    """Two slides of one section."""

    options: BuildOptions
    pair: Pair
    model: Model

    @property
    def keys(self) -> dict[str, str]:
        """Per stage a hash of all that its result depends on."""
        return pair_keys(self.pair, self.model, self.options)

    @property
    def he(self) -> tuple[Path, float | None]:
        """Where the H&E lies, and its µm per pixel."""
        return self.pair.he.path, self.pair.he.mpp

    def nuclei(
        self, journal: Journal, progress: Progress
    ) -> Iterator[tuple[CellTable, dict[str, Any]]]:
        """The nuclei of the H&E slide."""
        return slide_nuclei(self.pair.he, self, self.options, journal, progress)

    def examine(self, run: RunDirectory) -> "IfEvidence":
        """Register the slides, then correct the channels."""
        registered = register_slides(self.pair, run)
        names = (self.pair.nuclear, *self.options.markers)
        channels = {name: correct_channel(self.pair, name, self.options, run) for name in names}
        return IfEvidence(self, registered, channels)


def open_if(options: BuildOptions) -> IfSource:
    """Open slides and network; what can be refused early is refused here."""
    check_options(options, options.markers)
    pair = open_pair(options)
    return IfSource(options, pair, load_model(options.model, options.device))


@dataclass(frozen=True)
class IfEvidence:
    """The map between the slides, and the corrected channels by name, the nuclear one first."""

    source: IfSource
    register: StageResult[Registered]
    correct: dict[str, StageResult[Channel]]

    @property
    def stages(self) -> tuple[StageResult[Any], ...]:
        """The stages it comes from."""
        return self.register, *self.correct.values()

    @property
    def registered(self) -> Registered:
        """The map between the slides."""
        return self.register.value

    @property
    def channels(self) -> dict[str, Channel]:
        """Corrected, by name."""
        return {name: stage.value for name, stage in self.correct.items()}

    @property
    def step(self) -> float:
        """Level-0 H&E pixels per pixel of the network."""
        return self.source.model.config.mpp / self.source.pair.mpp

    @property
    def size_um(self) -> tuple[float, float]:
        """(w, h) of the H&E slide."""
        w, h = (side * self.source.pair.mpp for side in self.source.pair.he.size)
        return w, h

    @property
    def signals(self) -> dict[str, Signal]:
        """The corrected channels in the frame of the H&E."""
        pair, he_to_if = self.source.pair, self.registered.registration.he_to_if
        return signals(pair, he_to_if, self.channels, pair.nuclear)

    def measure(self, nuclei: Path, run: RunDirectory) -> StageResult[Measured]:
        """Intensities of the nuclei in all channels."""
        source, cells = self.source, read_outlines(nuclei)
        error = error_at(source.pair, self.registered.quality, cells.xy)
        return measure_nuclei(
            source.pair, cells, self.signals, error, self.step, source.options, run
        )

    def label(self, nuclei: Path, measured: Measured) -> Labels:
        """Thresholds of the markers, then labels of the nuclei."""
        options, cells = self.source.options, read_outlines(nuclei)
        placed = self._placed(cells, measured)
        pixels = {name: self.channels[name].pixels for name in options.markers}
        cuts = thresholds(placed, pixels, options, self.size_um)
        overlaps = {}
        if options.shapes_masks:
            mpp = self.source.model.config.mpp
            overlaps = shape_overlaps(cells, self.signals, cuts, options, (self.step, mpp))
        columns = label_columns(placed, cuts, options, self.source.pair.nuclear, overlaps)
        columns |= {
            "registration_error_um": placed.error_um.astype(np.float32),
            "slide": options.he.stem,
            "patient": options.patient or options.he.stem,
        }
        surfaces = {name: cut.surface for name, cut in cuts.items()}
        return Labels(columns, placed.flags, self._record(cuts), surfaces)

    def _placed(self, cells: CellTable, measured: Measured) -> Nuclei:
        """The nuclei as labels see them; those off the IF slide are flagged."""
        pair = self.source.pair
        outside = ~covered(pair, self.registered.registration.he_to_if, cells.xy)
        return Nuclei(
            cells.xy * pair.mpp,
            np.sqrt(cells.area_um2 / np.pi),
            (cells.flags | np.where(outside, OUTSIDE_IF, 0)).astype(np.uint8),
            error_at(pair, self.registered.quality, cells.xy),
            measured,
        )

    def _record(self, cuts: dict[str, Threshold]) -> Record:
        """What the file says of how it was made."""
        options, pair, model = self.source.options, self.source.pair, self.source.model
        registration = self.registered.registration
        he_to_if = registration.he_to_if
        matrix = he_to_if.nearest_affine(np.array(self.size_um))
        return Record(
            classes=(NEGATIVE, *class_rules(options, options.markers)),
            options=options.model_dump(mode="json"),
            transform=TransformRecord(steps=he_to_if.to_dict(), matrix=matrix),
            registration=registration.numbers,
            nuclear=pair.nuclear,
            channels={name: channel.describe() for name, channel in self.channels.items()},
            thresholds={name: ThresholdRecord(**cut.describe()) for name, cut in cuts.items()},
            model=model.describe(),
            kinds=kinds_of(model),
            he=slide_record(pair.he, pair.identity["he"]),
            if_=slide_record(pair.if_, pair.identity["if"]),
            flags=FLAGS,
            reasons=REASONS,
        )

    def doubts(self, counts: dict[str, int]) -> list[str]:
        """What a person should know before trusting the labels."""
        options, out = self.source.options, []
        if counts.get(UNKNOWN, 0) > sum(counts.values()) / 2:
            out.append("more than half of the nuclei are unknown; the report counts the reasons")
        for name in options.markers:
            if options.compartments.get(name) == "ring":
                out.append(
                    f"{name} is read in the ring around nuclei, where neighbours' light lies too; "
                    "the published workflow asks for nuclear markers: look at the gallery of the "
                    "report"
                )
            level = self.channels[name].correction.saturation
            if level is not None:
                out.append(
                    f"{name} is saturated (raw pixels at {level:g}); nuclei in mostly saturated "
                    "places are unknown, and intensities near the top say little"
                )
        return out

    def show(self, labelled: Path, labels: Labels, counts: dict[str, int]) -> None:
        """Pictures of the registration and the labels, and the report."""
        source, slides = self.source, {name: one.slide for name, one in self.signals.items()}
        draw_registration(source.pair, self.registered, source.options)
        aligned = Aligned(
            source.pair.he,
            slides[source.pair.nuclear],
            {name: slides[name] for name in source.options.markers},
            dict(labels.surfaces),
            self.step,
        )
        # the report counts the unknown itself
        doubts, judged = self.doubts({}), self.registered.verdict
        show(source.options.output, aligned, labelled, labels.record.classes, doubts, judged)
