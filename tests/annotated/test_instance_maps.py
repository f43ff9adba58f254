import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import set_files
from set_files import SIZE, A, B

from regdata.annotated.instance_maps import (
    CONSEP,
    CONSEP_ALL,
    LIZARD,
    load_conic,
    load_consep,
    load_lizard,
    load_npz,
)
from regdata.annotated.sets import AnnotatedSet
from regdata.errors import RegdataError

B_FIRST = [list(B), list(A)]  # B has the lower id


def points_and_classes(found: AnnotatedSet) -> list[list[tuple[list[float], str | None]]]:
    names: list[str | None] = [*found.classes, None]
    return [
        [(xy, names[k]) for xy, k in zip(image.points_xy.tolist(), image.labels, strict=True)]
        for image in found.images
    ]


def check_outlines(found: AnnotatedSet) -> None:
    """Nucleus k of the points is k + 1 in the outlines."""
    for image in found.images:
        assert image.outlines is not None
        ids = image.outlines()
        assert ids.shape == SIZE
        for k, (x, y) in enumerate(image.points_xy):
            assert ids[int(y), int(x - 0.25)] == k + 1
        assert ids.max() == len(image.points_xy)


def test_consep_as_published(tmp_path: Path) -> None:
    found = load_consep(set_files.write_consep(tmp_path))
    assert (found.mpp, found.classes) == (0.25, CONSEP)
    assert points_and_classes(found) == [  # the test part comes first, by name
        [(list(B), "spindle-shaped"), (list(A), "epithelial")],
        [(list(B), "epithelial"), (list(A), "inflammatory")],
    ]
    assert [(i.name, i.split, i.slide) for i in found.images] == [
        ("test_1", "test", "test_1"),
        ("train_1", "train", "train_1"),
    ]
    check_outlines(found)


def test_consep_unmerged_and_in_parts(tmp_path: Path) -> None:
    found = load_consep(set_files.write_consep(tmp_path), merge=False, split="train")
    assert found.classes == CONSEP_ALL
    assert points_and_classes(found) == [
        [(list(B), "malignant epithelial"), (list(A), "inflammatory")]
    ]
    alone = load_consep(tmp_path / "Test", merge=False)
    assert points_and_classes(alone)[0][0] == (list(B), "endothelial")
    with pytest.raises(RegdataError, match=r"expected a split of .* \(test, train\), got val"):
        load_consep(tmp_path, split="val")


def test_classes_that_are_merged_already_are_not_merged_again(tmp_path: Path) -> None:
    found = load_consep(set_files.write_npz(tmp_path), split="train")
    assert points_and_classes(found) == [[(list(B), "spindle-shaped"), (list(A), "inflammatory")]]
    with pytest.raises(RegdataError, match="merged already"):
        load_consep(tmp_path, merge=False)
    # nothing of type 5 to 7 can be in merged files
    other = set_files.write_npz(tmp_path / "other", ((2, 5), (1, 1)))
    with pytest.raises(RegdataError, match=r"expected the classes 1 to 4 .* found 5"):
        load_consep(other)


def test_npz_folder(tmp_path: Path) -> None:
    found = load_npz(set_files.write_npz(tmp_path), mpp=0.5)
    assert (found.mpp, found.classes) == (0.5, ("1", "2", "3", "4"))
    assert points_and_classes(found)[0] == [(list(B), None), (list(A), "3")]
    check_outlines(found)
    (tmp_path / "classes.json").write_text('["a", "b", "c", "d"]')
    assert load_npz(tmp_path).classes == ("a", "b", "c", "d")
    assert load_npz(tmp_path, classes=("q", "r", "s", "t")).classes[0] == "q"


def test_npz_without_types(tmp_path: Path) -> None:
    found = load_npz(set_files.write_npz(tmp_path, (None, None)))
    assert found.classes == ("nucleus",)
    assert found.images[0].labels.tolist() == [0, 0]
    mixed = set_files.write_npz(tmp_path / "mixed", (None, (1, 2)))
    with pytest.raises(RegdataError, match="expected a type_map in all files or none"):
        load_npz(mixed)


def test_lizard_class_belongs_to_its_id(tmp_path: Path) -> None:
    found = load_lizard(set_files.write_lizard(tmp_path))
    assert (found.mpp, found.classes) == (0.5, LIZARD)
    assert points_and_classes(found) == [[(list(B), "lymphocyte"), (list(A), "connective")]] * 2
    assert [image.split for image in found.images] == ["1", "3"]
    assert [i.name for i in load_lizard(tmp_path, split="3").images] == ["glas_2"]
    check_outlines(found)


def test_lizard_with_a_nucleus_without_id(tmp_path: Path) -> None:
    path = set_files.write_lizard(tmp_path) / "Lizard_Labels" / "Labels" / "glas_2.mat"
    arrays = {"inst_map": set_files.both(9, 4), "id": [[9]], "class": [[6]]}
    scipy.io.savemat(path, arrays)
    with pytest.raises(RegdataError, match=r"one id and class for each nucleus of .* 1 ids and 1"):
        load_lizard(tmp_path)
    scipy.io.savemat(path, arrays | {"id": [[9], [4]], "class": [[6], [7]]})
    with pytest.raises(RegdataError, match="expected classes 1 to 6"):
        load_lizard(tmp_path)
    (tmp_path / "Lizard_Labels" / "info.csv").write_text("Filename,Split\nconsep_1,1\n")
    with pytest.raises(RegdataError, match=r"expected glas_2 in .*info"):
        load_lizard(tmp_path)


@pytest.mark.parametrize("info", [True, False])
def test_conic(tmp_path: Path, info: bool) -> None:
    found = load_conic(set_files.write_conic(tmp_path, info))
    assert (found.mpp, found.classes) == (0.5, LIZARD)
    assert points_and_classes(found) == [[(list(B), "lymphocyte"), (list(A), "connective")], []]
    names = [("consep_1-0000", "consep_1"), ("glas_2-0001", "glas_2")]
    assert [(i.name, i.slide) for i in found.images] == (
        names if info else [("00000", "00000"), ("00001", "00001")]
    )
    check_outlines(found)
    slide = found.images[0].opened()
    assert slide.size == SIZE[::-1]
    assert slide.read_rgb((2, 3), (4, 5)).tolist() == np.full((5, 4, 3), 7).tolist()


def test_conic_of_wrong_shapes(tmp_path: Path) -> None:
    set_files.write_conic(tmp_path)
    (tmp_path / "patch_info.csv").write_text("patch_info\nconsep_1-0000\n")
    with pytest.raises(RegdataError, match=r"expected 2 lines in .*, found 1"):
        load_conic(tmp_path)
    np.save(tmp_path / "labels.npy", np.zeros((2, 8, 10)))
    with pytest.raises(RegdataError, match=r"labels in .* found \(2, 8, 10, 3\) and \(2, 8, 10\)"):
        load_conic(tmp_path)


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    set_files.write_consep(tmp_path)
    labels = tmp_path / "Train" / "Labels" / "train_1.mat"
    content = labels.read_bytes()
    labels.unlink()
    with pytest.raises(RegdataError, match=r"found 1 images without NAME\.mat, .* is train_1"):
        load_consep(tmp_path)
    labels.write_bytes(content[:90])
    with pytest.raises(RegdataError, match="expected a MATLAB file"):
        load_consep(tmp_path)
    labels.write_bytes(content)
    labels.with_name("train_2.mat").write_bytes(content)
    with pytest.raises(RegdataError, match=r"1 NAME\.mat without an image, the first is train_2"):
        load_consep(tmp_path)
    labels.with_name("train_2.mat").unlink()
    set_files.picture(tmp_path / "Train" / "Images" / "train_1.jpg")
    with pytest.raises(RegdataError, match="expected one image named train_1"):
        load_consep(tmp_path)
    (tmp_path / "Train" / "Images" / "train_1.jpg").unlink()
    set_files.picture(tmp_path / "Train" / "Images" / "train_1.png", (9, 10))
    with pytest.raises(RegdataError, match=r"is \(8, 10\), its image \(9, 10\)"):
        load_consep(tmp_path)


def test_sets_without_nuclei_and_wrong_folders(tmp_path: Path) -> None:
    set_files.write_conic(tmp_path)
    np.save(tmp_path / "labels.npy", np.zeros((2, *SIZE, 2), np.uint16))
    with pytest.raises(RegdataError, match=r"expected annotated nuclei in .* none in 2 image"):
        load_conic(tmp_path)
    for load in (load_consep, load_npz, load_lizard):
        with pytest.raises(RegdataError, match=r"found images\.npy, labels\.npy, patch_info") as e:
            load(tmp_path)
        assert "\n" not in e.value.message
        with pytest.raises(RegdataError, match="does not exist"):
            load(tmp_path / "nowhere")


@pytest.mark.skipif("REGDATA_DATA" not in os.environ, reason="REGDATA_DATA is not set")
def test_real_consep() -> None:
    found = load_consep(Path(os.environ["REGDATA_DATA"]) / "consep", split="test")
    counts = np.bincount(np.concatenate([image.labels for image in found.images]))
    assert counts.tolist() == [561, 1638, 3214, 3364]
