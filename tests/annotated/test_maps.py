import json
from pathlib import Path

import numpy as np
import pytest
import set_files
from set_files import SIZE, TCGA, A, B

from regdata.annotated.coco import decode_runs, load_coco
from regdata.annotated.geojson import load_geojson_folder
from regdata.annotated.maps import centroid_of, draw
from regdata.annotated.monuseg import load_monuseg
from regdata.errors import RegdataError


def test_monuseg(tmp_path: Path) -> None:
    found = load_monuseg(set_files.write_monuseg(tmp_path))
    assert (found.mpp, found.classes) == (0.25, ("nucleus",))
    one, two = found.images
    assert one.points_xy.tolist() == [list(A), [7.5, 5.5], list(B)]
    assert two.points_xy.tolist() == [list(A)]
    assert [(i.slide, i.patient, i.split) for i in found.images] == [
        (TCGA[0], "TCGA-A1-A0SP", "train"),
        (TCGA[1], "TCGA-E2-A158", "train"),
    ]
    assert one.outlines is not None
    ids = one.outlines()
    assert ids.shape == SIZE
    # the first nucleus is there, pixels are those whose centres lie inside, the small one on top
    assert np.argwhere(ids == 1).tolist() == [[r, c] for r in (1, 2) for c in (2, 3, 4)]
    assert np.argwhere(ids == 3).tolist() == [[5, 7], [5, 8]]
    assert (ids == 2).sum() == 9 - 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            set_files.imagescope(
                set_files.MONUSEG, '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]>'
            ),
            "found document type a",
        ),
        ("<Annotations", "expected XML of ImageScope"),
        (set_files.imagescope(["<Region><Vertices/></Region>"]), "Regions of Vertices"),
        (set_files.imagescope([set_files.region(("a", "b"))]), "expected X and Y of each Vertex"),
        ("<Zebra/>", "expected Annotations"),
    ],
)
def test_monuseg_with_other_xml(tmp_path: Path, content: str, message: str) -> None:
    path = next(set_files.write_monuseg(tmp_path).rglob("*.xml"))
    path.write_text(content)
    with pytest.raises(RegdataError, match=message) as error:
        load_monuseg(tmp_path)
    assert "\n" not in error.value.message


def test_what_macos_leaves_in_archives_is_passed_over(tmp_path: Path) -> None:
    root = set_files.write_monuseg(tmp_path)
    for name in (".DS_Store", f"._{TCGA[0]}.xml", f"._{TCGA[0]}.tif"):
        set_files.text(root / "MoNuSeg Training" / name, "")
    set_files.text(root / "__MACOSX" / "zebra.xml", "")
    assert len(load_monuseg(tmp_path).images) == 2


def test_monuseg_without_its_files(tmp_path: Path) -> None:
    with pytest.raises(RegdataError, match=r"NAME\.tif and NAME\.xml of MoNuSeg .* found nothing"):
        load_monuseg(tmp_path)
    next(set_files.write_monuseg(tmp_path).rglob("*.xml")).unlink()
    with pytest.raises(RegdataError, match=r"found 1 images without NAME\.xml"):
        load_monuseg(tmp_path)


def test_coco(tmp_path: Path) -> None:
    found = load_coco(set_files.write_coco(tmp_path), mpp=0.5, split="train")
    assert (found.mpp, found.classes) == (0.5, ("tumour", "stroma"))
    one, two = found.images
    assert one.points_xy.tolist() == [list(A), list(B)]  # of a polygon, of runs
    assert one.labels.tolist() == [0, 1]
    assert one.outlines is not None
    np.testing.assert_array_equal(one.outlines(), set_files.both(1, 2))
    assert two.points_xy.tolist() == [list(A), [4.5, 3.5]]  # of boxes: x, y, width, height
    assert two.labels.tolist() == [1, -1]
    assert two.outlines is None
    assert (one.split, one.path.name) == ("train", "7.png")
    file = tmp_path / "annotations" / "instances_train.json"
    assert load_coco(file).images[0].points_xy.tolist() == [list(A), list(B)]


def compressed(counts: list[int]) -> str:
    """COCO's own description of its text, written the other way round."""
    out = ""
    for k, count in enumerate(counts):
        value = count - counts[k - 2] if k > 2 else count
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != -1 if bits & 16 else value != 0
            out += chr((bits | (32 if more else 0)) + 48)
    return out


def test_runs_of_coco() -> None:
    mask = np.random.default_rng(0).random((50, 70)) > 0.9
    flat = np.concatenate([[0], mask.T.ravel(), [0]]).astype(int)
    edges = np.flatnonzero(np.diff(flat))
    counts = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    for runs in (counts, compressed(counts)):
        np.testing.assert_array_equal(decode_runs({"size": [50, 70], "counts": runs}), mask)
    with pytest.raises(ValueError, match="runs of 3 pixels in 2 x 2"):
        decode_runs({"size": [2, 2], "counts": [3]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": None}, "found a wrong entry"),
        ({"annotations": [{"image_id": 99, "category_id": 5}]}, "found a wrong entry: KeyError"),
        ({"annotations": [{"image_id": 7, "category_id": 5}]}, "found a wrong entry"),
        ({"annotations": []}, "expected annotated nuclei"),
        ({"images": [{"id": 7, "file_name": "zebra.png"}]}, "found a wrong entry|zebra.png"),
    ],
)
def test_coco_with_wrong_entries(tmp_path: Path, change: dict[str, object], message: str) -> None:
    file = set_files.write_coco(tmp_path) / "annotations" / "instances_train.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(RegdataError, match=message):
        load_coco(tmp_path)


def test_coco_of_several_files(tmp_path: Path) -> None:
    file = set_files.write_coco(tmp_path) / "annotations" / "instances_train.json"
    file.with_name("instances_val.json").write_text("{}")
    with pytest.raises(RegdataError, match=r"one \*\.json of COCO \(there are 2; name one\)"):
        load_coco(tmp_path)
    assert len(load_coco(tmp_path, split="train").images) == 2
    with pytest.raises(RegdataError, match="expected images, annotations and categories"):
        load_coco(tmp_path, split="val")


def test_geojson_folder(tmp_path: Path) -> None:
    found = load_geojson_folder(set_files.write_geojson(tmp_path), mpp=0.5)
    assert (found.mpp, found.classes) == (0.5, ("tumour",))
    assert [i.points_xy.tolist() for i in found.images] == [[], [list(A)]]
    (tmp_path / "b.png").unlink()
    with pytest.raises(RegdataError, match=r"expected b\.png .* for .*b\.geojson"):
        load_geojson_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RegdataError, match=r"expected NAME\.geojson beside .* found nothing"):
        load_geojson_folder(tmp_path / "empty")


def test_a_nucleus_in_two_parts() -> None:
    square = np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])
    assert centroid_of([square, square * [2, 1] + [4, 0]]) == pytest.approx((1 / 3 + 4, 1))
    ids = draw([[square, square + np.array([4, 0])]], (3, 7))
    assert ids[0].tolist() == [1, 1, 0, 0, 1, 1, 0]
