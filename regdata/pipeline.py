"""The chain: read, register, warp, threshold, segment, label, write."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from regdata.cells import FLAGS, OUTSIDE_IF, CellTable
from regdata.cells_geojson import write_cells_geojson
from regdata.cellvit.classifier import apply_classifier, choose_classifier, kinds_of, naming
from regdata.cellvit.journal import Journal
from regdata.cellvit.segment import SegmentSettings, segment
from regdata.cellvit.weights import Model, load_model
from regdata.dataset import UNKNOWN, count_cells, iterate_cells, write_dataset
from regdata.errors import RegdataError
from regdata.eval.agreement import agreement
from regdata.eval.load import SetOptions, load_set
from regdata.eval.run import evaluate_classifier
from regdata.labelling.background import channel_background, without_background
from regdata.labelling.labels import NEGATIVE, label_cells
from regdata.labelling.mask import Mask, load_mask, save_mask
from regdata.labelling.overlap import overlaps
from regdata.labelling.threshold import find_threshold
from regdata.options import BuildOptions
from regdata.pair import Pair, covered, open_pair, slide_facts
from regdata.progress import bar
from regdata.qc import Aligned, count_labels, write_pictures
from regdata.registering import Registered, draw_registration, error_at, register_slides
from regdata.registration.quality import Verdict
from regdata.registration.register import Registration
from regdata.rundir import RunDirectory, Stages, read_json, stage_key, write_json
from regdata.tissue import he_tissue, if_tissue
from regdata.train.classifier import train_classifier
from regdata.warp import warped

__all__ = [
    "BuildSummary",
    "SetOptions",
    "agreement",
    "build",
    "evaluate_classifier",
    "load_set",
    "train_classifier",
]

# Raised when a stage computes something else from the same inputs, so that no old result is kept.
_VERSIONS = {"register": 2, "mask": 2, "cells": 2, "label": 1}


@dataclass(frozen=True)
class BuildSummary:
    """What a build made.

    Attributes
    ----------
    counts
        Number of cells per label.
    correlation
        Of hematoxylin and warped DAPI.
    registration
        What the tiles say of the alignment.
    kept
        Names of the stages whose result was there already.
    """

    output: Path
    counts: dict[str, int]
    correlation: float
    registration: Verdict
    kept: tuple[str, ...]


def build(options: BuildOptions) -> BuildSummary:
    """Turn two slides of one section into a file of labelled cells.

    Parameters
    ----------
    options
        What to do.

    Raises
    ------
    RegdataError
        For everything a user can mend; nothing half-written is left under the output's name.
    """
    pair = open_pair(options)
    model = load_model(options.model, options.device)
    stages = Stages(RunDirectory(options.run_directory), _keys(pair, model, options))
    _check_output(options, stages)

    registered = register_slides(pair, stages)
    registration = registered.registration
    masks = {name: mask_marker(pair, name, stages) for name in options.markers}
    cells = segment_nuclei(pair, model, stages)
    aligned = align(pair, registered, masks, model)
    about = describe(pair, options, registration, masks, model)
    if not stages.published(options.output):
        draw_registration(pair, registered, options)
    counts = label_nuclei(options, aligned, cells, about, stages)
    return BuildSummary(
        options.output,
        counts,
        registration.correlation,
        registered.verdict,
        tuple(stages.kept),
    )


def _keys(pair: Pair, model: Model, options: BuildOptions) -> dict[str, str]:
    """Per stage a hash of all that its result depends on."""
    he, if_ = pair.identity["he"], pair.identity["if"]
    keys = {
        "register": stage_key(he=he, if_=if_, dapi=pair.dapi, version=_VERSIONS["register"]),
        "cells": stage_key(
            he=he,
            model=model.sha256,
            kinds=naming(model),
            settings=asdict(SegmentSettings()),
            version=_VERSIONS["cells"],
        ),
    }
    for name, channel in pair.markers.items():
        keys[f"mask {name}"] = stage_key(
            if_=if_, dapi=pair.dapi, channel=channel, version=_VERSIONS["mask"]
        )
    keys["label"] = stage_key(
        of=keys,
        rules=options.rules,
        overlap=options.overlap,
        patient=options.patient,
        version=_VERSIONS["label"],
    )
    return keys


def _check_output(options: BuildOptions, stages: Stages) -> None:
    """Refuse to replace a file that these very options did not make."""
    if options.output.is_dir():
        raise RegdataError(f"{options.output} is a folder; -o takes the name of the .h5 to write")
    if options.output.exists() and not (stages.published(options.output) or options.overwrite):
        raise RegdataError(
            f"{options.output} exists and was made from other inputs or options; "
            "pass --overwrite to replace it, or another -o"
        )


def mask_marker(pair: Pair, name: str, stages: Stages) -> Mask:
    """Background and threshold of a marker: what makes its mask."""
    channel = pair.markers[name]

    def make(path: Path) -> None:
        with bar(f"mask {name}"[:12]) as progress:
            tissue = if_tissue(pair.if_, pair.dapi)
            background = channel_background(pair.if_, channel, tissue)
            marker = without_background(pair.if_, channel, background)
            threshold = find_threshold(marker, tissue, progress)
        save_mask(path, Mask(channel, background, threshold))

    return load_mask(stages.result(f"mask {name}", f"mask_{channel}.npz", make))


def segment_nuclei(pair: Pair, model: Model, stages: Stages) -> Path:
    """The file of the H&E slide's nuclei."""
    config, classifier = model.config, choose_classifier(model)

    def make(path: Path) -> None:
        tissue = he_tissue(pair.he)
        # finished tiles of a run that was broken off, if it was one with these very inputs
        finished = path.with_name(f"cells.{stages.keys['cells'][:16]}.journal")
        for other in set(path.parent.glob("cells.*.journal")) - {finished}:
            other.unlink()
        with (
            Journal.open(finished, stages.keys["cells"], config.token_width) as journal,
            bar("segment") as progress,
            write_dataset(path, config.token_width) as out,
        ):
            for cells in segment(pair.he, model, tissue, progress=progress, journal=journal):
                out.append(apply_classifier(cells, classifier) if classifier else cells)
            out.finish(kinds_of(model), {"model": model.describe()})
        finished.unlink()

    path = stages.result("cells", "cells.h5", make)
    if count_cells(path) == 0:
        raise RegdataError(
            f"no nucleus found in {pair.he.path}; is it H&E, and is its pixel size "
            f"({pair.he.mpp} µm) right? Correct it with --he-mpp"
        )
    return path


def align(pair: Pair, registered: Registered, masks: dict[str, Mask], model: Model) -> Aligned:
    """The channels of the IF slide as slides in the H&E frame."""
    he_to_if, quality = registered.registration.he_to_if, registered.quality
    markers = {
        name: warped(without_background(pair.if_, m.channel, m.background), pair.he, he_to_if)
        for name, m in masks.items()
    }
    return Aligned(
        pair.he,
        warped(pair.if_.channel(pair.dapi), pair.he, he_to_if),
        markers,
        {name: mask.threshold.value for name, mask in masks.items()},
        model.config.mpp / pair.he.known_mpp("--he-mpp"),
        partial(covered, pair, he_to_if),
        partial(error_at, pair, quality),
    )


def describe(
    pair: Pair,
    options: BuildOptions,
    registration: Registration,
    masks: dict[str, Mask],
    model: Model,
) -> dict[str, Any]:
    """What the file says of how it was made."""
    size_um = np.array(pair.he.size) * pair.he.known_mpp("--he-mpp")
    return {
        "classes": np.array([NEGATIVE, *options.rules]),
        "options": options.model_dump_json(),
        "transform": {
            "maps": "he_to_if",
            "unit": "um",
            "matrix": registration.he_to_if.nearest_affine(size_um),
            "steps": registration.he_to_if.to_dict(),
        },
        "registration": registration.numbers,
        "thresholds": {name: mask.describe() for name, mask in masks.items()},
        "model": model.describe(),
        "kinds": np.array(kinds_of(model)),
        "he": slide_facts(pair.he, pair.identity["he"]),
        "if": slide_facts(pair.if_, pair.identity["if"]),
        "flags": FLAGS,
    }


def label_nuclei(
    options: BuildOptions, aligned: Aligned, cells: Path, about: dict[str, Any], stages: Stages
) -> dict[str, int]:
    """Label the nuclei, write file, pictures and GeoJSON; returns the number per label."""
    if stages.published(options.output):
        stages.kept.append("label")
        return read_json(stages.run.path / "summary.json")

    def make(path: Path) -> None:
        total = count_cells(cells)
        with (
            bar("label") as progress,
            write_dataset(path, int(about["model"]["token_width"])) as out,
        ):
            done = 0
            for table, _ in iterate_cells(cells):
                flagged, columns = label_portion(table, aligned, options)
                out.append(flagged, columns)
                done += len(table)
                progress(done / total)
            out.finish(tuple(about["kinds"]), about)

    labelled = stages.result("label", "labelled.h5", make)
    return finish(options, aligned, labelled, stages)


def label_portion(
    cells: CellTable, aligned: Aligned, options: BuildOptions
) -> tuple[CellTable, dict[str, Any]]:
    """Cells with their flags, and the columns of their labels."""
    overlap = {
        name: overlaps(cells, marker, aligned.thresholds[name], aligned.step)
        for name, marker in aligned.markers.items()
    }
    outside = ~aligned.covered(cells.xy)
    label = label_cells(overlap, options.rules, options.overlap)
    names = np.array([NEGATIVE, *options.rules, UNKNOWN])
    columns: dict[str, Any] = {f"overlap_{name}": share for name, share in overlap.items()}
    columns |= {
        "registration_error_um": aligned.error_um(cells.xy).astype(np.float32),
        "label": names[np.where(outside, len(names) - 1, label)],
        "slide": options.he.stem,
        "patient": options.patient or options.he.stem,
    }
    flags = (cells.flags | np.where(outside, OUTSIDE_IF, 0)).astype(np.uint8)
    return replace(cells, flags=flags), columns


def finish(
    options: BuildOptions, aligned: Aligned, labelled: Path, stages: Stages
) -> dict[str, int]:
    """Write what lies beside the labelled file, then give the file its name."""
    stem, folder = options.output.stem, options.output.parent
    classes = (NEGATIVE, *options.rules, UNKNOWN)
    write_cells_geojson(folder / f"{stem}.cells.geojson.gz", labelled, "label", classes)
    write_pictures(folder / "qc", stem, aligned, labelled)
    counts = count_labels(labelled, classes)
    write_json(stages.run.path / "summary.json", counts)
    stages.publish(labelled, options.output)
    return counts
