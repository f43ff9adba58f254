"""A file that an earlier version built is labelled again and exported."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from regdata.cells.dataset import read_dataset, read_record
from regdata.chain.relabelling import options_of, relabel
from regdata.errors import RegdataError
from regdata.exports.run import ExportOptions, export_cells

OLD = Path(__file__).parents[1] / "data" / "schema1.h5"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(OLD, tmp_path / "old.h5"))


def test_the_same_options_give_the_same_labels(old: Path) -> None:
    before = read_dataset(old)
    counts = relabel(old, options_of(old))
    after = read_dataset(old)
    assert sum(counts.values()) == len(before.cells) == 59
    assert counts["CD3"] > 20
    assert (before.obs["label"] == after.obs["label"]).all()
    assert np.array_equal(before.cells.tokens, after.cells.tokens)
    with h5py.File(old) as file:  # what is written is written as today
        assert int(file["uns/regdata/schema"][()]) == 2
    assert read_record(old).he == before.record.he


def test_other_options_change_labels(old: Path) -> None:
    before = (read_dataset(old).obs["label"] == "CD3").sum()
    asked = options_of(old).model_copy(update={"thresholds": {"CD3": "fixed:1e9"}})
    counts = relabel(old, asked, old.with_name("new.h5"))
    assert counts["CD3"] < before
    assert read_record(old.with_name("new.h5")).options["thresholds"] == {"CD3": "fixed:1e9"}


def test_shares_between_its_steps_are_refused(old: Path) -> None:
    before = old.read_bytes()
    with pytest.raises(RegdataError, match=r"`overlap=0\.12`; run `regdata build` again"):
        relabel(old, options_of(old).model_copy(update={"overlap": 0.12}))
    assert old.read_bytes() == before
    relabel(old, options_of(old).model_copy(update={"overlap": 0.1}))
    assert read_record(old).rules.overlap == 0.1


@pytest.mark.parametrize(("form", "name"), [("geojson", "x.geojson"), ("parquet", "x.parquet")])
def test_it_is_exported(old: Path, form: str, name: str) -> None:
    summary = export_cells(ExportOptions(file=old, output=old.with_name(name), format=form))
    assert sum(summary.counts.values()) == 59
    assert old.with_name(name).stat().st_size > 1000
