import pickle
from pathlib import Path

import numpy as np
import pytest
import set_files
from set_files import A, B

from regdata.annotated.pannuke import CLASSES, load_pannuke
from regdata.errors import RegdataError


@pytest.mark.parametrize("nested", [True, False])
def test_published_folds(tmp_path: Path, nested: bool) -> None:
    set_files.write_pannuke(tmp_path, nested)
    if not nested:  # the three arrays lie together
        (tmp_path / "fold1" / "masks.npy").exists()
    found = load_pannuke(set_files.write_pannuke(tmp_path, nested, fold=2))
    assert (found.mpp, found.classes) == (0.25, CLASSES)
    assert [(i.name, i.split, i.tissue) for i in found.images] == [
        ("fold1_00000", "fold1", "Breast"),
        ("fold1_00001", "fold1", "Bile-duct"),
        ("fold2_00000", "fold2", "Breast"),
        ("fold2_00001", "fold2", "Bile-duct"),
    ]
    one, two = found.images[:2]
    assert one.points_xy.tolist() == [list(A), list(B)]
    assert one.labels.tolist() == [0, 4]  # the same id in two layers is two nuclei
    # the covered nucleus keeps its centroid, but not its pixels
    assert two.points_xy.tolist() == [list(A), [3.5, 2.5]]
    assert two.labels.tolist() == [0, 3]
    assert two.outlines is not None
    assert two.outlines()[1:3, 2:5].tolist() == [[1, 1, 1], [2, 2, 2]]
    assert (two.opened().read_rgb((0, 0), (10, 8)) == 7).all()
    only = load_pannuke(tmp_path, split="fold2")
    assert {image.split for image in only.images} == {"fold2"}


def test_one_fold_alone(tmp_path: Path) -> None:
    root = set_files.write_pannuke(tmp_path, nested=False, fold=3) / "fold3"
    assert {image.split for image in load_pannuke(root).images} == {"fold3"}


def test_files_of_cellvit(tmp_path: Path) -> None:
    found = load_pannuke(set_files.write_pannuke_cellvit(tmp_path))
    assert [(i.name, i.split, i.tissue) for i in found.images] == [
        ("0_0", "fold0", "Breast"),
        ("0_1", "fold0", "Colon"),
    ]
    empty, two = found.images
    assert empty.points_xy.shape == (0, 2)
    assert two.points_xy.tolist() == [list(A), list(B)]
    assert two.labels.tolist() == [4, 1]
    assert two.outlines is not None
    assert two.outlines()[5, 7] == 2
    assert load_pannuke(tmp_path / "fold0").images[1].labels.tolist() == [4, 1]


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("/nowhere/owned"),))


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = set_files.write_pannuke_cellvit(tmp_path) / "fold0" / "labels" / "0_1.npy"
    np.save(path, np.array({"inst_map": Evil()}, object))
    with pytest.raises(RegdataError, match="expected a dict of arrays") as error:
        load_pannuke(tmp_path)
    assert isinstance(error.value.__cause__, pickle.UnpicklingError)


@pytest.mark.parametrize("content", [np.arange(3), np.array([1, "a"], object)])
def test_labels_that_are_no_dict(tmp_path: Path, content: np.ndarray) -> None:
    path = set_files.write_pannuke_cellvit(tmp_path) / "fold0" / "labels" / "0_1.npy"
    np.save(path, content)
    with pytest.raises(RegdataError, match="expected a dict of arrays"):
        load_pannuke(tmp_path)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(RegdataError, match=r"expected images\.npy, .* found nothing"):
        load_pannuke(tmp_path)
    root = set_files.write_pannuke(tmp_path, nested=False)
    np.save(root / "fold1" / "types.npy", np.array(["Breast"]))
    with pytest.raises(RegdataError, match=r"expected 2 tissues in .*, found 1"):
        load_pannuke(root)
    (root / "fold1" / "masks.npy").unlink()
    with pytest.raises(RegdataError, match=r"expected masks\.npy beside"):
        load_pannuke(root)
    other = set_files.write_pannuke_cellvit(tmp_path / "cellvit")
    (other / "fold0" / "types.csv").write_text("img,type\n0_0.png,Breast\n")
    with pytest.raises(RegdataError, match=r"expected 0_1\.png in .*types\.csv"):
        load_pannuke(other)
