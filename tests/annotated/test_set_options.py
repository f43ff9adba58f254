from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from regdata.annotated.registry import SetOptions, load_set, parse_mapping
from regdata.errors import RegdataError
from regdata.eval.metrics.label_truth import agreement


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    for name in ("images", "points"):
        (tmp_path / name).mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    (tmp_path / "points" / "a.csv").write_text("x,y,class\n3,4,T\n10,11,B\n")
    return tmp_path


def test_points(fields: Path) -> None:
    found = load_set(SetOptions(images=fields / "images", points=fields / "points", mpp=0.5))
    assert found.mpp == 0.5
    assert set(found.classes) == {"T", "B"}
    assert found.images[0].points_xy.tolist() == [[3, 4], [10, 11]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "got none"),
        ({"points": Path("p"), "nucls": Path("n")}, "got `points=` and `nucls=`"),
        ({"points": Path("p")}, "`points=` needs `images=`"),
        ({"geojson": Path("g")}, "`geojson=` needs `images=`"),
        ({"nucls": Path("nowhere")}, "nowhere"),
    ],
)
def test_what_is_asked_for_must_be_one_set(options: dict[str, Path], message: str) -> None:
    with pytest.raises(RegdataError, match=message):
        load_set(SetOptions(**options))  # type: ignore[arg-type]


def test_mapping() -> None:
    assert parse_mapping(["CD3 = T, B", "x=*"]) == {"CD3": "T, B", "x": "*"}
    for wrong in ("CD3", "=T", "CD3="):
        with pytest.raises(RegdataError, match="expected CLASSIFIER_CLASS=SET_CLASS"):
            parse_mapping([wrong])


def test_agreement_by_hand() -> None:
    truth = np.array([[0.0, 0], [10, 0], [20, 0], [30, 0]])
    found = np.array([[0.5, 0], [10.5, 0], [20.5, 0], [90, 0]])
    label = np.array([True, True, False, True])
    positive = np.array([True, False, True, True])
    judged = agreement(found, label, truth, positive, 2.0)
    assert judged.matched == 3
    assert judged.detected == pytest.approx(6 / 8)
    assert judged.precision == 0.5  # of the two labelled nuclei that match
    assert judged.recall == 0.5  # of the two positive ones that match


def test_agreement_of_nothing() -> None:
    nothing = np.zeros((0, 2))
    judged = agreement(nothing, np.zeros(0, bool), nothing, np.zeros(0, bool), 2.0)
    assert (judged.matched, judged.precision, judged.recall, judged.detected) == (0, 0, 0, 0)
