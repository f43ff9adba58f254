"""Real restained pairs through `build`: Orion crypts (CD45) and DeepLIIF (Ki67).

    python benchmarks/real_pairs.py FOLDER

Writes slides, datasets and QC pictures below FOLDER, to look at, and compares the Ki67 labels with
the published red (positive) and blue (negative) nuclei.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from data import data_folder
from numpy.typing import NDArray
from scipy import ndimage
from tiny import parsed

from regdata.cells.dataset import read_dataset
from regdata.chain.options import BuildOptions
from regdata.chain.pipeline import build
from regdata.errors import RegdataError
from regdata.eval.metrics.matching import match_points
from regdata.eval.metrics.rates import precision_recall_f1
from regdata.slides.write_tiff import write_ome_tiff

METHODS = ("auto", "otsu", "gmm", "local", "mad")


def read(path: Path) -> NDArray[np.uint8]:
    """An image as RGB."""
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1].copy()


def orion(data: Path, folder: Path) -> None:
    """Crypts of a colon in a pseudo-colour composite: DNA blue, CD45 green, aSMA red.

    PanCK is white and CD31 yellow there: what green has in common with red is not CD45.
    """
    pixels = read(data / "if.png")
    red, green, blue = np.moveaxis(pixels, -1, 0)
    planes = np.stack([blue, np.where(green > red, green - red, 0).astype(np.uint8), red])
    write_ome_tiff(folder / "orion_if.ome.tif", planes, 0.42, ("DAPI", "CD45", "aSMA"))
    for part in ("nucleus", "ring"):
        summary = build(
            BuildOptions(
                he=data / "he.png",
                if_=folder / "orion_if.ome.tif",
                output=folder / f"orion_{part}.h5",
                markers=("CD45",),
                compartments={"CD45": part},
                he_mpp=0.42,
                overwrite=True,
            )
        )
        print(f"orion_crypts, {part}: {summary.counts}, correlation {summary.correlation:.2f}")


def published_nuclei(seg: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Centroids and positivity of the red and blue nuclei, which have green borders."""
    inside = (seg.max(-1) > 100) & (seg[..., 1] < 100)
    labels, count = ndimage.label(inside)
    index = np.arange(1, count + 1)
    large = index[ndimage.sum(inside, labels, index) >= 30]
    centres = np.array(ndimage.center_of_mass(inside, labels, large)).reshape(-1, 2)
    red = ndimage.mean(seg[..., 0].astype(float) > seg[..., 2], labels, large) > 0.5
    return centres[:, ::-1] + 0.5, np.asarray(red)


def deepliif(
    data: Path, folder: Path, name: str, stain: str, methods: tuple[str, ...] = METHODS
) -> None:
    """A tile restained: hematoxylin or IHC against DAPI and Ki67; every rule and threshold."""
    planes = [read(data / f"{name}_{channel}.png").max(-1) for channel in ("DAPI", "Marker_Ki67")]
    write_ome_tiff(folder / f"{name}_if.ome.tif", np.stack(planes), 0.25, ("DAPI", "Ki67"))
    output = folder / f"{name}_{stain}.h5"
    options = BuildOptions(
        he=data / f"{name}_{stain}.png",
        if_=folder / f"{name}_if.ome.tif",
        output=output,
        markers=("Ki67",),
        he_mpp=0.25,
        overwrite=True,
    )
    summary = build(options)
    xy, red = published_nuclei(read(data / f"{name}_Seg.png"))
    for method in methods:
        for legacy in (False, True):
            if legacy and method != "otsu":
                continue
            changed = {"thresholds": {"Ki67": method}, "legacy_overlap": legacy, "overwrite": True}
            try:
                build(options.model_copy(update=changed))
            except RegdataError as error:
                print(f"{name} {stain}, {method}: {error.message}")
                continue
            cells = read_dataset(output)
            pairs = match_points(xy, cells.cells.xy, 15.0)
            label, truth = cells.labels[pairs[:, 1]], red[pairs[:, 0]]
            hits = int(((label == 1) & truth).sum())
            counts = hits, (label == 1).sum(), truth[label >= 0].sum()
            f1 = precision_recall_f1(*counts, empty=0.0)[2]
            found = precision_recall_f1(len(pairs), len(cells.cells), len(xy))[2]
            rule = f"{method}, published rule" if legacy else method
            print(
                f"{name} {stain}, {rule}: {len(xy)} published nuclei, {int(red.sum())} positive, "
                f"{int(truth.sum())} of them found; detection F1 {found:.3f}, correlation "
                f"{summary.correlation:.2f}; labelled positive {int((label == 1).sum())}, right "
                f"{hits}, unknown {int((label < 0).sum())}, F1 {f1:.3f}"
            )


def main() -> None:
    """Run every pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parsed(parser, real_data=True)
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    pairs = data_folder() / "pairs"
    orion(pairs / "orion_crypts", folder)
    for name in ("Bladder1",) if arguments.tiny else ("Bladder1", "Lung1"):
        for stain in ("Hematoxylin",) if arguments.tiny else ("Hematoxylin", "IHC"):
            methods = METHODS[1:2] if arguments.tiny else METHODS
            deepliif(pairs / "deepliif_restained", folder, name, stain, methods)


if __name__ == "__main__":
    main()
