import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from regdata.annotated.nucls import class_names, load_nucls
from regdata.errors import RegdataError

HEADER = (
    ",raw_classification,main_classification,super_classification,type,"
    "xmin,ymin,xmax,ymax,coords_x,coords_y\n"
)
SLIDES = ("TCGA-A1-A0SP-DX1", "TCGA-E2-A158-DX1")
NUCLEI = [
    ("tumor", 10, 20, 30, 40),
    ("correction_lymphocyte", 50, 60, 61, 71),
    ("apoptotic_body", 70, 70, 80, 80),
    ("unlabeled", 70, 10, 80, 20),
    ("plasma_cell", 92, 10, 98, 20),  # its centre, (95, 15), is outside a field up to 90
]


def stem(slide, left=7053):
    return f"{slide}_id-5ea4095_left-{left}_top-53967_bottom-54231_right-7311"


def write_nucls(
    root, images="rgb", masks=None, fields=False, nuclei=NUCLEI, raw="raw_classification"
):
    """Write the original layout: one image of each slide, 100 x 100 px."""
    (root / images).mkdir(parents=True)
    (root / "csv").mkdir()
    (root / "train_test_splits").mkdir()
    for slide in SLIDES:
        cv2.imwrite(str(root / images / f"{stem(slide)}.png"), np.zeros((100, 100, 3), np.uint8))
        lines = [
            f'{i},{name},,,rectangle,{x0},{y0},{x1},{y1},"{x0},{x1}","{y0},{y1}"\n'
            for i, (name, x0, y0, x1, y1) in enumerate(nuclei)
        ]
        header = HEADER.replace("raw_classification", raw)
        (root / "csv" / f"{stem(slide)}.csv").write_text(header + "".join(lines))
        if masks:
            (root / masks).mkdir(exist_ok=True)
            mask = np.zeros((100, 100, 3), np.uint8)
            mask[5:90, 5:90, 2] = 253  # OpenCV writes BGR: red is the last
            mask[20:40, 10:30] = (1, 1, 1)
            cv2.imwrite(str(root / masks / f"{stem(slide)}.png"), mask)
    if fields:
        rows = [f"{i},{stem(s)},0,0,90,100\n" for i, s in enumerate(SLIDES)]
        (root / "csv" / "ALL_FOV_LOCATIONS.csv").write_text(
            ",fovname,xmin,ymin,xmax,ymax\n" + "".join(rows)
        )
    (root / "train_test_splits" / "fold_1_test.csv").write_text(f",slide_name\n0,{SLIDES[1]}\n")
    return root


@pytest.mark.parametrize("images", ["rgb", "rgbs"])
def test_original_layout(tmp_path, images):
    found = load_nucls(write_nucls(tmp_path, images), ambiguous="ignore")
    assert found.mpp == 0.2
    assert found.classes == ("tumor_any", "nonTIL_stromal", "sTIL", "other_nucleus")
    assert [image.slide for image in found.images] == list(SLIDES)
    one = found.images[0]
    assert one.points_xy.tolist() == [[20, 30], [55.5, 65.5], [75, 75], [75, 15], [95, 15]]
    assert one.labels.tolist() == [0, 2, -1, -1, 2]
    assert one.field is None


@pytest.mark.parametrize(
    ("level", "expected"),
    [("raw", ["tumor", "lymphocyte"]), ("main", ["tumor_nonMitotic", "lymphocyte"])],
)
def test_levels(tmp_path, level, expected):
    found = load_nucls(write_nucls(tmp_path), level)
    assert [found.classes[label] for label in found.images[0].labels[:2]] == expected
    assert len(found.classes) == {"raw": 11, "main": 7}[level]


def test_main_classes_keep_the_order_of_published_heads():
    assert class_names("main") == (
        "tumor_nonMitotic",
        "tumor_mitotic",
        "nonTILnonMQ_stromal",
        "macrophage",
        "lymphocyte",
        "plasma_cell",
        "other_nucleus",
    )


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"fields": True}, (0, 0, 90, 100)),
        ({"masks": "mask"}, (5, 5, 90, 90)),
        ({"masks": "masks"}, (5, 5, 90, 90)),
        ({"masks": "mask", "fields": True}, (0, 0, 90, 100)),
    ],
)
def test_nuclei_outside_the_field_have_no_class(tmp_path, options, field):
    one = load_nucls(write_nucls(tmp_path, **options), ambiguous="ignore").images[0]
    assert one.field == field
    assert one.labels.tolist() == [0, 2, -1, -1, -1]
    assert load_nucls(tmp_path).images[0].labels.tolist() == [0, 2, -1]


def test_split_of_the_set(tmp_path):
    write_nucls(tmp_path)
    assert [i.slide for i in load_nucls(tmp_path, split="fold_1_test").images] == [SLIDES[1]]
    with pytest.raises(RegdataError, match=r"fold_9_test\.csv, but there is no such file"):
        load_nucls(tmp_path, split="fold_9_test")


def test_older_release_names_the_class_group(tmp_path):
    nuclei = [*NUCLEI, ("fov_basic", 0, 0, 90, 90)]
    one = load_nucls(write_nucls(tmp_path, nuclei=nuclei, raw="group")).images[0]
    assert one.labels.tolist() == [0, 2, 2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nuclei": [("zebra", 0, 0, 1, 1)]}, "class zebra"),
        ({"nuclei": [("tumor", "", 0, 1, 1)]}, "expected xmin"),
        ({"raw": "kind"}, "expected a column raw_classification"),
        ({"nuclei": [("tumor", 92, 10, 98, 20)], "fields": True}, "pixels of the images"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, options, message):
    with pytest.raises(RegdataError, match=message) as error:
        load_nucls(write_nucls(tmp_path, **options))
    assert "\n" not in error.value.message


def test_missing_parts(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RegdataError, match=r"folders rgb and csv, .* found nothing"):
        load_nucls(tmp_path / "empty")
    root = write_nucls(tmp_path / "nucls")
    (root / "csv" / f"{stem(SLIDES[0])}.csv").unlink()
    with pytest.raises(RegdataError, match="no such file"):
        load_nucls(root)


@pytest.fixture
def cellvit_layout(tmp_path):
    for part, name in (("train", "lymphocyte"), ("test", "AMBIGUOUS")):
        for folder in ("images", "labels"):
            (tmp_path / part / folder).mkdir(parents=True)
        image = tmp_path / part / "images" / f"{SLIDES[0]}_1.png"
        cv2.imwrite(str(image), np.zeros((8, 8, 3), np.uint8))
        (tmp_path / part / "labels" / f"{SLIDES[0]}_1.csv").write_text(
            "x,y,raw_classification,main_classification,super_classification\n"
            f"1,2,x,{name},sTIL\n3,4,x,plasma_cell,sTIL\n"
        )
    return tmp_path


@pytest.mark.parametrize(
    ("split", "level", "labels"),
    [(None, "super", [2, 2]), (None, "main", [-1, 5]), ("train", "main", [4, 5])],
)
def test_layout_of_cellvit(cellvit_layout, split, level, labels):
    found = load_nucls(cellvit_layout, level, split, ambiguous="ignore")
    assert found.mpp == 0.25
    assert found.classes == class_names(level)
    assert found.images[0].labels.tolist() == labels
    assert found.images[0].slide == SLIDES[0]
    part = load_nucls(cellvit_layout / (split or "test"), level)  # the part itself
    assert part.images[0].split == (split or "test")
    assert part.images[0].labels.tolist() == [k for k in labels if k >= 0]


def test_layout_of_cellvit_at_another_level(cellvit_layout):
    with pytest.raises(RegdataError, match="expected raw classes"):
        load_nucls(cellvit_layout, "raw")


@pytest.mark.skipif("REGDATA_DATA" not in os.environ, reason="REGDATA_DATA is not set")
def test_real_example():
    found = load_nucls(Path(os.environ["REGDATA_DATA"]) / "nucls_example")
    assert found.classes == class_names("super")
    counts = np.bincount(np.concatenate([image.labels for image in found.images]))
    assert counts.tolist() == [48, 45, 73, 20]
