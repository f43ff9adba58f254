from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluated import CLASSES, evaluation

from regdata.eval.metrics import matched_image
from regdata.eval.metrics.matched_image import cells_table, write_cells


def test_the_kept_cells_add_up_to_the_scores(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    total = sum(image.counts().confusion for image in made.images)
    np.testing.assert_array_equal(total, made.scores.confusion)


def test_the_table_says_what_became_of_every_cell(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    table = cells_table(made.images, CLASSES)
    counts = table["outcome"].value_counts()
    matrix = made.scores.confusion
    assert counts["missed"] == matrix[:-1, -1].sum()
    assert counts["false positive"] == matrix[-1].sum()
    assert counts["right"] == np.trace(matrix[:-1, :-1])
    assert counts["confused"] == matrix[:-1, :-1].sum() - np.trace(matrix[:-1, :-1])
    assert counts["not scored"] == 3  # on the nucleus of each image that nobody could name
    missed = table[table["outcome"] == "missed"]
    assert (missed["predicted"] == "none").all()
    assert missed["probability_negative"].isna().all()
    paired = table["outcome"].isin(["right", "confused"])
    assert table.loc[paired, "distance_um"].between(0, 3.75).all()
    assert table.loc[~paired, "distance_um"].isna().all()
    of = table[(table["predicted"] == "lymphocyte") & (table["annotated"] == "negative")]
    assert len(of) == matrix[0, 1]


def test_cells_are_written_as_parquet_or_else_as_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    table = cells_table(evaluation(tmp_path).images, CLASSES)
    path = write_cells(tmp_path, table)
    assert path.name == "cells.parquet"
    pd.testing.assert_frame_equal(pd.read_parquet(path), table, check_dtype=False)
    monkeypatch.setattr(matched_image, "find_spec", lambda _: None)
    path = write_cells(tmp_path, table)
    assert path.name == "cells.csv.gz"
    assert len(pd.read_csv(path)) == len(table)
