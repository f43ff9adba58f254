"""What builds from masks share: overlaps of nuclei with the masks of their image, and labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable, iterate_images
from regdata.chain.labelled import class_rules
from regdata.chain.mask_options import MaskedOptions
from regdata.chain.mask_slide import Mask
from regdata.chain.measuring import load_measured, save_measured
from regdata.files import Progress, RunDirectory, StageResult, bar
from regdata.labelling.measuring import Measured, mask_overlaps, measure
from regdata.labelling.rules import Nuclei, label_masked
from regdata.slides import Slide


@dataclass(frozen=True)
class MaskedImage:
    """An H&E image and its masks by marker.

    Attributes
    ----------
    step
        Level-0 H&E pixels per pixel at which nuclei are rasterised.
    rings
        Per marker that is read in the ring around nuclei its width in H&E pixels.
    """

    he: Slide
    masks: Mapping[str, Mask]
    step: float
    rings: Mapping[str, float]


def measure_masks(
    nuclei: Path, open_image: Callable[[int], MaskedImage], count: int, run: RunDirectory
) -> StageResult[Measured]:
    """Per nucleus its overlap with each mask, and the share coloured like red blood cells.

    Parameters
    ----------
    open_image
        The image of a number below `count`.
    """

    def make(path: Path) -> None:
        parts = []
        with bar("measure") as progress:
            for number, cells in iterate_images(nuclei):

                def done(share: float, number: int = number) -> None:
                    progress((number + share) / count)

                parts.append(_measured(cells, open_image(number), done))
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        save_measured(path, Measured(joined, {}))

    return run.stage("measure", "measured.npz", make).then(load_measured)


def _measured(
    cells: CellTable, image: MaskedImage, progress: Progress
) -> dict[str, NDArray[np.float32]]:
    """Columns of the nuclei of one image."""
    parts = 1 + len(image.masks)
    nowhere = np.zeros(len(cells))
    measured = measure(
        cells, image.he, {}, image.step, nowhere, progress=lambda share: progress(share / parts)
    )
    columns = dict(measured.columns)
    for part, (name, mask) in enumerate(image.masks.items(), 1):

        def done(share: float, part: int = part) -> None:
            progress((part + share) / parts)

        ring = image.rings.get(name)
        columns[f"overlap_{name}"] = mask_overlaps(cells, mask.stained, 1.0, ring, done)
    return columns


def label_masks(
    nuclei: Path, measured: Measured, markers: Sequence[str], mpp: float, options: MaskedOptions
) -> dict[str, Any]:
    """Columns of obs that say what each nucleus is, and why; image by image.

    Parameters
    ----------
    mpp
        µm per level-0 pixel.
    """
    rules = class_rules(options, markers)
    parts, start = [], 0
    for _, cells in iterate_images(nuclei):
        rows = slice(start, start + len(cells))
        own = {name: values[rows] for name, values in measured.columns.items()}
        overlaps = {name: own[f"overlap_{name}"] for name in markers}
        error = np.full(len(cells), np.nan)
        radius = np.sqrt(cells.area_um2 / np.pi)
        placed = Nuclei(cells.xy * mpp, radius, cells.flags, error, Measured(own, {}))
        parts.append(label_masked(placed, overlaps, rules, options.rule))
        start = rows.stop
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def one_sided(counts: Mapping[str, int], what: str) -> list[str]:
    """A warning where training would have nothing to tell apart.

    Parameters
    ----------
    counts
        Cells per label, negative first and unknown last.
    what
        The mask or folder.
    """
    empty = [name for name in list(counts)[:-1] if counts[name] == 0]
    if not empty:
        return []
    return [f"no cell is {' or '.join(empty)}: are the masks of {what} those of its H&E images?"]
