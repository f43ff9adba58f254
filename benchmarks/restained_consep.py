"""Real H&E, simulated restaining: auto-labels against manual labels, end to end.

    python benchmarks/restained_consep.py [FOLDER]

Every CoNSeP training image becomes a section: its IF slide has DAPI from the annotated nuclei and
the hematoxylin, and a marker on the inflammatory nuclei, a tenth of which stay unstained; it is
turned by a random angle, mirrored half the time, elastically warped and at 0.325 µm/px. `build`
labels the nuclei, a classifier is trained on these labels and another on the manual labels of the
same cells, and both are scored on the CoNSeP test images with the same detector.
"""

import argparse
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import write_elem
from data import Annotated, data_folder, load_annotated
from tiny import parsed

from regdata.annotated.points import NamedPoints, to_set
from regdata.annotated.sets import AnnotatedSet
from regdata.cells.dataset import read_dataset
from regdata.cells.match_radius import MATCH_RADIUS_UM
from regdata.chain.options import BuildOptions
from regdata.chain.pipeline import build
from regdata.errors import RegdataError
from regdata.eval.metrics.label_truth import Agreement, agreement
from regdata.eval.metrics.matching import match_points
from regdata.eval.metrics.rates import precision_recall_f1
from regdata.eval.pages.scores import score_table
from regdata.eval.run import evaluate_classifier
from regdata.names import UNKNOWN
from regdata.report.pictures import write_png
from regdata.simulate.restaining import restain
from regdata.simulate.settings import RestainSettings
from regdata.slides.write_tiff import write_ome_tiff
from regdata.train.tokens.classifier import train_classifier
from regdata.transforms.transform import Transform

INFLAMMATORY = 2
MPP = 0.25


def make_pair(image: Annotated, folder: Path, seed: int) -> np.ndarray:
    """Write the two slides; returns the true map of the nuclei to the IF slide, µm."""
    rng = np.random.default_rng(seed)
    settings = RestainSettings(
        marker="CD45", rotation_deg=float(rng.uniform(0, 360)), mirror=bool(rng.integers(2))
    )
    positive = image.kinds == INFLAMMATORY
    restained = restain(image.rgb, image.instances, positive, settings, seed)
    write_png(folder / f"{image.path.stem}.png", image.rgb)
    write_ome_tiff(
        folder / f"{image.path.stem}_if.ome.tif",
        restained.image,
        restained.mpp,
        restained.channels,
    )
    return restained.he_to_if.points(image.xy * MPP)


def build_one(image: Annotated, folder: Path) -> Path:
    """Label the nuclei of one restained image."""
    stem = image.path.stem
    output = folder / f"{stem}.h5"
    build(
        BuildOptions(
            he=folder / f"{stem}.png",
            if_=folder / f"{stem}_if.ome.tif",
            output=output,
            markers=("CD45",),
            classes={"inflammatory": ("CD45",)},
            he_mpp=MPP,
            overwrite=True,
        )
    )
    return output


def judge(image: Annotated, path: Path) -> Agreement:
    """Labels of one image against the manual ones."""
    cells = read_dataset(path)
    truth, label = image.kinds == INFLAMMATORY, cells.labels
    return agreement(cells.cells.xy, label == 1, image.xy, truth, MATCH_RADIUS_UM / MPP, label >= 0)


def pooled(images: list[Annotated], paths: list[Path]) -> tuple[float, float]:
    """Precision and recall of the labels over all matched nuclei of all images."""
    hits = labelled = positives = 0
    for image, path in zip(images, paths, strict=True):
        cells = read_dataset(path)
        pairs = match_points(image.xy, cells.cells.xy, MATCH_RADIUS_UM / MPP)
        label = cells.labels[pairs[:, 1]]
        truth = (image.kinds[pairs[:, 0]] == INFLAMMATORY) & (label >= 0)
        label = label == 1
        hits += int((label & truth).sum())
        labelled += int(label.sum())
        positives += int(truth.sum())
    precision, recall, _ = precision_recall_f1(hits, labelled, positives, empty=0.0)
    return float(precision), float(recall)


def with_manual_labels(image: Annotated, path: Path) -> Path:
    """A copy of a dataset in which the matched cells carry their manual label."""
    copy = path.with_name(f"manual_{path.name}")
    copy.write_bytes(path.read_bytes())
    cells = read_dataset(path)
    names = np.full(len(cells.cells), UNKNOWN, dtype=object)
    pairs = match_points(image.xy, cells.cells.xy, MATCH_RADIUS_UM / MPP)
    positive = image.kinds[pairs[:, 0]] == INFLAMMATORY
    names[pairs[:, 1]] = np.where(positive, "inflammatory", "negative")
    with h5py.File(copy, "a") as file:
        del file["obs/label"]
        write_elem(file, "obs/label", pd.Categorical(names))
    return copy


def test_set(images: list[Annotated]) -> AnnotatedSet:
    """The annotated points of the test images."""
    named = [
        NamedPoints(
            image.path,
            image.xy,
            ["inflammatory" if kind == INFLAMMATORY else "other" for kind in image.kinds],
        )
        for image in images
    ]
    return to_set(named, MPP)


def main() -> None:
    """Build, train twice, score twice, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    arguments = parsed(parser)
    folder = arguments.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    images = load_annotated(data_folder() / "consep/train")[: 1 if arguments.tiny else None]
    paths, built, errors, judged, refused = [], [], [], [], []
    for seed, image in enumerate(images):
        truth = make_pair(image, folder, seed)
        try:
            path = build_one(image, folder)
        except RegdataError as error:
            refused.append(image.path.stem)
            print(f"{image.path.stem}: {error.message}", flush=True)
            continue
        paths.append(path)
        built.append(image)
        steps = read_dataset(paths[-1]).record.he_to_if
        mapped = Transform.from_dict(steps).points(image.xy * MPP)
        errors.append(float(np.median(np.linalg.norm(mapped - truth, axis=1))))
        judged.append(judge(image, paths[-1]))
        print(f"{image.path.stem}: {errors[-1]:.2f} µm, {judged[-1]}", flush=True)
    print(
        f"registration error, median of medians {np.median(errors):.2f} µm, worst {max(errors):.2f}"
    )
    print(f"built {len(built)}, refused {len(refused)}: {', '.join(refused)}")
    for name in ("detected", "precision", "recall"):
        print(f"labels, {name}: mean {np.mean([getattr(j, name) for j in judged]):.3f}")
    print("labels, pooled: precision {:.3f}, recall {:.3f}".format(*pooled(built, paths)))
    manual = [with_manual_labels(image, path) for image, path in zip(built, paths, strict=True)]
    annotated = test_set(load_annotated(data_folder() / "consep/test"))
    for name, files in (("auto-labels", paths), ("manual labels", manual)):
        classifier = folder / f"{name.replace(' ', '_')}.pt"
        report = train_classifier(files, classifier)
        scores = evaluate_classifier(classifier, annotated)
        print(
            f"\n{name}: validation AUROC {report.best.auroc:.3f}\n{score_table(scores)}", flush=True
        )


if __name__ == "__main__":
    main()
