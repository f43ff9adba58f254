"""`regdata build --masks`: an H&E slide and masks that exist already, without registration.

The published CellViT++ path: a mask says what is stained, and the share of each nucleus inside it
decides.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regdata.cells import FLAGS, CellTable, MaskRecord, MasksRecord, Record, read_outlines
from regdata.cellvit.networks import Model, kinds_of, load_model
from regdata.cellvit.tiles import Journal
from regdata.chain.keys import mask_keys
from regdata.chain.labelled import check_options, class_rules
from regdata.chain.mask_options import NO_INTENSITIES, MaskOptions
from regdata.chain.mask_slide import Mask, examine, open_masks
from regdata.chain.masked import MaskedImage, label_masks, measure_masks, one_sided
from regdata.chain.nuclei import slide_nuclei
from regdata.chain.output import show
from regdata.chain.pair import open_he, slide_record
from regdata.chain.source import Labels
from regdata.files import (
    Progress,
    RunDirectory,
    StageResult,
    bar,
    file_identity,
    read_json,
    write_json,
)
from regdata.labelling.measuring import Measured
from regdata.labelling.rules import REASONS
from regdata.names import NEGATIVE
from regdata.report import Aligned
from regdata.slides import Slide


@dataclass(frozen=True)
class MaskSource:
    """An H&E slide, its masks by marker, and the image they are channels of."""

    options: MaskOptions
    slide: Slide
    masks: dict[str, Mask]
    image: Slide
    identity: dict[str, Any]
    model: Model

    @property
    def keys(self) -> dict[str, str]:
        """Per stage a hash of all that its result depends on."""
        return mask_keys(self.identity, self.masks, self.model, self.options)

    @property
    def he(self) -> tuple[Path, float | None]:
        """Where the H&E lies, and its µm per pixel."""
        return self.slide.path, self.slide.mpp

    def nuclei(
        self, journal: Journal, progress: Progress
    ) -> Iterator[tuple[CellTable, dict[str, Any]]]:
        """The nuclei of the H&E slide."""
        return slide_nuclei(self.slide, self, self.options, journal, progress)

    def examine(self, run: RunDirectory) -> "MaskEvidence":
        """Read the masks through once, before any other work."""
        numbered = enumerate(self.masks.items())
        return MaskEvidence(
            self, {name: _examined(k, name, one, run) for k, (name, one) in numbered}
        )


def open_masked(options: MaskOptions) -> MaskSource:
    """Open slide, masks and network; what can be refused early is refused here."""
    check_options(options, options.markers)
    he = open_he(options.he, options.he_mpp, "masks")
    image, masks = open_masks(
        options.masks, he, options.markers, options.channel_names, options.if_mpp
    )
    identity = {
        "he": [file_identity(options.he), he.mpp],
        "masks": [file_identity(options.masks), image.mpp, image.channels],
    }
    model = load_model(options.model, options.device)
    return MaskSource(options, he, masks, image, identity, model)


def _examined(number: int, name: str, mask: Mask, run: RunDirectory) -> StageResult[MaskRecord]:
    """What a mask holds."""

    def make(path: Path) -> None:
        with bar("read masks") as progress:
            write_json(path, asdict(examine(name, mask, progress)))

    def read(path: Path) -> MaskRecord:
        stored = read_json(path)
        return MaskRecord(**{**stored, "values": tuple(stored["values"])})

    return run.stage(f"mask {name}", f"mask_{number}.json", make).then(read)


@dataclass(frozen=True)
class MaskEvidence:
    """Masks that were read through."""

    source: MaskSource
    examined: dict[str, StageResult[MaskRecord]]
    registered: None = None

    @property
    def stages(self) -> tuple[StageResult[Any], ...]:
        """The stages it comes from."""
        return tuple(self.examined.values())

    @property
    def mpp(self) -> float:
        """µm per level-0 pixel of the H&E."""
        return self.source.slide.known_mpp("he_mpp")

    @property
    def step(self) -> float:
        """Level-0 H&E pixels per pixel of the network."""
        return self.source.model.config.mpp / self.mpp

    def measure(self, nuclei: Path, run: RunDirectory) -> StageResult[Measured]:
        """Overlaps of the nuclei with the masks."""
        source = self.source
        width, parts = source.options.ring_um / self.mpp, source.options.compartments
        rings = {name: width for name, part in parts.items() if part == "ring"}
        image = MaskedImage(source.slide, source.masks, self.step, rings)
        return measure_masks(nuclei, lambda _: image, 1, run)

    def label(self, nuclei: Path, measured: Measured) -> Labels:
        """Labels by the overlaps."""
        options = self.source.options
        columns = label_masks(nuclei, measured, list(self.source.masks), self.mpp, options)
        columns |= {"slide": options.he.stem, "patient": options.patient or options.he.stem}
        return Labels(columns, read_outlines(nuclei).flags, self._record())

    def _record(self) -> Record:
        """What the file says of how it was made."""
        source, options = self.source, self.source.options
        masks = MasksRecord(
            slide=slide_record(source.image, source.identity["masks"]),
            ratio=next(iter(source.masks.values())).ratio,
            markers={name: stage.value for name, stage in self.examined.items()},
        )
        return Record(
            classes=(NEGATIVE, *class_rules(options, options.markers)),
            options=options.model_dump(mode="json", exclude=set(NO_INTENSITIES)),
            model=source.model.describe(),
            kinds=kinds_of(source.model),
            he=slide_record(source.slide, source.identity["he"]),
            masks=masks,
            flags=FLAGS,
            reasons=REASONS,
        )

    def doubts(self, counts: dict[str, int]) -> list[str]:
        """What a person should know before trusting the labels."""
        empty = [name for name, stage in self.examined.items() if stage.value.share == 0]
        out = [f"no pixel of the mask {name} is stained" for name in empty]
        return out + one_sided(counts, str(self.source.options.masks))

    def show(self, labelled: Path, labels: Labels, counts: dict[str, int]) -> None:
        """Pictures of the labels, and the report."""
        source = self.source
        masks = {name: mask.over(source.slide) for name, mask in source.masks.items()}
        aligned = Aligned(source.slide, None, masks, {}, self.step)
        doubts = self.doubts(counts)
        show(source.options.output, aligned, labelled, labels.record.classes, doubts)
