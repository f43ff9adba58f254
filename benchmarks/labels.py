"""Labels against known truth, beside the published rule, under clean and spoiled conditions.

    python benchmarks/labels.py FOLDER [table|calibrate|methods|spill]

`table` restains CoNSeP test images (never trained on) and simulated tissue under every
condition and compares the labels of the nuclei that the built-in network finds with the truth:
precision and recall of the positive label among nuclei that have one, and the share that is
unknown. The published rule is one Otsu threshold of the raw channel inside the tissue and 15 %
overlap; its scores are over all nuclei, and over those that ours labels. `calibrate` fits the
constants of the probabilities on CoNSeP training images and other simulated tissue, and says how
good they are on those of `table`. `methods` compares thresholds, `spill` looks at the spill-over
test. Nuclei are found once and kept in FOLDER.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import label_scenes
import numpy as np
from label_scenes import (
    AUTOFLUORESCENCE,
    CONDITIONS,
    MARKER,
    MPP,
    Condition,
    Restaining,
    Section,
    consep,
    detected,
    restaining,
    simulated,
)
from numpy.typing import NDArray
from scipy.optimize import minimize
from tiny import parsed

from regdata.cells.table import CellTable
from regdata.eval.metrics.matching import match_points
from regdata.eval.metrics.rates import precision_recall_f1
from regdata.labelling.channels.correction import CorrectionOptions, corrected, fit_correction
from regdata.labelling.measuring.measured import Measured, Signal, measure
from regdata.labelling.rules import probability
from regdata.labelling.rules.labels import Marker, Nuclei, label_nuclei
from regdata.labelling.rules.overlap_rule import LabelRule
from regdata.labelling.rules.rules import parse_rules
from regdata.labelling.thresholds.histogram import Histogram
from regdata.labelling.thresholds.methods import otsu_threshold, parse_method
from regdata.labelling.thresholds.threshold import Nuclei as Pooled
from regdata.labelling.thresholds.threshold import find_threshold, tissue_histogram
from regdata.registration.quality.assessment import tile_quality
from regdata.slides.slide import Slide
from regdata.slides.tissue import if_tissue
from regdata.transforms.warp import warped

RADIUS_PX = 15.0
SEED = 3
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """A section restained under a condition, measured, and the truth of its nuclei.

    Attributes
    ----------
    raw
        Measured in the raw channel, for the published rule.
    pixels, raw_pixels
        Histograms of the tissue.
    found, truth
        (M,) matched nuclei: their row, and whether they truly carry the marker.
    """

    name: str
    nuclei: Nuclei
    raw: Measured
    pixels: Histogram
    raw_pixels: Histogram
    area: NDArray[np.float32]
    size_um: tuple[float, float]
    found: NDArray[np.int64]
    truth: Bools


def prepare(section: Section, condition: Condition, folder: Path, seed: int = SEED) -> Case:
    """Restain, correct, judge the map and measure."""
    cells, made = detected(section, folder), restaining(section, condition, seed)
    tissue = if_tissue(made.if_, 0)
    options = CorrectionOptions(dapi=0, hot=True)
    if condition.af_channel:
        af = made.if_.channels.index(AUTOFLUORESCENCE)
        options = replace(options, autofluorescence=af)
    marker = corrected(made.if_, fit_correction(made.if_, 1, tissue, options))
    dapi = corrected(made.if_, fit_correction(made.if_, 0, tissue))
    quality = tile_quality(section.he, made.if_, 0, made.he_to_if)
    error = quality.error_at(cells.xy * MPP)
    measured = _measure(section, made, cells, error, {"DAPI": dapi, MARKER: marker})
    raw = made.if_.channel(1)
    pairs = match_points(section.xy, cells.xy, RADIUS_PX)
    return Case(
        f"{section.name}: {condition.name}",
        Nuclei(cells.xy * MPP, np.sqrt(cells.area_um2 / np.pi), cells.flags, error, measured),
        _measure(section, made, cells, error, {MARKER: raw}),
        tissue_histogram(marker, tissue),
        tissue_histogram(raw, tissue),
        cells.area_um2,
        (section.he.size[0] * MPP, section.he.size[1] * MPP),
        pairs[:, 1],
        section.positive[pairs[:, 0]],
    )


def _measure(
    section: Section,
    made: Restaining,
    cells: CellTable,
    error: NDArray[np.float64],
    channels: dict[str, Slide],
) -> Measured:
    signals = {
        name: Signal(warped(slide, section.he, made.he_to_if), curves=name == MARKER)
        for name, slide in channels.items()
    }
    return measure(cells, section.he, signals, 1.0, error)


def ours(case: Case, method: str = "auto", rule: LabelRule | None = None) -> dict[str, Any]:
    """Label columns."""
    pooled = Pooled(
        case.nuclei.xy_um, case.area, case.nuclei.measured.curves[f"nucleus_{MARKER}"], case.size_um
    )
    threshold = find_threshold(parse_method(method), case.pixels, pooled)
    columns = label_nuclei(
        case.nuclei,
        {MARKER: Marker(threshold)},
        parse_rules([f"positive = {MARKER}"], [MARKER]),
        rule or LabelRule(),
        "DAPI",
    )
    return {**columns, "threshold": threshold}


def published(case: Case) -> Bools:
    """One Otsu threshold of the raw channel, positive above 15 % overlap."""
    cut = otsu_threshold(case.raw_pixels)
    share = case.raw.pixels[f"nucleus_{MARKER}"].share(cut)
    return np.asarray(LabelRule().state(share) == 1)


def scores(label: NDArray[np.str_], case: Case) -> tuple[float, float, float]:
    """Precision and recall among nuclei that have a label, and the share that has none."""
    here = label[case.found]
    positive, known = here == "positive", here != "unknown"
    counts = ((positive & case.truth).sum(), positive.sum(), (case.truth & known).sum())
    precision, recall, _ = precision_recall_f1(*counts, empty=0.0)
    return float(precision), float(recall), 1 - float(known.mean())


def sections(training: bool) -> list[Section]:
    """Two for the table, two others to calibrate on."""
    if training:
        return [consep("train", 9), simulated(22)]
    return [consep("test", 7), simulated(21)]


def table(folder: Path, conditions: Sequence[Condition] = CONDITIONS) -> None:
    """Print the table of conditions, and why nuclei are unknown."""
    print(
        "| section: condition | P / R | unknown | published | published, these nuclei | reasons |"
    )
    print("|---|---|---|---|---|---|")
    for section in sections(training=False):
        for condition in conditions:
            case = prepare(section, condition, folder)
            columns = ours(case)
            p, r, unknown = scores(columns["label"], case)
            then = np.where(published(case), "positive", "negative")
            p0, r0, _ = scores(then, case)
            same = np.where(columns["label"] == "unknown", "unknown", then)
            p1, r1, _ = scores(same, case)
            names, counts = np.unique(columns["reason"][case.found], return_counts=True)
            why = ", ".join(
                f"{n} {c / len(case.found):.1%}"
                for n, c in zip(names, counts, strict=True)
                if n != "none"
            )
            method = columns["threshold"].method
            print(
                f"| {case.name} | {p:.3f} / {r:.3f} | {unknown:.1%} | {p0:.3f} / {r0:.3f} | "
                f"{p1:.3f} / {r1:.3f} | {why} ({method}) |",
                flush=True,
            )


def spill(folder: Path) -> None:
    """Print what the spill-over test takes away: how many nuclei, and how many of them rightly."""
    print("| section: condition | flagged | truly negative | of all other positives |")
    print("|---|---|---|---|")
    for section in sections(training=False):
        for condition in CONDITIONS:
            case = prepare(section, condition, folder)
            columns = ours(case)
            flagged = (columns["reason"] == "spill_over")[case.found]
            other = (columns["label"] == "positive")[case.found]
            print(
                f"| {case.name} | {flagged.sum()} | {1 - case.truth[flagged].mean():.2f} | "
                f"{1 - case.truth[other].mean():.3f} |",
                flush=True,
            )


def methods(folder: Path) -> None:
    """Print precision and recall of every threshold method."""
    names = ("auto", "otsu", "li", "triangle", "gmm", "gmm:3", "mad", "local")
    print("| section: condition | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
    for section in sections(training=False):
        for condition in CONDITIONS:
            case = prepare(section, condition, folder)
            row = [scores(ours(case, name)["label"], case) for name in names]
            cells = " | ".join(f"{p:.3f} / {r:.3f} ({u:.1%})" for p, r, u in row)
            print(f"| {case.name} | {cells} |", flush=True)


def calibrate(folder: Path) -> None:
    """Fit the three constants of the probabilities; print them and how good they are."""
    training = [
        features(prepare(s, c, folder)) for s in sections(training=True) for c in CONDITIONS
    ]
    x, y = (np.concatenate(parts) for parts in zip(*training, strict=True))

    def loss(constants: NDArray[np.float64]) -> float:
        p = chance(x, constants)
        return -float(np.log(np.where(y, p, 1 - p)).mean())

    start = np.array([probability.SLOPE, probability.MIDDLE, probability.BLUR])
    found = minimize(loss, start, method="Nelder-Mead").x
    print(f"SLOPE, MIDDLE, BLUR = {found.round(3).tolist()}; loss {loss(found):.4f}")
    print("| section: condition | expected calibration error | loss |\n|---|---|---|")
    for section in sections(training=False):
        for condition in CONDITIONS:
            case = prepare(section, condition, folder)
            z, t = features(case)
            p = chance(z, found)
            ece = calibration_error(p, t)
            nll = -float(np.log(np.where(t, p, 1 - p)).mean())
            print(f"| {case.name} | {ece:.4f} | {nll:.4f} |", flush=True)


def features(case: Case) -> tuple[NDArray[np.float64], Bools]:
    """Log intensity over threshold and relative error of matched nuclei, (M, 2), and the truth.

    Only nuclei that can be labelled: the probability is of those.
    """
    columns = ours(case)
    nuclei, rows = case.nuclei, case.found
    place = ("edge", "outside_if", "tile", "missing", "registration", "red_cells")
    keep = ~np.isin(columns["reason"][rows], place)
    rows = rows[keep]
    mean = nuclei.measured.columns[f"mean_{MARKER}"][rows]
    at = columns[f"threshold_{MARKER}"][rows]
    level = np.log(np.maximum(mean / at, probability.FLOOR))
    relative = np.nan_to_num(nuclei.error_um[rows] / nuclei.radius_um[rows], nan=1.0)
    return np.stack([level, relative], 1).astype(float), case.truth[keep]


def chance(x: NDArray[np.float64], constants: NDArray[np.float64]) -> NDArray[np.float64]:
    """The formula of `positive_probability` with other constants."""
    slope, middle, blur = constants
    odds = slope * (x[:, 0] - middle) / np.sqrt(1 + (blur * x[:, 1]) ** 2)
    unsure = probability.UNSURE
    return unsure + (1 - 2 * unsure) / (1 + np.exp(-odds))


def calibration_error(p: NDArray[np.float64], truth: Bools, bins: int = 10) -> float:
    """Mean distance of claimed from true share over ten equal bins, by their number of nuclei."""
    place = np.minimum((p * bins).astype(int), bins - 1)
    off = 0.0
    for k in range(bins):
        here = place == k
        if here.any():
            off += here.mean() * abs(float(p[here].mean() - truth[here].mean()))
    return off


def main() -> None:
    """Run one of the tables."""
    tables = {"table": table, "calibrate": calibrate, "methods": methods, "spill": spill}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("what", nargs="?", choices=tables, default="table")
    arguments = parsed(parser)
    if arguments.tiny:
        label_scenes.SIDE, label_scenes.COLUMNS = 768, 1
        tables["table"] = partial(table, conditions=CONDITIONS[:1])
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    tables[arguments.what](folder)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
