"""`regdata build --segpath`: cells labelled by the published masks of SegPath, image by image.

Positions are pixels of each image; `offset_x` and `offset_y` say where the image lies on its slide.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regdata.annotated import SegPathImage, find_pairs, leak_warning, leaking_slides, read_splits
from regdata.arrays import Ints
from regdata.cells import FLAGS, CellTable, Record, SegPathRecord, SlideRecord, read_measured
from regdata.cellvit.networks import Model, kinds_of, load_model
from regdata.cellvit.tiles import Journal, segment_image
from regdata.chain.keys import segpath_keys
from regdata.chain.labelled import class_rules
from regdata.chain.mask_options import NO_INTENSITIES, SegPathOptions
from regdata.chain.masked import MaskedImage, label_masks, measure_masks, one_sided
from regdata.chain.segpath_image import read_pair
from regdata.chain.segpath_sheet import write_sheet
from regdata.chain.source import Labels
from regdata.chain.tiling import resources_of
from regdata.files import Progress, RunDirectory, StageResult, stage_key
from regdata.labelling.measuring import Measured
from regdata.labelling.rules import REASONS
from regdata.names import NEGATIVE, quoted


@dataclass(frozen=True)
class SegPathSource:
    """The images that are labelled, and what is known of them.

    Attributes
    ----------
    options
        With the rule of the one class.
    splits
        Of every image, empty without a list; and the name of the list.
    """

    options: SegPathOptions
    images: list[SegPathImage]
    splits: list[str]
    listed: str
    model: Model

    @property
    def keys(self) -> dict[str, str]:
        """Per stage a hash of all that its result depends on."""
        names = [image.stem for image in self.images]
        identity = {
            "he": [names, _changed([image.he for image in self.images])],
            "masks": _changed([image.mask for image in self.images]),
        }
        return segpath_keys(identity, [self.listed, self.splits], self.model, self.options)

    @property
    def he(self) -> tuple[Path, float | None]:
        """Where the images lie, and their µm per pixel."""
        return self.options.segpath, self.options.he_mpp

    @property
    def antigen(self) -> str:
        """As the files are called."""
        return self.images[0].part.antigen

    @property
    def slides(self) -> list[str]:
        """Of every image."""
        return [image.part.slide for image in self.images]

    @property
    def leaks(self) -> dict[str, tuple[str, ...]]:
        """Slides in more than one split."""
        return leaking_slides(self.slides, self.splits) if self.splits else {}

    def nuclei(
        self, journal: Journal, progress: Progress
    ) -> Iterator[tuple[CellTable, dict[str, Any]]]:
        """The nuclei of each image, in pixels of it; from the journal what is there."""
        for number in range(len(self.images)):
            record = journal.read(number, 0)
            if record is None:
                he = self.image(number).he  # a bad mask is refused before the work, too
                cells = segment_image(he, self.model, resources=resources_of(self.options))
                journal.append(number, 0, cells, {})
            else:
                cells = record[0]
            yield cells, {"image_number": np.full(len(cells), number, np.int32)}
            progress((number + 1) / len(self.images))

    def image(self, number: int) -> MaskedImage:
        """An image and its mask, read and checked."""
        he, mask = read_pair(self.images[number], self.options.he_mpp)
        return MaskedImage(he, {self.antigen: mask}, 1.0, {})

    def examine(self, run: RunDirectory) -> "SegPathEvidence":
        """Masks are checked with their images."""
        return SegPathEvidence(self)


def open_segpath(options: SegPathOptions) -> SegPathSource:
    """Find the images; what can be refused early is refused here."""
    images = find_pairs(options.segpath, options.antigen)
    listed = read_splits(options.segpath, images)
    part = images[0].part
    classes = {options.positive or part.cell_type: quoted(part.antigen)}
    # not through `replace`: the options refuse classes of the user's own
    resolved = options.model_copy(update={"classes": classes, "antigen": part.antigen})
    class_rules(resolved, [part.antigen])
    model = load_model(options.model, options.device)
    splits, name = ([], "") if listed is None else (listed[1], listed[0].name)
    return SegPathSource(resolved, images, splits, name, model)


def _changed(paths: Sequence[Path]) -> list[list[int]]:
    """What tells files from others without reading tens of thousands of them."""
    return [[status.st_size, status.st_mtime_ns] for status in (path.stat() for path in paths)]


@dataclass(frozen=True)
class SegPathEvidence:
    """The masks of the images."""

    source: SegPathSource
    stages: tuple[StageResult[Any], ...] = ()
    registered: None = None

    def measure(self, nuclei: Path, run: RunDirectory) -> StageResult[Measured]:
        """Overlaps of the nuclei with the mask of their image."""
        return measure_masks(nuclei, self.source.image, len(self.source.images), run)

    def label(self, nuclei: Path, measured: Measured) -> Labels:
        """Labels by the overlaps, and what is known of the images."""
        source = self.source
        dataset, _ = read_measured(nuclei)
        number = dataset.obs["image_number"].to_numpy()
        mpp, options = source.options.he_mpp, source.options
        columns = label_masks(nuclei, measured, [source.antigen], mpp, options)
        parts = [image.part for image in source.images]
        columns |= {
            "slide": _named(source.slides, number),
            "patient": _named(source.slides, number),
            "image": _named([image.stem for image in source.images], number),
            "offset_x": np.array([part.x for part in parts], np.int32)[number],
            "offset_y": np.array([part.y for part in parts], np.int32)[number],
        }
        if source.splits:
            columns["split"] = _named(source.splits, number)
        return Labels(columns, dataset.cells.flags, self._record())

    def _record(self) -> Record:
        """What the file says of how it was made."""
        source, options, part = self.source, self.source.options, self.source.images[0].part
        published = SegPathRecord(
            antigen=part.antigen,
            cell_type=part.cell_type,
            images=len(source.images),
            slides=tuple(sorted(set(source.slides))),
            sha256=stage_key(of=source.keys),
            splits=source.listed,
            leaks={f"slide {slide}": own for slide, own in source.leaks.items()},
        )
        # slides are known by their ids in the whole set: so two files of parts of it share theirs,
        # and training puts no slide on both sides
        known_as = stage_key(segpath=[part.antigen, part.cell_type])
        folder = str(options.segpath.resolve())
        return Record(
            classes=(NEGATIVE, *options.classes),
            options=options.model_dump(mode="json", exclude=set(NO_INTENSITIES)),
            model=source.model.describe(),
            kinds=kinds_of(source.model),
            he=SlideRecord(path=folder, sha256=known_as, mpp=options.he_mpp),
            segpath=published,
            flags=FLAGS,
            reasons=REASONS,
        )

    def doubts(self, counts: dict[str, int]) -> list[str]:
        """What a person should know before training on the labels."""
        source, slides = self.source, sorted(set(self.source.slides))
        out = []
        if source.leaks:
            out.append(leak_warning(source.leaks, len(slides), source.listed))
        if len(slides) == 1:
            out.append(
                f"all images are of one slide ({slides[0]}): validation cannot be by slide, so no "
                "score on them tells of a new slide; add images of others"
            )
        return out + one_sided(counts, str(source.options.segpath))

    def show(self, labelled: Path, labels: Labels, counts: dict[str, int]) -> None:
        """A picture of some of the images."""
        output = self.source.options.output
        path = output.parent / "qc" / f"{output.stem}_images.png"
        stems = [image.stem for image in self.source.images]
        write_sheet(path, labelled, stems, self.source.image)


def _named(names: Sequence[str], number: Ints) -> pd.Categorical:
    """The name of each nucleus's image, slide or split; names of millions are not held."""
    codes, kinds = pd.factorize(np.array(names, dtype=object), sort=True)
    return pd.Categorical.from_codes(codes[number], kinds)
