import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from regdata.annotated.points import load_points
from regdata.annotated.sets import slide_of
from regdata.errors import RegdataError


@pytest.fixture
def folders(tmp_path):
    images, points = tmp_path / "test" / "images", tmp_path / "test" / "labels"
    images.mkdir(parents=True)
    points.mkdir()
    return images, points


def add(folders, name, text, suffix=".png"):
    cv2.imwrite(str(folders[0] / f"{name}{suffix}"), np.zeros((8, 8, 3), np.uint8))
    if text is not None:
        (folders[1] / f"{name}.csv").write_text(text, encoding="utf-8")


def test_cellvit_folder_with_a_label_map_above(folders):
    add(folders, "b", "1,2.5,1\r\n3,4,0\r\n")
    add(folders, "a", "", ".jpg")
    (folders[0] / "notes.txt").write_text("not an image")
    (folders[0].parents[1] / "label_map.yaml").write_text(
        "# classes\nlabels:\n  0: \"tumour\"\n  '1': 'T cell' # CD3\n  2: plain name\n"
    )
    found = load_points(*folders)
    assert found.classes == ("tumour", "T cell", "plain name")
    assert found.mpp == 0.25
    assert [image.path.name for image in found.images] == ["a.jpg", "b.png"]
    assert found.images[0].points_xy.shape == (0, 2)
    assert found.images[1].points_xy.tolist() == [[1, 2.5], [3, 4]]
    assert found.images[1].labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("1,2,3\n1,2,0\n", ("0", "3")),
        ("1,2,3.0\n1,2,0.0\n", ("0", "3")),
        ("1,2,tumour\n", ("tumour",)),
        ("x,y,cell_type\n1,2,tumour\n", ("tumour",)),
        (",X,Y,label\n0,1,2,tumour\n", ("tumour",)),  # as pandas writes it
        ("\ufeffx,y,label\n1,2,tumour\n\n", ("tumour",)),
    ],
)
def test_ways_to_write_points(folders, text, classes):
    add(folders, "a", text)
    found = load_points(*folders)
    assert found.classes == classes
    assert found.images[0].points_xy[0].tolist() == [1, 2]


def test_one_of_several_class_columns(folders):
    add(folders, "a", "x,y,raw,main\n1,2,lymphocyte,TIL\n")
    assert load_points(*folders, column="main").classes == ("TIL",)
    with pytest.raises(RegdataError, match="found x, y, raw, main"):
        load_points(*folders)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "first is a.png; the folder holds nothing"),
        ("1,2\n", "expected x, y, label"),
        ("1,2,0\n1,nan,0\n", "expected x, y, label"),
        ("x,y\n1,2\n", "one with the class"),
        ("lat,lon,label\n1,2,0\n", "found lat, lon, label"),
        ("1,2,\n", "found an empty one"),
    ],
)
def test_what_cannot_be_read_is_said(folders, text, message):
    add(folders, "a", text)
    with pytest.raises(RegdataError, match=message) as error:
        load_points(*folders)
    assert "\n" not in error.value.message


def test_label_outside_the_map(folders):
    add(folders, "a", "1,2,7\n")
    (folders[1] / "label_map.yaml").write_text('0: "tumour"\n')
    with pytest.raises(RegdataError, match=r"label 7 in .*a\.csv is not in .*\(0: tumour\)"):
        load_points(*folders)
    (folders[1] / "label_map.yaml").write_text("nothing here\n")
    with pytest.raises(RegdataError, match="expected lines such as"):
        load_points(*folders)


def test_missing_or_wrong_folders(tmp_path, folders):
    with pytest.raises(RegdataError, match=r"expected images .* found nothing"):
        load_points(*folders)
    with pytest.raises(RegdataError, match="does not exist"):
        load_points(tmp_path / "nowhere", folders[1])
    add(folders, "a", "1,2,0\n")
    with pytest.raises(RegdataError, match="is a file"):
        load_points(folders[0], folders[1] / "a.csv")
    (folders[1] / "a.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(RegdataError, match="expected a text file"):
        load_points(*folders)


@pytest.mark.parametrize(
    ("stem", "slide"),
    [("TCGA-A1-A0SP-DX1_id-5e_left-7", "TCGA-A1-A0SP-DX1"), ("train_5", "train_5")],
)
def test_slide_of(stem, slide):
    assert slide_of(stem) == slide


@pytest.mark.skipif("REGDATA_DATA" not in os.environ, reason="REGDATA_DATA is not set")
def test_real_folder():
    root = Path(os.environ["REGDATA_DATA"]) / "nucls_example"
    found = load_points(root / "test" / "images", root / "test" / "labels")
    assert found.classes == ("tumor_any", "nonTIL_stromal", "sTIL", "other_nucleus")
    assert [len(image.labels) for image in found.images] == [22, 54, 47, 25, 38]
    counts = np.bincount(np.concatenate([image.labels for image in found.images]))
    assert counts.tolist() == [48, 45, 73, 20]
    assert all((image.points_xy < 256).all() for image in found.images)
