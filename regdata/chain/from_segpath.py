"""`regdata build --segpath`: cells labelled by the published masks of SegPath, image by image.

Positions are pixels of each image; `offset_x` and `offset_y` say where the image lies on its slide.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regdata.annotated import SegPathImage, find_pairs, leak_warning, leaking_slides, read_splits
from regdata.cells import FLAGS, CellTable, count_cells, iterate_cells, label_index, write_dataset
from regdata.cellvit.networks import (
    Model,
    apply_classifier,
    choose_classifier,
    kinds_of,
    load_model,
)
from regdata.cellvit.tiles import Journal, segment_image
from regdata.chain.from_masks import MaskSummary, label_cells
from regdata.chain.labelled import class_rules
from regdata.chain.mask_options import SegPathOptions
from regdata.chain.mask_output import name_codes, one_sided
from regdata.chain.mask_slide import Mask
from regdata.chain.pipeline import cells_key
from regdata.chain.segpath_image import read_pair
from regdata.chain.segpath_sheet import Sheet
from regdata.errors import RegdataError
from regdata.files import RunDirectory, Stages, bar, read_json, stage_key, write_json
from regdata.labelling.measuring import mask_overlaps, measure
from regdata.labelling.rules import REASONS
from regdata.names import NEGATIVE, UNKNOWN, quoted
from regdata.report import count_labels
from regdata.slides import Slide

_VERSION = 1  # raised when the same images give other cells or labels


@dataclass(frozen=True)
class _Set:
    """The images that are labelled, and what is known of them.

    Attributes
    ----------
    splits
        Of every image, empty without a list; and the name of the list.
    options
        With the rule of the one class.
    """

    images: list[SegPathImage]
    splits: list[str]
    source: str
    options: SegPathOptions
    model: Model

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


def build_segpath(options: SegPathOptions) -> MaskSummary:
    """Label the nuclei of all images of an antigen by their masks.

    Parameters
    ----------
    options
        What to do.

    Raises
    ------
    RegdataError
        For everything a user can mend; finished images are kept for the next run.
    """
    found = _gather(options)
    stages = Stages(RunDirectory(options.run_directory), _keys(found))
    stages.check_output(options.output, options.overwrite)
    cells = _segment(found, stages)
    if stages.published(options.output):
        stages.kept.append("label")
        counts = read_json(stages.run.path / "summary.json")
    else:
        counts = _label(found, cells, stages)
    warnings = [*_doubts(found), *one_sided(counts, str(options.segpath))]
    return MaskSummary(options.output, counts, tuple(stages.kept), tuple(warnings))


def _gather(options: SegPathOptions) -> _Set:
    """Find the images; what can be refused early is refused here."""
    images = find_pairs(options.segpath, options.antigen)
    listed = read_splits(options.segpath, images)
    part = images[0].part
    classes = {options.positive or part.cell_type: quoted(part.antigen)}
    # not through `replace`: the options refuse classes of the user's own
    resolved = options.model_copy(update={"classes": classes, "antigen": part.antigen})
    class_rules(resolved, [part.antigen])
    model = load_model(options.model, options.device)
    splits, source = ([], "") if listed is None else (listed[1], listed[0].name)
    return _Set(images, splits, source, resolved, model)


def _doubts(found: _Set) -> list[str]:
    """What a person should know before training on the labels."""
    out, slides = [], sorted(set(found.slides))
    if found.leaks:
        out.append(leak_warning(found.leaks, len(slides), found.source))
    if len(slides) == 1:
        out.append(
            f"all images are of one slide ({slides[0]}): validation cannot be by slide, so no "
            "score on them tells of a new slide; add images of others"
        )
    return out


def _keys(found: _Set) -> dict[str, str]:
    """Per stage a hash of all that its result depends on."""
    names = [image.stem for image in found.images]
    he = [names, _changed([image.he for image in found.images]), found.options.he_mpp]
    keys = {"cells": cells_key(found.model, he)}
    keys["label"] = stage_key(
        of=keys,
        masks=_changed([image.mask for image in found.images]),
        splits=[found.source, found.splits],
        rules=found.options.rules(),
        version=_VERSION,
    )
    return keys


def _changed(paths: Sequence[Path]) -> list[list[int]]:
    """What tells files from others without reading tens of thousands of them."""
    return [[status.st_size, status.st_mtime_ns] for status in (path.stat() for path in paths)]


def _segment(found: _Set, stages: Stages) -> Path:
    """The file of the nuclei of all images; `image` is the number of each one's."""
    model, key = found.model, stages.keys["cells"]
    width = model.config.token_width

    def make(path: Path) -> None:
        finished = path.with_name(f"cells.{key[:16]}.journal")
        for other in set(path.parent.glob("cells.*.journal")) - {finished}:
            other.unlink()
        with (
            Journal.open(finished, key, width) as journal,
            bar("segment") as progress,
            write_dataset(path, width) as out,
        ):
            for number, cells in enumerate(_cells(found, journal)):
                out.append(cells, {"image": np.full(len(cells), number, np.int32)})
                progress((number + 1) / len(found.images))
            out.finish(kinds_of(model), {"model": model.describe()})
        finished.unlink()

    path = stages.result("cells", "cells.h5", make)
    if count_cells(path) == 0:
        raise RegdataError(
            f"no nucleus found in {found.options.segpath}; are its images H&E, and is their pixel "
            f"size ({found.options.he_mpp} µm) right? Correct it with --he-mpp"
        )
    return path


def _cells(found: _Set, journal: Journal) -> Iterator[CellTable]:
    """The nuclei of each image, in pixels of it; from the journal what is there."""
    model, classifier = found.model, choose_classifier(found.model)
    for number, image in enumerate(found.images):
        record = journal.read(number, 0)
        if record is not None:
            yield record[0]
            continue
        he, _ = read_pair(image, found.options.he_mpp)  # the mask is refused before the work, too
        cells = segment_image(he, model)
        cells = apply_classifier(cells, classifier) if classifier else cells
        journal.append(number, 0, cells, {})
        yield cells


def _label(found: _Set, cells: Path, stages: Stages) -> dict[str, int]:
    """Label the nuclei and write the file; the number per label."""
    splits = sorted(set(found.splits))
    names = {"image": [image.stem for image in found.images]}
    names |= {"split": splits} if splits else {}
    about = _describe(found)
    classes = tuple(map(str, about["classes"]))

    def make(path: Path) -> None:
        total, done = count_cells(cells), 0
        sheet = Sheet(len(found.images))
        with (
            bar("label") as progress,
            write_dataset(path, found.model.config.token_width) as out,
        ):
            for table, obs in iterate_cells(cells):
                number = obs["image"].to_numpy()
                for k in np.unique(number).tolist():
                    own = table.take(number == k)
                    pair = read_pair(found.images[k], found.options.he_mpp)
                    columns = _columns(found, k, own, pair)
                    sheet.offer(k, *pair, own, label_index(columns["label"], classes))
                    out.append(own, columns)
                done += len(table)
                progress(done / total)
            out.finish(kinds_of(found.model), about)
        name_codes(path, names)
        sheet.write(found.options.output.parent / "qc" / f"{found.options.output.stem}_images.png")

    labelled = stages.result("label", "labelled.h5", make)
    counts = count_labels(labelled, (*classes, UNKNOWN))
    write_json(stages.run.path / "summary.json", counts)
    stages.publish(labelled, found.options.output)
    return counts


def _columns(found: _Set, k: int, cells: CellTable, pair: tuple[Slide, Mask]) -> dict[str, Any]:
    """Columns of obs of the cells of image `k`; image and split as numbers."""
    (he, mask), image = pair, found.images[k]
    measured = measure(cells, he, {}, 1.0, np.zeros(len(cells)))
    overlaps = {found.antigen: mask_overlaps(cells, mask.stained, 1.0)}
    columns: dict[str, Any] = {
        "slide": image.part.slide,
        "patient": image.part.slide,
        "image": np.int32(k),
        "offset_x": np.int32(image.part.x),
        "offset_y": np.int32(image.part.y),
        **label_cells(cells, measured, overlaps, found.options.he_mpp, found.options),
        **measured.columns,
    }
    if found.splits:
        columns["split"] = np.int32(sorted(set(found.splits)).index(found.splits[k]))
    return columns


def _describe(found: _Set) -> dict[str, Any]:
    """What the file says of how it was made."""
    options, part = found.options, found.images[0].part
    identity = _keys(found)
    folder = str(options.segpath.resolve())
    published: dict[str, Any] = {
        "antigen": part.antigen,
        "cell_type": part.cell_type,
        "images": len(found.images),
        "slides": np.array(sorted(set(found.slides))),
        "sha256": stage_key(of=identity),
        "splits": found.source,
        "leaks": {f"slide {slide}": np.array(own) for slide, own in found.leaks.items()},
    }
    # slides are known by their ids in the whole set: so two files of parts of it share theirs,
    # and training puts no slide on both sides
    known_as = stage_key(segpath=[part.antigen, part.cell_type])
    return {
        "classes": np.array([NEGATIVE, *options.classes]),
        "options": options.to_json(),
        "model": found.model.describe(),
        "kinds": np.array(kinds_of(found.model)),
        "he": {"path": folder, "sha256": known_as, "mpp": options.he_mpp},
        "segpath": published,
        "flags": FLAGS,
        "reasons": REASONS,
    }
