"""Restained sections of known truth under stated conditions, for the benchmark of labels.

A section is an H&E picture with nuclei of known class: simulated tissue, or the fourteen CoNSeP
test images side by side, which the built-in network was never trained on. A condition says how it
is restained and how far the map that is used is off.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data import data_folder, load_annotated
from known_warp import slide_of
from numpy.typing import NDArray

from regdata.cells.dataset import read_dataset, write_dataset
from regdata.cells.record import Record
from regdata.cells.table import CellTable
from regdata.cellvit.networks.weights import load_model
from regdata.cellvit.tiles.whole_slide import segment
from regdata.simulate.restaining import Restained, restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import render_tissue
from regdata.simulate.warp import elastic
from regdata.slides.slide import Slide
from regdata.slides.tissue import he_tissue
from regdata.studies.demo import centroids, is_lymphocyte
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform

MPP = 0.25
SIDE, COLUMNS = 4096, 0  # px of simulated tissue; images in a row, 0: as many as were asked for
MARKER, AUTOFLUORESCENCE = "CD3", "AF"
_INFLAMMATORY = 2


@dataclass(frozen=True)
class Section:
    """An H&E picture and what is known of it.

    Attributes
    ----------
    positive
        (N,) whether nucleus i + 1 carries the marker.
    xy
        (N, 2) centroids, pixels.
    """

    name: str
    rgb: NDArray[np.uint8]
    instances: NDArray[np.int32]
    positive: NDArray[np.bool_]
    xy: NDArray[np.float64]

    @property
    def he(self) -> Slide:
        """The H&E slide."""
        return slide_of(self.rgb.transpose(2, 0, 1), MPP, ("red", "green", "blue"))


@dataclass(frozen=True)
class Condition:
    """How a section is restained.

    Attributes
    ----------
    misregistration_um
        Root mean square of the error of the map that is used.
    af_channel
        Whether the autofluorescence channel is used.
    """

    name: str
    settings: RestainSettings
    misregistration_um: float = 0.0
    af_channel: bool = False


_PLAIN = {"elastic_um": 0.0, "dropout": 0.0, "lost": 0.0, "marker": MARKER}
_EXACT = RestainSettings(**_PLAIN)
CONDITIONS = (
    Condition("clean, registration exact", _EXACT),
    Condition(
        "autofluorescence gradient 3x, exposure drift 2x",
        RestainSettings(
            **_PLAIN, autofluorescence_gradient=3.0, drift=2.0, autofluorescence_channel=True
        ),
        af_channel=True,
    ),
    Condition("residual misregistration 2 µm rms", _EXACT, misregistration_um=2.0),
    Condition(
        "10 % of nuclei lost, folded and blurred tiles",
        RestainSettings(**{**_PLAIN, "lost": 0.1}, folds=3, blurred=0.1),
    ),
)


@dataclass(frozen=True)
class Restaining:
    """The IF slide of a section, and the map it is seen through."""

    if_: Slide
    he_to_if: Transform
    restained: Restained


def simulated(seed: int = 21) -> Section:
    """Simulated tissue; lymphocytes carry the marker."""
    tissue = render_tissue((SIDE, SIDE), seed)
    name = f"simulated {seed}"
    xy = centroids(tissue.instances)
    return Section(name, tissue.rgb, tissue.instances, is_lymphocyte(tissue), xy)


def consep(split: str = "test", columns: int = 7) -> Section:
    """CoNSeP images side by side; inflammatory nuclei carry the marker."""
    images = load_annotated(data_folder() / "consep" / split)
    columns = COLUMNS or columns
    images = images[: len(images) // columns * columns]
    rows, numbers, kinds, count = [], [], [], 0
    for start in range(0, len(images), columns):
        row = images[start : start + columns]
        rows.append(np.hstack([image.rgb for image in row]))
        parts = []
        for image in row:
            parts.append(np.where(image.instances > 0, image.instances + count, 0))
            kinds.append(image.kinds)
            count += len(image.kinds)
        numbers.append(np.hstack(parts))
    rgb, instances = np.vstack(rows), np.vstack(numbers).astype(np.int32)
    positive = np.concatenate(kinds) == _INFLAMMATORY
    return Section(f"CoNSeP {split}", rgb, instances, positive, centroids(instances))


def detected(section: Section, folder: Path) -> CellTable:
    """The nuclei that the built-in network finds, kept in `folder`."""
    path = folder / f"{section.name.replace(' ', '_')}_{section.rgb.shape[0]}.h5"
    if not path.exists():
        model = load_model()
        with write_dataset(path, model.config.token_width) as out:
            for cells in segment(section.he, model, he_tissue(section.he)):
                out.append(cells, {"slide": section.name, "patient": section.name})
            out.finish(model.config.classes, Record(model=model.describe()))
    return read_dataset(path).cells


def restaining(section: Section, condition: Condition, seed: int) -> Restaining:
    """Restain a section; the map that is used is off by the condition's error."""
    restained = restain(section.rgb, section.instances, section.positive, condition.settings, seed)
    if_ = slide_of(restained.image, restained.mpp, restained.channels)
    probe = np.array([[0.0, 0], [100, 0], [0, 100]])
    at = restained.he_to_if.points(probe)
    linear = np.stack([at[1] - at[0], at[2] - at[0]], 1) / 100
    matrix = np.block([[linear, at[:1].T], [np.zeros((1, 2)), np.ones((1, 1))]])
    he_to_if = Transform.affine(matrix)
    if condition.misregistration_um:
        wrong = error_field(section, condition.misregistration_um, seed)
        he_to_if = Transform.displaced(wrong).then(he_to_if)
    return Restaining(if_, he_to_if, restained)


def error_field(section: Section, rms_um: float, seed: int) -> Displacement:
    """A smooth displacement of the H&E, waves of 300 µm."""
    field_ = elastic(np.eye(3), rms_um, 300.0, np.random.default_rng(seed + 7))
    spacing = 16.0
    h, w = (int(side * MPP / spacing) + 3 for side in section.instances.shape)
    nodes = np.stack(np.meshgrid(np.arange(w) * spacing, np.arange(h) * spacing), -1)
    return Displacement.through(field_.displacement(nodes).transpose(2, 0, 1), np.zeros(2), spacing)
