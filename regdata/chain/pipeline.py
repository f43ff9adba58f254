"""The chain: read, register, correct, segment, measure, label, write."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regdata.annotated import SetOptions, load_set
from regdata.cells import count_cells, write_dataset
from regdata.cellvit.networks import (
    Model,
    apply_classifier,
    choose_classifier,
    kinds_of,
    load_model,
    naming,
)
from regdata.cellvit.tiles import Journal, SegmentSettings, segment
from regdata.chain.label_stage import Found, doubts, label
from regdata.chain.labelled import check_options
from regdata.chain.measuring import correct_channel
from regdata.chain.options import BuildOptions, LabelOptions
from regdata.chain.pair import Pair, open_pair
from regdata.chain.registering import draw_registration, register_slides
from regdata.errors import RegdataError
from regdata.eval import evaluate_classifier
from regdata.eval.metrics import agreement
from regdata.files import RunDirectory, Stages, bar, read_json, stage_key
from regdata.registration.quality import Verdict
from regdata.slides import he_tissue
from regdata.train.tokens import train_classifier

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
_VERSIONS = {"register": 2, "correct": 1, "cells": 2, "measure": 1, "label": 2}


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
    warnings
        What a person should know before trusting the labels.
    """

    output: Path
    counts: dict[str, int]
    correlation: float
    registration: Verdict
    kept: tuple[str, ...]
    warnings: tuple[str, ...] = ()


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
    check_options(options, options.markers)
    pair = open_pair(options)
    model = load_model(options.model, options.device)
    stages = Stages(RunDirectory(options.run_directory), _keys(pair, model, options))
    stages.check_output(options.output, options.overwrite)

    registered = register_slides(pair, stages)
    nuclear = pair.if_.channels[pair.dapi]
    channels = {
        name: correct_channel(pair, name, options, stages) for name in (nuclear, *options.markers)
    }
    cells = segment_nuclei(pair, model, stages)
    if stages.published(options.output):
        stages.kept += ["measure", "label"]
        counts = read_json(stages.run.path / "summary.json")
    else:
        draw_registration(pair, registered, options)
        found = Found(pair, registered, channels, nuclear, model, cells)
        counts = label(found, options, stages)
    return BuildSummary(
        options.output,
        counts,
        registered.registration.correlation,
        registered.verdict,
        tuple(stages.kept),
        tuple(doubts(options, channels, counts)),
    )


def _keys(pair: Pair, model: Model, options: BuildOptions) -> dict[str, str]:
    """Per stage a hash of all that its result depends on."""
    he, if_ = pair.identity["he"], pair.identity["if"]
    keys = {
        "register": stage_key(he=he, if_=if_, dapi=pair.dapi, version=_VERSIONS["register"]),
        "cells": cells_key(model, he),
    }
    nuclear = pair.if_.channels[pair.dapi]
    for name, channel in {nuclear: pair.dapi, **pair.markers}.items():
        keys[f"correct {name}"] = stage_key(
            if_=if_,
            dapi=pair.dapi,
            channel=channel,
            af=pair.autofluorescence,
            field_um=options.field_um,
            version=_VERSIONS["correct"],
        )
    keys["measure"] = stage_key(of=keys, ring_um=options.ring_um, version=_VERSIONS["measure"])
    keys["label"] = stage_key(
        of=keys,
        rules=options.model_dump(include=set(LabelOptions.model_fields)),
        shape=[options.erode, options.min_size_um2],
        patient=options.patient,
        version=_VERSIONS["label"],
    )
    return keys


def cells_key(model: Model, he: Any) -> str:
    """The key of the stage that finds nuclei; `he` is the identity of the H&E."""
    return stage_key(
        he=he,
        model=model.sha256,
        kinds=naming(model),
        settings=asdict(SegmentSettings()),
        version=_VERSIONS["cells"],
    )


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
