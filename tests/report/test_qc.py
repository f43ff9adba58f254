from pathlib import Path
from typing import Any

import pytest
from cell_tables import table

from regdata.cells.dataset import write_dataset
from regdata.cells.record import Record
from regdata.report.qc import Aligned, busiest, count_labels


def labelled(path: Path, labels: list[str], xy: list[tuple[float, float]]) -> Path:
    cells = table(len(labels))
    cells.xy[:] = xy
    with write_dataset(path, 4) as out:
        out.append(cells, {"label": labels, "slide": "s", "patient": "p"})
        out.finish(("background", "a", "b"), Record(classes=("negative", "CD3")))
    return path


class Frame:
    """The size of an H&E slide; nothing is read."""

    size = (4000, 3000)


@pytest.fixture
def aligned() -> Aligned:
    slide: Any = Frame()
    return Aligned(slide, slide, {}, {}, 1.0)


def test_counts(tmp_path: Path) -> None:
    path = labelled(tmp_path / "x.h5", ["CD3", "unknown", "CD3"], [(0, 0)] * 3)
    names = ["negative", "CD3", "unknown"]
    assert count_labels(path, names) == {"negative": 0, "CD3": 2, "unknown": 1}


def test_the_detail_shows_positives_and_not_what_is_unknown(
    tmp_path: Path, aligned: Aligned
) -> None:
    labels = ["negative"] * 40 + ["CD3"] * 3 + ["unknown"] * 60
    xy = [(500.0, 500.0)] * 40 + [(2500.0, 1500.0)] * 3 + [(3500.0, 2500.0)] * 60
    path = labelled(tmp_path / "x.h5", labels, xy)
    place = busiest(path, ["negative", "CD3"], aligned)
    assert place.side == (1000, 1000)
    assert place.corner in ((0.0, 0.0), (2000.0, 1000.0))
    crowd = labelled(tmp_path / "y.h5", labels + ["negative"] * 3, [*xy, *[(2500.0, 1500.0)] * 3])
    assert busiest(crowd, ["negative", "CD3"], aligned).corner == (2000.0, 1000.0)
