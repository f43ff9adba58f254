import json
import os
from pathlib import Path

import numpy as np
import pytest
import set_files
from set_files import TCGA, A, B

from regdata.annotated.midog import load_midog
from regdata.annotated.ocelot import load_ocelot
from regdata.annotated.panoptils import RAW, SUPER, load_panoptils
from regdata.annotated.points import load_cellvit
from regdata.annotated.segpath import load_segpath
from regdata.annotated.sets import leaks
from regdata.errors import RegdataError

PATIENTS = ["TCGA-A1-A0SP", "TCGA-E2-A158"]


def test_ocelot(tmp_path: Path) -> None:
    found = load_ocelot(set_files.write_ocelot(tmp_path))
    assert found.classes == ("BC", "TC")
    one, two = found.images
    assert one.points_xy.tolist() == [[3.5, 1.5], [8.5, 5.5]]  # centres of the pixels named
    assert one.labels.tolist() == [0, 1]
    assert two.points_xy.shape == (0, 2)  # an empty file is an image without cells
    assert [found.mpp_of(image) for image in found.images] == pytest.approx([0.2, 0.21])
    assert [(i.split, i.slide, i.patient, i.tissue) for i in found.images] == [
        ("train", TCGA[0], PATIENTS[0], "kidney"),
        ("val", TCGA[1], PATIENTS[1], "prostate"),
    ]
    assert load_ocelot(tmp_path, split="train").images[0].name == "001"
    assert one.opened().mpp == 0.2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("x,y,class\n1,2,1\n", "without a header"),
        ("1,2\n", "expected lines x,y,class in"),
        ("1,2,3\n", "expected classes 0 to 2"),
        ("1,2,0\n", "expected classes 1 and 2"),
        ("1,nan,1\n", "expected lines x,y,class in"),
    ],
)
def test_ocelot_with_wrong_lines(tmp_path: Path, rows: str, message: str) -> None:
    set_files.write_ocelot(tmp_path)
    (tmp_path / "annotations" / "train" / "cell" / "001.csv").write_text(rows)
    with pytest.raises(RegdataError, match=message):
        load_ocelot(tmp_path)


def test_ocelot_without_metadata(tmp_path: Path) -> None:
    set_files.write_ocelot(tmp_path)
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"sample_pairs": {"001": {"slide_name": "x"}}}))
    with pytest.raises(RegdataError, match=r"expected slide_name and cell.resized_mpp_x of 001"):
        load_ocelot(tmp_path)
    path.write_text("{}")
    with pytest.raises(RegdataError, match="expected sample_pairs"):
        load_ocelot(tmp_path)
    path.write_text("{")
    with pytest.raises(RegdataError, match="expected JSON"):
        load_ocelot(tmp_path)
    path.unlink()
    with pytest.raises(RegdataError, match=r"metadata.json of OCELOT in .* found annotations/"):
        load_ocelot(tmp_path)


def test_panoptils_masks(tmp_path: Path) -> None:
    found = load_panoptils(set_files.write_panoptils(tmp_path))
    assert (found.mpp, found.classes) == (0.25, SUPER)
    one, two = found.images
    assert one.points_xy.tolist() == [list(A), list(B)]  # the edge beside A is background
    assert one.labels.tolist() == [0, 2]
    assert two.points_xy.tolist() == [list(B)]  # A is ambiguous
    assert two.labels.tolist() == [1]
    assert two.outlines is not None
    ids = two.outlines()
    assert (ids[5, 7], ids.sum()) == (1, 2)
    assert [(i.slide, i.patient) for i in found.images] == list(zip(TCGA, PATIENTS, strict=True))
    kept = load_panoptils(tmp_path, ambiguous="ignore").images[1]
    assert kept.labels.tolist() == [-1, 1]


def test_panoptils_levels_splits_and_tables(tmp_path: Path) -> None:
    set_files.write_panoptils(tmp_path)
    raw = load_panoptils(tmp_path, "raw", split="fold_1_test")
    assert raw.classes == RAW
    assert [(i.slide, i.split) for i in raw.images] == [(TCGA[1], "fold_1_test")]
    assert raw.images[0].labels.tolist() == [RAW.index("ActiveStromalCellNOS")]
    table = load_panoptils(tmp_path, points="csv", ambiguous="ignore").images[0]
    assert table.points_xy.tolist() == [list(A), list(B)]
    assert table.labels.tolist() == [0, -1]
    assert table.outlines is None
    with pytest.raises(RegdataError, match=r"fold_9_test\.csv, but there is no such file"):
        load_panoptils(tmp_path, split="fold_9_test")


def test_panoptils_of_cellvit(tmp_path: Path) -> None:
    found = load_panoptils(set_files.write_panoptils_cellvit(tmp_path))
    assert [image.split for image in found.images] == ["test", "train"]
    one = found.images[0]
    assert one.points_xy.tolist() == [list(A), list(B), [1, 1], [2, 2]]  # as they are written
    assert [SUPER[k] for k in one.labels] == ["Other", "Epithelial", "Stromal", "TILs"]
    with pytest.raises(RegdataError, match="raw classes need the original layout"):
        load_panoptils(tmp_path, "raw")


def test_panoptils_that_is_not_one_set(tmp_path: Path) -> None:
    for name in ("BootstrapNucleiManualRegions_TCGA", "ManualNucleiManualRegions"):
        set_files.write_panoptils(tmp_path / name)
    with pytest.raises(RegdataError, match="has several sets; name one"):
        load_panoptils(tmp_path)
    path = next((tmp_path / "ManualNucleiManualRegions").rglob("csv")) / (
        f"{set_files.panoptils_name(TCGA[0])}.csv"
    )
    path.write_text("group,xmin,ymin,xmax,ymax\nzebra,1,2,3,4\n")
    with pytest.raises(RegdataError, match=r"expected a class of PanopTILs in .*, found zebra"):
        load_panoptils(tmp_path / "ManualNucleiManualRegions", points="csv")
    path.write_text("group,x,y\nOtherCell,1,2\n")
    with pytest.raises(RegdataError, match=r"expected xmin, ymin, xmax, ymax .* found group, x, y"):
        load_panoptils(tmp_path / "ManualNucleiManualRegions", points="csv")


def test_midog(tmp_path: Path) -> None:
    found = load_midog(set_files.write_midog(tmp_path), mpp=0.26)
    assert found.classes == ("mitotic figure", "not mitotic figure")
    one, two = found.images  # the third image was not annotated
    assert one.points_xy.tolist() == [[35, 45], [55, 55]]
    assert one.labels.tolist() == [0, 1]
    assert two.points_xy.shape == (0, 2)  # annotated, and nothing was found in it
    assert [found.mpp_of(image) for image in found.images] == pytest.approx([0.23, 0.26])
    assert [(i.name, i.split, i.tissue) for i in found.images] == [
        ("001", "train", "canine lymphoma"),
        ("002", "test", "canine lymphoma"),
    ]
    assert one.opened().size == (10, 8)


def test_midog_without_its_table(tmp_path: Path) -> None:
    found = load_midog(set_files.write_midog(tmp_path, table=False))
    assert [image.name for image in found.images] == ["001"]
    (tmp_path / "images" / "001.tiff").unlink()
    with pytest.raises(RegdataError, match=r"expected .*001\.tiff of MIDOGpp\.json, there is none"):
        load_midog(tmp_path)


def test_midog_with_boxes_of_coco(tmp_path: Path) -> None:
    with pytest.raises(RegdataError, match=r"x1, y1, x2, y2 .* found \[100.0, 200.0, 50.0, 50.0\]"):
        load_midog(set_files.write_midog(tmp_path, boxes=((100, 200, 50, 50),)))
    set_files.text(tmp_path / "other.json", "{}")
    with pytest.raises(RegdataError, match=r"one JSON of MIDOG\+\+ \(there are 2\)"):
        load_midog(tmp_path)


def test_segpath_has_splits_but_no_nuclei(tmp_path: Path) -> None:
    found = load_segpath(set_files.write_segpath(tmp_path))
    assert found.classes == ("Lymphocyte",)
    assert [len(image.labels) for image in found.images] == [0, 0]
    assert leaks(found) == {"388": ("train", "val")}
    assert leaks(load_segpath(tmp_path, split="val")) == {}


def test_cellvit_folders(tmp_path: Path) -> None:
    set_files.text(tmp_path / "test" / "labels" / "._test_1.csv", "")
    set_files.text(tmp_path / "test" / "images" / "._test_1.png", "")
    found = load_cellvit(set_files.write_cellvit(tmp_path), mpp=0.5)
    assert (found.mpp, found.classes) == (0.5, ("tumour", "lymphocyte"))
    assert [(i.split, i.points_xy.tolist(), i.labels.tolist()) for i in found.images] == [
        ("test", [[8, 5]], [0]),
        ("train", [[3, 2]], [1]),
    ]
    (tmp_path / "label_map.yaml").unlink()  # each part then knows its own labels only
    found = load_cellvit(tmp_path)
    assert [found.classes[i.labels[0]] for i in found.images] == ["0", "1"]
    assert load_cellvit(tmp_path / "test").images[0].split == ""
    set_files.text(tmp_path / "test" / "labels" / "zebra.csv", "")
    with pytest.raises(RegdataError, match=r"1 NAME\.csv without an image, the first is zebra"):
        load_cellvit(tmp_path)


@pytest.mark.skipif("REGDATA_DATA" not in os.environ, reason="REGDATA_DATA is not set")
def test_real_cellvit_folders() -> None:
    found = load_cellvit(Path(os.environ["REGDATA_DATA"]) / "nucls_example")
    counts = np.bincount(np.concatenate([image.labels for image in found.images]))
    assert counts.tolist() == [89, 95, 323, 77]
    assert [i.split for i in found.images].count("test") == 5
