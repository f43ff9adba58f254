from pathlib import Path

import cv2
import numpy as np
import pytest

from regdata.annotated.outlined import AnnotatedNuclei, find_annotated
from regdata.errors import RegdataError

IDS = np.array([[0, 7, 7], [0, 7, 3], [0, 0, 3]])
TYPES = np.array([[0, 2, 2], [0, 1, 0], [4, 0, 0]])


def load_nuclei(path: Path) -> AnnotatedNuclei:
    (image,) = find_annotated(path.parents[1])
    return image.read()


def write(folder: Path, **arrays: np.ndarray) -> Path:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    picture = np.zeros((3, 3, 3), np.uint8)
    picture[..., 2] = 200  # red, as OpenCV orders it
    cv2.imwrite(str(folder / "images" / "a.png"), picture)
    np.savez(folder / "labels" / "a.npz", **arrays)
    return folder / "images" / "a.png"


def test_nuclei_are_numbered_and_have_the_class_of_most_of_their_pixels(tmp_path: Path) -> None:
    image = load_nuclei(write(tmp_path, inst_map=IDS, type_map=TYPES))
    assert image.name == "a"
    assert image.rgb[0, 0].tolist() == [200, 0, 0]
    assert image.instances.tolist() == [[0, 2, 2], [0, 2, 1], [0, 0, 1]]
    assert image.kinds is not None
    assert image.kinds.tolist() == [0, 2]  # nucleus 3 has a class in none of its pixels
    assert len(image) == 2


def test_without_types_and_without_background(tmp_path: Path) -> None:
    image = load_nuclei(write(tmp_path, inst_map=IDS + 1))
    assert image.kinds is None
    assert image.instances.max() == 3


def test_an_image_without_nuclei(tmp_path: Path) -> None:
    image = load_nuclei(write(tmp_path, inst_map=IDS * 0, type_map=IDS * 0))
    assert len(image) == 0
    assert image.kinds is not None
    assert image.kinds.shape == (0,)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": IDS}, r"expected the arrays inst_map in .*, found x"),
        ({"inst_map": IDS[:2]}, r"inst_map in .* is \(2, 3\), its image \(3, 3\)"),
        ({"inst_map": -IDS}, "expected whole numbers from 0 on in inst_map .* found -7"),
        (
            {"inst_map": IDS, "type_map": TYPES.astype(str)},
            "expected .* 0 to 255 in type_map .* found <U",
        ),
        ({"inst_map": IDS.astype(object)}, "cannot be read"),
    ],
)
def test_bad_labels_are_refused(
    arrays: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path, **arrays)
    with pytest.raises(RegdataError, match=message):
        load_nuclei(path)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    path = write(tmp_path, inst_map=IDS)
    labels = tmp_path / "labels" / "a.npz"
    labels.write_bytes(labels.read_bytes()[:60])
    with pytest.raises(RegdataError, match="cannot be read"):
        load_nuclei(path)
    labels.unlink()
    with pytest.raises(RegdataError, match=r"1 images without NAME\.npz, the first is a"):
        load_nuclei(path)
    write(tmp_path, inst_map=IDS).write_bytes(b"nothing")
    with pytest.raises(RegdataError, match="is not an image that can be read"):
        load_nuclei(path)


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(RegdataError, match=r"expected images/ and labels/.*npz in"):
        find_annotated(tmp_path)
    path = write(tmp_path, inst_map=IDS)
    assert [image.path for image in find_annotated(tmp_path)] == [path]
