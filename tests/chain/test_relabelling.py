import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from simulated import SimulatedPair

from regdata.cells.dataset import read_dataset
from regdata.cells.table import CellTable
from regdata.chain import from_if, nuclei
from regdata.chain import relabelling as module
from regdata.chain.options import BuildOptions, LabelOptions
from regdata.chain.pipeline import build
from regdata.chain.relabelling import markers_of, options_of, relabel
from regdata.commands.cli import main
from regdata.errors import RegdataError
from regdata.files.rundir import StageResult
from regdata.registration.quality.verdicts import Verdict
from regdata.transforms.transform import Transform

Build = Callable[..., Path]


class Registered:
    """The true map of the simulated pair, as far as an affine one goes."""

    verdict = Verdict(
        status="accept",
        reasons=(),
        accepted=1.0,
        median_um=0.3,
        p90_um=0.5,
        min_jacobian=0.9,
        folds=0,
        tiles=1,
    )

    def __init__(self, pair: SimulatedPair) -> None:
        um = np.column_stack([pair.truth.xy * 0.25, np.ones(len(pair.truth.xy))])
        matrix = np.linalg.lstsq(um, pair.truth.in_if_um, rcond=None)[0].T
        he_to_if = Transform.affine(np.vstack([matrix, [0, 0, 1]]))
        self.registration = SimpleNamespace(he_to_if=he_to_if, correlation=0.9, numbers={})
        self.quality = self

    def error_at(self, um: np.ndarray) -> np.ndarray:
        # unlike any number of 32 bits, and unknown in places
        error = 0.1 + 3.4 * (um[:, 0] / 256) ** 3
        return np.where(um[:, 1] < 12, np.nan, error)


@pytest.fixture(scope="module")
def fresh(
    pair: SimulatedPair,
    perfect_segment: Callable[..., Iterator[CellTable]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Build]:
    """Builds with any options; stages that they do not touch are taken from the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nuclei, "slide_cells", perfect_segment)
        registered = StageResult("register", Registered(pair), kept=True)
        patch.setattr(from_if, "register_slides", lambda *_: registered)
        patch.setattr(from_if, "draw_registration", lambda *_: None)
        patch.setattr(from_if, "show", lambda *_: None)

        patch.setattr(from_if, "load_model", cache(from_if.load_model))
        made: dict[str, Path] = {}

        def make(**changes: Any) -> Path:
            name = str(changes)
            if name not in made:
                output = tmp_path_factory.mktemp("fresh") / "x.h5"
                if made:
                    shutil.copytree(made["{}"].with_suffix(".run"), output.with_suffix(".run"))
                asked = {"he": pair.he, "if_": pair.if_, "output": output, "markers": ("CD3",)}
                build(BuildOptions.model_validate(asked | changes))
                made[name] = output
            return made[name]

        make()
        yield make


@pytest.fixture
def built(fresh: Build, tmp_path: Path) -> Path:
    """A build of the default options, with its run directory."""
    path = tmp_path / "x.h5"
    made = fresh()
    shutil.copyfile(made, path)
    shutil.copytree(made.with_suffix(".run"), path.with_suffix(".run"))
    return path


def same(one: Path, other: Path) -> None:
    """Both files say the same of every cell, and of how it was labelled."""
    left, right = read_dataset(one), read_dataset(other)
    pd.testing.assert_frame_equal(left.obs, right.obs, check_like=True)
    assert left.classes == right.classes
    for name, threshold in left.record.thresholds.items():
        for key, value in vars(threshold).items():
            assert np.array_equal(value, getattr(right.record.thresholds[name], key)), key
    asked = [dataset.record.options for dataset in (left, right)]
    assert {k: v for k, v in asked[0].items() if k != "output"} == {
        k: v for k, v in asked[1].items() if k != "output"
    }
    assert np.array_equal(left.cells.tokens, right.cells.tokens)
    assert np.array_equal(left.cells.vertices, right.cells.vertices)


def counts_of(path: Path) -> dict[str, int]:
    return read_dataset(path).obs["label"].astype(str).value_counts().to_dict()


def filled(counts: dict[str, int]) -> dict[str, int]:
    """Without labels that no nucleus has."""
    return {name: count for name, count in counts.items() if count}


def test_the_same_options_give_the_same_labels(built: Path, fresh: Build) -> None:
    before = counts_of(built)
    assert min(before.get(name, 0) for name in ("negative", "CD3", "unknown")) > 10
    assert markers_of(built) == ("CD3",)
    counts = relabel(built, options_of(built))
    assert counts == before
    same(built, fresh())


CHANGES: list[dict[str, Any]] = [
    {"thresholds": {"CD3": "fixed:3000"}, "certain": 0.95},
    {"thresholds": {"CD3": "local:50"}, "compartments": {"CD3": "ring"}},
    {"overlap": 0.93},
    {"overlap": 0.12, "certain": 0.95},
    {"thresholds": {"CD3": "fixed:2987.654"}, "overlap": 0.937, "ambiguous": 0.123},
    {"overlap": 0.5, "ambiguous": 0.2, "classes": {"stained": "CD3", "bare": "~CD3"}},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_other_options_give_what_a_build_with_them_gives(
    built: Path, fresh: Build, change: dict[str, Any], tmp_path: Path
) -> None:
    before = built.read_bytes()
    output = tmp_path / "new" / "y.h5"
    wanted = LabelOptions.model_validate({**options_of(built).model_dump(), **change})
    counts = relabel(built, wanted, output)
    assert built.read_bytes() == before
    same(output, fresh(**change))
    assert filled(counts) == counts_of(output)
    assert counts_of(output) != counts_of(built)
    assert options_of(output) == wanted
    assert anndata.read_h5ad(output).n_obs == sum(counts.values())


@pytest.mark.parametrize("part", ["nucleus", "ring"])
def test_shares_are_those_counted_in_the_pixels_of_a_mask(fresh: Build, part: str) -> None:
    """The published rule counts in the mask itself, which is another way to the same shares."""
    asked = {"thresholds": {"CD3": "fixed:2987.654"}, "compartments": {"CD3": part}}
    share = read_dataset(fresh(**asked)).obs["overlap_CD3"].to_numpy()
    counted = read_dataset(fresh(**asked, legacy_overlap=True)).obs["overlap_CD3"].to_numpy()
    assert share.tolist() == counted.tolist()
    assert len(np.unique(share)) > 20


def test_there_and_back_again(built: Path, fresh: Build) -> None:
    asked = options_of(built)
    for change in CHANGES[:2]:
        relabel(built, LabelOptions.model_validate({**asked.model_dump(), **change}))
    relabel(built, asked)
    same(built, fresh())


def test_the_published_rule_needs_the_pixels(built: Path, fresh: Build) -> None:
    legacy = LabelOptions(legacy_overlap=True)
    with pytest.raises(RegdataError, match=r"`legacy_overlap=True` overlaps are counted .* build"):
        relabel(built, legacy)
    counted = Path(shutil.copyfile(fresh(legacy_overlap=True), built.with_name("counted.h5")))
    # with the thresholds it was counted with
    assert filled(relabel(counted, legacy, built.with_name("same.h5"))) == counts_of(counted)
    half = LabelOptions(legacy_overlap=True, compartments={"CD3": "nucleus"})
    relabel(counted, half, built.with_name("named.h5"))
    with pytest.raises(RegdataError, match="needs the images"):
        relabel(counted, LabelOptions(legacy_overlap=True, thresholds={"CD3": "fixed:9"}))
    with pytest.raises(RegdataError, match="needs the images"):
        relabel(counted, LabelOptions(legacy_overlap=True, compartments={"CD3": "ring"}))
    # and back to the rule that needs none
    relabel(counted, LabelOptions(overlap=0.93), built.with_name("back.h5"))
    same(built.with_name("back.h5"), fresh(overlap=0.93))


def test_masks_that_were_shaped_need_the_pixels_too(fresh: Build, tmp_path: Path) -> None:
    shaped = Path(shutil.copyfile(fresh(erode=2), tmp_path / "shaped.h5"))
    labels = counts_of(shaped)
    assert filled(relabel(shaped, options_of(shaped))) == labels
    stricter = LabelOptions(overlap=0.93)
    assert relabel(shaped, stricter)["CD3"] < labels["CD3"]
    same(shaped, fresh(erode=2, overlap=0.93))
    with pytest.raises(RegdataError, match="`erode=`, `min_size_um2=` overlaps are counted"):
        relabel(shaped, LabelOptions(thresholds={"CD3": "fixed:9"}))


@pytest.fixture
def older(built: Path) -> Path:
    """A file of before pixels were kept."""
    with h5py.File(built, "a") as file:
        del file["uns/regdata/pixels"]
    return built


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"overlap": 0.12}, "`overlap=0.12`"),
        ({"overlap": 0.5, "ambiguous": 0.123}, "`ambiguous=0.123`"),
        ({"overlap": 0.03}, "`overlap=0.03`"),
    ],
)
def test_older_files_do_not_tell_other_cut_offs(
    older: Path, change: dict[str, Any], refused: str
) -> None:
    before = older.read_bytes()
    with pytest.raises(RegdataError, match=f"{refused}; run `regdata build` again") as error:
        relabel(older, LabelOptions(**change))
    assert "\n" not in error.value.message
    assert older.read_bytes() == before


@pytest.mark.parametrize("change", [{}, *CHANGES[:2], {"overlap": 0.95}], ids=str)
def test_older_files_give_the_same_labels_in_steps_of_a_twentieth(
    older: Path, fresh: Build, change: dict[str, Any]
) -> None:
    relabel(older, LabelOptions.model_validate({**options_of(older).model_dump(), **change}))
    left, right = read_dataset(older).obs, read_dataset(fresh(**change)).obs
    pd.testing.assert_frame_equal(left[["label", "reasons"]], right[["label", "reasons"]])
    share, exact = left["overlap_CD3"].to_numpy(), right["overlap_CD3"].to_numpy()
    assert 0 < np.abs(share - exact).max() <= 0.05 + 1e-6


def test_older_files_with_shaped_masks_hold_shares_to_the_pixel(
    fresh: Build, tmp_path: Path
) -> None:
    older = Path(shutil.copyfile(fresh(erode=2), tmp_path / "older.h5"))
    with h5py.File(older, "a") as file:
        del file["uns/regdata/pixels"]
    relabel(older, LabelOptions(overlap=0.12))
    same(older, fresh(erode=2, overlap=0.12))


@pytest.mark.parametrize("named", [False, True])
def test_a_build_does_not_take_the_file_for_its_own(
    pair: SimulatedPair, built: Path, named: bool
) -> None:
    asked = {"he": pair.he, "if_": pair.if_, "output": built, "markers": ("CD3",)}
    assert "label" in build(BuildOptions.model_validate(asked)).kept
    relabel(built, LabelOptions(overlap=0.5), built if named else None, overwrite=named)
    with pytest.raises(RegdataError, match="pass `overwrite=True`"):
        build(BuildOptions.model_validate(asked))


def test_a_killed_relabel_leaves_the_file_as_it_was(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, note = built.read_bytes(), built.with_suffix(".run") / "output.key"

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        relabel(built, LabelOptions(overlap=0.5))
    assert built.read_bytes() == before
    assert note.exists()
    assert [path.name for path in built.parent.iterdir() if path.is_file()] == ["x.h5"]


def test_relabelling_again_and_again_does_not_make_the_file_grow(built: Path) -> None:
    relabel(built, LabelOptions())
    size = built.stat().st_size
    for _ in range(2):
        relabel(built, LabelOptions())
    assert built.stat().st_size < 1.02 * size


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": {"CD8": "otsu"}}, "`thresholds=CD8`: no such marker"),
        ({"compartments": {"CD8": "ring"}}, "`compartments=CD8`: no such marker"),
        ({"thresholds": {"CD3": "otzu"}}, "did you mean otsu"),
        ({"classes": {"T": "CD8"}}, "CD8"),
        ({"classes": {"T": "CD3 &"}}, "T"),
        ({"classes": {"A": "B", "B": "A"}}, "A"),
    ],
)
def test_options_that_cannot_be(built: Path, options: dict[str, Any], message: str) -> None:
    before = built.read_bytes()
    with pytest.raises(RegdataError, match=message) as error:
        relabel(built, LabelOptions(**options))
    assert "\n" not in error.value.message
    assert built.read_bytes() == before


def test_outputs_that_are_there(built: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    other.write_text("mine")
    with pytest.raises(RegdataError, match=r"other\.h5 exists; pass `overwrite=True`"):
        relabel(built, LabelOptions(), other)
    relabel(built, LabelOptions(), other, overwrite=True)
    assert counts_of(other) == counts_of(built)
    with pytest.raises(RegdataError, match="is a folder"):
        relabel(built, LabelOptions(), tmp_path, overwrite=True)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["relabel", *map(str, words)])


def test_files_that_cannot_be_labelled_again(built: Path, tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no HDF5")
    older = tmp_path / "older.h5"
    shutil.copyfile(built, older)
    with h5py.File(older, "a") as file:
        del file["uns/regdata/channels"]
    for path, message in (
        (tmp_path / "none.h5", "no such file"),
        (tmp_path / "text.h5", "no HDF5"),
        (older, "holds no intensities to label from"),
    ):
        result = run(path)
        assert result.exit_code == 1
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_the_command(built: Path, tmp_path: Path, fresh: Build) -> None:
    output = tmp_path / "y.h5"
    result = run(built, "--threshold", "CD3=otsu", "--overlap", "0.5", "-o", output)
    assert result.exit_code == 0, result.output
    counts = counts_of(output)
    assert f"{output}: {counts['negative']} negative, {counts['CD3']} CD3" in result.output
    assert options_of(output) == LabelOptions(thresholds={"CD3": "otsu"}, overlap=0.5)
    # what is not given stays as it was
    assert run(output, "--certain", "0.9").exit_code == 0
    assert options_of(output) == LabelOptions(thresholds={"CD3": "otsu"}, overlap=0.5, certain=0.9)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--overlap", "1.5"], 2, "--overlap"),
        (["--overlap", "-0.1"], 2, "--overlap"),
        (["--certain", "0.2"], 2, "--certain"),
        (["--ambiguous", "0.5"], 1, "above the overlap of 0.15"),
        (["--threshold", "CD8=otsu"], 1, "CD8 is none of the markers"),
        (["--class", "unknown=CD3"], 1, "the name unknown is taken"),
        (["--class", "a=b", "--class", "b=a"], 1, "a"),
        (["--compartment", "membrane"], 1, "nucleus or ring"),
    ],
)
def test_words_that_cannot_be(built: Path, words: list[str], code: int, message: str) -> None:
    result = run(built, *words)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert "Traceback" not in result.output
