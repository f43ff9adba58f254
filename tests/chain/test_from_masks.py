"""`regdata build --masks`: a slide, masks in its frame, and labels whose truth is known."""

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from simulated import SIDE, SimulatedPair

from regdata.cells.dataset import CellDataset, read_dataset
from regdata.cells.table import CellTable
from regdata.chain import masked, nuclei, output
from regdata.chain.mask_options import MaskOptions
from regdata.chain.pipeline import build
from regdata.chain.relabelling import markers_of
from regdata.commands.cli import main
from regdata.errors import RegdataError
from regdata.exports.source import open_source
from regdata.labelling.rules.mask_labels import transfer
from regdata.labelling.rules.overlap_rule import LabelRule
from regdata.slides.write_tiff import write_ome_tiff
from regdata.studies.demo import is_lymphocyte
from regdata.train.tokens.classifier import train_classifier
from regdata.train.tokens.fitting import FitSettings

Segment = Callable[..., Iterator[CellTable]]


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def lymphocytes(pair: SimulatedPair) -> NDArray[np.bool_]:
    return np.concatenate([[False], is_lymphocyte(pair.tissue)])[pair.tissue.instances]


@pytest.fixture
def mask(pair: SimulatedPair, tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    cv2.imwrite(str(path), lymphocytes(pair).astype(np.uint8))
    return path


@pytest.fixture(autouse=True)
def _perfect(perfect_segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuclei, "slide_cells", perfect_segment)


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn: it is not what is tested, and takes longest."""
    for name in ("look", "write_pictures", "load_build", "write_report"):
        monkeypatch.setattr(output, name, lambda *_, **__: None)


def options(pair: SimulatedPair, mask: Path, **changes: object) -> MaskOptions:
    asked = {"he": pair.he, "masks": mask, "output": mask.parent / "x.h5", "markers": ("CD3",)}
    return MaskOptions.model_validate({**asked, **changes})


def by_transfer(data: CellDataset, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    contours = np.rint(data.cells.vertices - 0.5).astype(np.int32)
    return transfer(contours, data.cells.offsets, mask, LabelRule(legacy=True))[0]


def test_the_labels_are_those_of_the_mask(pair: SimulatedPair, mask: Path) -> None:
    result = run("build", "--he", pair.he, "--masks", mask, "--marker", "CD3",
                 "--class", "lymphocyte=CD3", "-o", mask.parent / "x.h5")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "lymphocyte" in result.stdout
    data = read_dataset(mask.parent / "x.h5")
    truth = is_lymphocyte(pair.tissue)
    label = data.obs["label"].astype(str).to_numpy()
    known = label != "unknown"
    assert known.mean() > 0.9
    assert np.array_equal(label[known] == "lymphocyte", truth[known])
    assert data.obs["label_probability"].isna().all()
    assert not {"registration_error_um", "threshold_CD3"} & set(data.obs)
    assert data.record.masks.ratio == 1
    assert data.record.options["markers"] == ["CD3"]
    shown = {path.name for path in (mask.parent / "qc").iterdir()}
    assert {"x.html", "x_CD3.png", "x_cells.png"} <= shown
    assert (mask.parent / "x.cells.geojson.gz").stat().st_size > 1000


@pytest.mark.usefixtures("unseen")
def test_the_published_rule_is_the_published_code(pair: SimulatedPair, mask: Path) -> None:
    shifted = np.roll(lymphocytes(pair), (7, 5), (0, 1))  # so that overlaps are of every size
    cv2.imwrite(str(mask), shifted.astype(np.uint8) * 255)
    counts = build(options(pair, mask, legacy_overlap=True)).counts
    data = read_dataset(mask.parent / "x.h5")
    assert counts["unknown"] == 0
    assert np.array_equal(data.obs["label"] == "CD3", by_transfer(data, shifted))
    assert data.obs["overlap_CD3"].between(0.01, 0.99).mean() > 0.1


@pytest.mark.usefixtures("unseen")
def test_masks_may_be_coarser(pair: SimulatedPair, mask: Path) -> None:
    coarse = lymphocytes(pair)[2::4, 2::4]
    cv2.imwrite(str(mask), coarse.astype(np.uint8))
    build(options(pair, mask, legacy_overlap=True))
    data = read_dataset(mask.parent / "x.h5")
    assert data.record.masks.ratio == 4
    whole = np.kron(coarse, np.ones((4, 4))) > 0
    assert whole.shape == (SIDE, SIDE)
    assert np.array_equal(data.obs["label"] == "CD3", by_transfer(data, whole))


@pytest.mark.usefixtures("unseen")
def test_several_masks_rules_and_rings(pair: SimulatedPair, mask: Path) -> None:
    stained = lymphocytes(pair)
    ring = cv2.dilate(stained.astype(np.uint8), np.ones((9, 9))).astype(bool) & ~stained
    write_ome_tiff(
        mask.parent / "m.tif", np.stack([stained, ring]).astype(np.uint8), 0.25, ("N", "M")
    )
    asked = options(
        pair,
        mask.parent / "m.tif",
        markers=("N", "M"),
        classes={"both": "N & M", "one": "N & ~M"},
        compartments={"M": "ring"},
        patient="p1",
    )
    counts = build(asked).counts
    data = read_dataset(asked.output)
    assert list(counts) == ["negative", "both", "one", "unknown"]
    assert counts["both"] > 0.8 * is_lymphocyte(pair.tissue).sum()
    assert data.obs.loc[data.obs["label"] == "both", "overlap_M"].min() > 0.15
    assert set(data.obs["patient"]) == {"p1"}


@pytest.mark.usefixtures("unseen")
def test_a_rerun_redoes_only_what_changed(
    pair: SimulatedPair, mask: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(masked, "mask_overlaps", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(options(pair, mask))
    assert not (mask.parent / "x.h5").exists()
    assert set(build(options(pair, mask)).kept) == {"mask CD3", "cells"}
    again = build(options(pair, mask))
    assert set(again.kept) == {"mask CD3", "cells", "measure", "label"}
    assert again.counts["CD3"] > 20
    with pytest.raises(RegdataError, match="pass `overwrite=True`"):
        build(options(pair, mask, overlap=0.5))
    other = build(options(pair, mask, overlap=0.5, overwrite=True))
    assert set(other.kept) == {"mask CD3", "cells", "measure"}


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("unseen")
def test_others_read_the_file(pair: SimulatedPair, mask: Path) -> None:
    output = build(options(pair, mask)).output
    report = train_classifier([output], mask.parent / "c.pt", FitSettings(epochs=1))
    assert report.classes == ("negative", "CD3")
    assert open_source(output, keep_unknown=True).counts["CD3"] > 20
    with pytest.raises(RegdataError, match="holds no intensities"):
        markers_of(output)


def test_an_empty_mask_is_warned_of(pair: SimulatedPair, mask: Path) -> None:
    cv2.imwrite(str(mask), np.zeros((SIDE, SIDE), np.uint8))
    warnings = build(options(pair, mask)).warnings
    assert warnings[0] in (mask.parent / "qc" / "x.html").read_text(encoding="utf-8")
    assert warnings[0] == "no pixel of the mask CD3 is stained"
    assert "no cell is CD3" in warnings[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--masks", "MASK"), "Missing option '--marker'"),
        (("--masks", "MASK", "--marker", "CD3", "--if", "x"), "got --if and --masks"),
        (("--marker", "CD3"), "got none"),
        (("--masks", "MASK", "--marker", "CD3", "--threshold", "otsu"), "--threshold does not go"),
        (("--masks", "MASK", "--marker", "CD3", "--certain", "0.9"), "--certain does not go"),
        (("--masks", "MASK", "--marker", "CD3", "--antigen", "x"), "--antigen does not go"),
        (("--masks", "MASK", "--marker", "CD3", "--overlap", "2"), "--overlap"),
    ],
)
def test_wrong_usage_exits_with_2(
    pair: SimulatedPair, mask: Path, words: tuple[str, ...], told: str
) -> None:
    given = [mask if word == "MASK" else word for word in words]
    result = run("build", "--he", pair.he, *given, "-o", mask.parent / "x.h5")
    assert result.exit_code == 2
    assert told in result.output


def test_what_is_no_mask_is_refused_before_any_work(pair: SimulatedPair, mask: Path) -> None:
    cases = {
        "he": (mask, mask, "CD3", "swapped"),
        "masks": (pair.he, pair.he, "CD3", "picture in colour"),
        "red": (pair.he, pair.he, "red", "or more values"),
        "size": (pair.he, pair.if_, "CD3", "does not fit"),
        "rule": (pair.he, mask, "CD3", "CD8"),
    }
    for name, (he, masks, marker, told) in cases.items():
        words = ("--class", "T=CD8") if name == "rule" else ("--he-mpp", 0.25)
        output = mask.parent / f"{name}.h5"
        result = run(
            "build", "--he", he, "--masks", masks, "--marker", marker, *words, "-o", output
        )
        assert result.exit_code == 1, name
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1
        assert told in errors[0]
        assert not output.exists()


def test_options_of_intensities_are_refused_in_python_too(pair: SimulatedPair, mask: Path) -> None:
    with pytest.raises(RegdataError, match="`thresholds=` is about intensities"):
        options(pair, mask, thresholds={"CD3": "otsu"})
