"""The demo: a simulated restained section with known truth, through the whole chain."""

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.annotated import SetOptions, load_set
from regdata.cells import MATCH_RADIUS_UM, CellDataset, centroids, read_dataset
from regdata.chain import BuildOptions, build
from regdata.errors import RegdataError
from regdata.eval import evaluate_classifier
from regdata.eval.metrics import agreement
from regdata.files import bar, read_json, replacing, stage_key, write_json
from regdata.paths import StrPath
from regdata.report import write_png
from regdata.simulate import KINDS, Restained, RestainSettings, Tissue, render_tissue, restain
from regdata.slides import write_ome_tiff
from regdata.studies.demo_page import write_page
from regdata.train.tokens import train_classifier
from regdata.transforms import Transform

_MPP = 0.25
_TEST = 1024  # pixels a side of a test image
_NAMES = {"he.ome.tif", "if.ome.tif", "demo.json"}
_WRITTEN = (
    "*.ome.tif",
    "truth.npz",
    "test",
    "qc",
    "lymphocytes.*",
    "classifier.pt",
    "summary.*",
    "demo.json",
)


@dataclass(frozen=True)
class DemoTruth:
    """The true nuclei of the simulation.

    Attributes
    ----------
    xy
        (N, 2) float64, centroids, level-0 H&E pixels.
    kinds
        (N,) str, kind of each nucleus.
    positive
        (N,) bool, whether the nucleus carries the marker; some of these stay unstained.
    in_if_um
        (N, 2) float64, true place of each centroid on the IF slide, µm.
    """

    xy: NDArray[np.float64]
    kinds: NDArray[np.str_]
    positive: NDArray[np.bool_]
    in_if_um: NDArray[np.float64]


def run_demo(
    folder: StrPath,
    size: int = 4096,
    seed: int = 1,
    device: str = "auto",
    overwrite: bool = False,
) -> Path:
    """Path of `summary.html`, after simulating, building, training and evaluating.

    Parameters
    ----------
    folder
        Empty or new; a rerun with the same size and seed goes on where it stopped.
    size
        Side of the section in pixels at 0.25 µm.
    overwrite
        Replace a demo of another size or seed.

    Raises
    ------
    RegdataError
        The folder holds something else.
    """
    folder = Path(folder)
    if overwrite:
        _clear(folder)
    truth = prepare(folder, size, seed)
    output = folder / "lymphocytes.h5"
    summary = build(
        BuildOptions(
            he=folder / "he.ome.tif",
            if_=folder / "if.ome.tif",
            output=output,
            markers=("CD3",),
            classes={"lymphocyte": ("CD3",)},
            device=device,
        )
    )
    classifier = folder / "classifier.pt"
    with bar("train") as progress:
        report = train_classifier([output], classifier, None, lambda e: progress(e.number / 50))
    annotated = load_set(SetOptions(images=folder / "test/images", points=folder / "test/points"))
    with bar("evaluate") as progress:
        scores = evaluate_classifier(classifier, annotated, progress=progress)
    dataset = read_dataset(output)
    facts = {
        "nuclei": len(dataset.cells),
        "counts": summary.counts,
        "correlation": summary.correlation,
        "registration_error_um": registration_error(dataset, truth),
        "labels": asdict(judge_labels(dataset, truth)),
        "training": report.to_dict(),
        "scores": scores.to_dict(),
    }
    write_json(folder / "summary.json", facts)
    return write_page(folder, facts)


def _clear(folder: Path) -> None:
    """Remove a demo from its folder; what is not of a demo stays."""
    if not (folder / "demo.json").exists():
        return
    for name in _WRITTEN:
        for path in folder.glob(name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def prepare(folder: Path, size: int, seed: int) -> DemoTruth:
    """The true nuclei; slides, truth and test images are written unless they are there."""
    key = stage_key(size=size, seed=seed, version=1)
    note = folder / "demo.json"
    if note.exists() and read_json(note).get("key") == key:
        return read_truth(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RegdataError(
            f"{folder} is not empty and holds no demo of size {size} and seed {seed}; "
            "name a new folder, or pass `overwrite=True` to replace a demo"
        )
    with bar("simulate") as progress:
        (folder / "test/images").mkdir(parents=True)
        (folder / "test/points").mkdir()
        tissue = render_tissue((size, size), seed)
        progress(0.4)
        restained = restain(
            tissue.rgb, tissue.instances, is_lymphocyte(tissue), RestainSettings(), seed
        )
        progress(0.7)
        write_ome_tiff(folder / "he.ome.tif", tissue.rgb, _MPP, jpeg=True)
        write_ome_tiff(folder / "if.ome.tif", restained.image, restained.mpp, restained.channels)
        truth = true_nuclei(tissue, restained)
        _write_truth(folder, truth)
        write_test_images(folder / "test", seed + 1000)
    write_json(note, {"key": key, "size": size, "seed": seed})
    return truth


def is_lymphocyte(tissue: Tissue) -> NDArray[np.bool_]:
    """(N,) bool, nuclei that carry the marker."""
    return np.asarray(tissue.kinds == KINDS.index("lymphocyte"))


def true_nuclei(tissue: Tissue, restained: Restained) -> DemoTruth:
    """The true nuclei of a simulated pair of slides."""
    xy = centroids(tissue.instances)
    kinds = np.array(KINDS)[tissue.kinds]
    return DemoTruth(xy, kinds, restained.marked, restained.he_to_if.points(xy * _MPP))


def _write_truth(folder: Path, truth: DemoTruth) -> None:
    """Keep the truth beside the slides."""
    with replacing(folder / "truth.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, **asdict(truth))


def read_truth(folder: Path) -> DemoTruth:
    """The true nuclei that `_write_truth` wrote."""
    with np.load(folder / "truth.npz") as stored:
        return DemoTruth(**{name: stored[name] for name in stored.files})


def write_test_images(folder: Path, seed: int) -> None:
    """Write four fields of another section, with a point per nucleus."""
    tissue = render_tissue((2 * _TEST, 2 * _TEST), seed)
    xy = centroids(tissue.instances)
    names = np.where(is_lymphocyte(tissue), "lymphocyte", "other")
    for row in (0, 1):
        for column in (0, 1):
            corner = np.array([column, row]) * _TEST
            cut = tissue.rgb[corner[1] : corner[1] + _TEST, corner[0] : corner[0] + _TEST]
            inside = ((xy >= corner) & (xy < corner + _TEST)).all(1)
            name = f"field_{row}{column}"
            write_png(folder / "images" / f"{name}.png", cut)
            lines = [
                f"{x:.1f},{y:.1f},{label}"
                for (x, y), label in zip(xy[inside] - corner, names[inside], strict=True)
            ]
            table = "\n".join(["x,y,class", *lines, ""])
            (folder / "points" / f"{name}.csv").write_text(table)


def registration_error(dataset: CellDataset, truth: DemoTruth) -> dict[str, float]:
    """Median and 90th percentile of the distance from mapped to true places of nuclei, µm."""
    he_to_if = Transform.from_dict(dataset.record.he_to_if)
    mapped = he_to_if.points(truth.xy * _MPP)
    error = np.linalg.norm(mapped - truth.in_if_um, axis=1)
    return {"median": float(np.median(error)), "p90": float(np.percentile(error, 90))}


def judge_labels(dataset: CellDataset, truth: DemoTruth) -> Any:
    """Agreement of detected nuclei and their labels with the truth."""
    label = dataset.labels
    detected, true = (dataset.cells.xy, label == 1), (truth.xy, truth.positive)
    return agreement(*detected, *true, MATCH_RADIUS_UM / _MPP, label >= 0)
