"""`regdata build --masks`: an H&E slide and masks that exist already, without registration.

The published CellViT++ path: a mask says what is stained, and the share of each nucleus inside it
decides.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import FLAGS, CellTable, read_outlines
from regdata.cellvit.networks import Model, kinds_of, load_model
from regdata.chain.build_output import LabelledNuclei, show, write_labelled
from regdata.chain.labelled import check_options, class_rules
from regdata.chain.mask_options import MaskedOptions, MaskOptions
from regdata.chain.mask_output import one_sided
from regdata.chain.mask_slide import Found, Mask, examine, open_masks
from regdata.chain.measuring import load_measured, save_measured
from regdata.chain.pair import Pair, slide_facts
from regdata.chain.pipeline import cells_key, segment_nuclei
from regdata.errors import RegdataError
from regdata.files import RunDirectory, Stages, bar, file_identity, read_json, stage_key, write_json
from regdata.labelling.measuring import Measured, mask_overlaps, measure
from regdata.labelling.rules import REASONS, LabelRule, Nuclei, label_masked
from regdata.names import NEGATIVE, UNKNOWN
from regdata.report import Aligned, count_labels
from regdata.slides import Slide, open_slide

# Raised when a stage computes something else from the same inputs, so that no old result is kept.
_VERSIONS = {"masks": 1, "measure": 1, "label": 1}


@dataclass(frozen=True)
class MaskSummary:
    """What a build from masks made.

    Attributes
    ----------
    counts
        Number of cells per label, negative first and unknown last.
    kept
        Names of the stages whose result was there already.
    warnings
        What a person should know before trusting the labels.
    """

    output: Path
    counts: dict[str, int]
    kept: tuple[str, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Bench:
    """The slide, its masks by marker, the image they are channels of, and the network."""

    he: Slide
    masks: dict[str, Mask]
    image: Slide
    model: Model
    identity: dict[str, Any]

    @property
    def mpp(self) -> float:
        """µm per level-0 pixel of the H&E."""
        return self.he.known_mpp("--he-mpp")

    @property
    def step(self) -> float:
        """Level-0 H&E pixels per pixel at which nuclei were found."""
        return self.model.config.mpp / self.mpp


def build_masks(options: MaskOptions) -> MaskSummary:
    """Label the nuclei of an H&E slide by masks in its own frame.

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
    bench = _open_bench(options)
    stages = Stages(RunDirectory(options.run_directory), _keys(bench, options))
    stages.check_output(options.output, options.overwrite)
    found = {name: _examined(name, bench, stages) for name in bench.masks}
    pair = Pair(bench.he, bench.image, 0, {}, bench.identity)
    cells = segment_nuclei(pair, bench.model, stages)
    if stages.published(options.output):
        stages.kept += ["measure", "label"]
        counts = read_json(stages.run.path / "summary.json")
    else:
        counts = _label(bench, cells, found, options, stages)
    warnings = _doubts(options, found, counts)
    return MaskSummary(options.output, counts, tuple(stages.kept), tuple(warnings))


def _doubts(options: MaskOptions, found: dict[str, Found], counts: dict[str, int]) -> list[str]:
    """What a person should know before trusting the labels."""
    empty = [name for name, one in found.items() if one.share == 0]
    out = [f"no pixel of the mask {name} is stained" for name in empty]
    return out + one_sided(counts, str(options.masks))


def _open_bench(options: MaskOptions) -> _Bench:
    """Open slide, masks and network; what can be refused early is refused here."""
    he = open_slide(options.he).with_mpp(options.he_mpp)
    if not he.is_rgb or he.dtype != np.uint8:
        raise RegdataError(
            f"{options.he} is not an 8-bit RGB picture (channels: {', '.join(he.channels)}; "
            f"{he.dtype}); expected the H&E slide. Are --he and --masks swapped?"
        )
    image, masks = open_masks(
        options.masks, he, options.markers, options.channel_names, options.if_mpp
    )
    identity = {
        "he": [file_identity(options.he), he.mpp],
        "masks": [file_identity(options.masks), image.mpp, image.channels],
    }
    return _Bench(he, masks, image, load_model(options.model, options.device), identity)


def _keys(bench: _Bench, options: MaskOptions) -> dict[str, str]:
    """Per stage a hash of all that its result depends on."""
    masks = bench.identity["masks"]
    keys = {"cells": cells_key(bench.model, bench.identity["he"])}
    for name, mask in bench.masks.items():
        channel = [*mask.slide.channels, name]
        keys[f"mask {name}"] = stage_key(masks=masks, of=channel, version=_VERSIONS["masks"])
    keys["measure"] = stage_key(of=keys["cells"], version=_VERSIONS["measure"])
    keys["label"] = stage_key(
        of=keys,
        rules=options.rules(),
        ring_um=options.ring_um,
        patient=options.patient,
        version=_VERSIONS["label"],
    )
    return keys


def _examined(name: str, bench: _Bench, stages: Stages) -> Found:
    """What a mask holds; read through once, before any other work."""

    def make(path: Path) -> None:
        with bar("read masks") as progress:
            found = examine(name, bench.masks[name], progress)
        write_json(path, asdict(found))

    number = list(bench.masks).index(name)
    stored = read_json(stages.result(f"mask {name}", f"mask_{number}.json", make))
    return Found(tuple(stored["values"]), float(stored["share"]))


def _label(
    bench: _Bench, cells_path: Path, found: dict[str, Found], options: MaskOptions, stages: Stages
) -> dict[str, int]:
    """Count overlaps, label the nuclei, write file, pictures and GeoJSON; the number per label."""
    cells = read_outlines(cells_path)
    measured = _red_cells(bench, cells, stages)
    ring_px = options.ring_um / bench.mpp
    overlaps = {}
    for name, mask in bench.masks.items():
        ring = options.compartments.get(name, "nucleus") == "ring"
        with bar(f"mask {name}"[:12]) as progress:
            overlaps[name] = mask_overlaps(
                cells, mask.stained, 1.0, ring_px if ring else None, progress
            )
    columns = label_cells(cells, measured, overlaps, bench.mpp, options)
    columns |= {"slide": options.he.stem, "patient": options.patient or options.he.stem}
    about = _describe(bench, found, options)
    made = LabelledNuclei(cells_path, cells.flags, columns, measured)

    def make(path: Path) -> None:
        with bar("label") as progress:
            write_labelled(path, made, about, progress)

    labelled = stages.result("label", "labelled.h5", make)
    counts = count_labels(labelled, (*map(str, about["classes"]), UNKNOWN))
    masks = {name: mask.over(bench.he) for name, mask in bench.masks.items()}
    aligned = Aligned(bench.he, None, masks, {}, bench.step)
    show(options.output, aligned, labelled, _doubts(options, found, counts))
    write_json(stages.run.path / "summary.json", counts)
    stages.publish(labelled, options.output)
    return counts


def _red_cells(bench: _Bench, cells: CellTable, stages: Stages) -> Measured:
    """The share of each nucleus that is coloured like red blood cells."""

    def make(path: Path) -> None:
        with bar("measure") as progress:
            nowhere = np.zeros(len(cells))
            save_measured(
                path, measure(cells, bench.he, {}, bench.step, nowhere, progress=progress)
            )

    return load_measured(stages.result("measure", "measured.npz", make))


def label_cells(
    cells: CellTable,
    measured: Measured,
    overlaps: dict[str, NDArray[np.float32]],
    mpp: float,
    options: MaskedOptions,
) -> dict[str, Any]:
    """Columns of obs that say what each nucleus is, and why.

    Parameters
    ----------
    mpp
        µm per pixel in which the cells' positions are.
    """
    nuclei = Nuclei(
        cells.xy * mpp,
        np.sqrt(cells.area_um2 / np.pi),
        cells.flags,
        np.full(len(cells), np.nan),
        measured,
    )
    rule = LabelRule(options.overlap, options.negative_up_to, legacy=options.legacy_overlap)
    return label_masked(nuclei, overlaps, class_rules(options, list(overlaps)), rule)


def _describe(bench: _Bench, found: dict[str, Found], options: MaskOptions) -> dict[str, Any]:
    """What the file says of how it was made."""
    masks = {
        name: {
            "channel": bench.masks[name].slide.channels[0],
            "values": np.array(one.values),
            "share": one.share,
        }
        for name, one in found.items()
    }
    ratio = next(iter(bench.masks.values())).ratio
    return {
        "classes": np.array([NEGATIVE, *class_rules(options, options.markers)]),
        "options": options.to_json(),
        "model": bench.model.describe(),
        "kinds": np.array(kinds_of(bench.model)),
        "he": slide_facts(bench.he, bench.identity["he"]),
        "masks": {
            **slide_facts(bench.image, bench.identity["masks"]),
            "ratio": ratio,
            "markers": masks,
        },
        "flags": FLAGS,
        "reasons": REASONS,
    }
