"""`regdata label-images`: from outlines to a file that `regdata train` reads."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from coloured import HEMATOXYLIN, MODEL

from regdata.cells.dataset import read_dataset
from regdata.commands.cli import main
from regdata.errors import RegdataError
from regdata.names import UNKNOWN
from regdata.segmenting.outlined_images import label_images

PLACES = ((20, 20), (60, 20), (100, 20), (20, 60))


def outlined(folder: Path, name: str, kinds: tuple[int, ...]) -> None:
    """An image with a disc at each place; annotated are as many as there are kinds."""
    rgb = np.full((96, 128, 3), 255, np.uint8)
    instances, types = np.zeros((2, 96, 128), np.int32)
    for k, place in enumerate(PLACES):
        cv2.circle(rgb, place, 9, HEMATOXYLIN, -1)
        if k < len(kinds):
            cv2.circle(instances, place, 9, k + 1, -1)
            cv2.circle(types, place, 9, kinds[k], -1)
    for part in ("images", "labels"):
        (folder / part).mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), rgb[..., ::-1])
    np.savez(folder / "labels" / f"{name}.npz", inst_map=instances, type_map=types)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    outlined(tmp_path, "a", (1, 2, 0))  # the third has no class, the fourth no outline
    outlined(tmp_path, "b", (2, 2, 1, 1))
    return tmp_path


def test_every_nucleus_has_the_class_of_the_outline_it_lies_in(folder: Path) -> None:
    counts = label_images(folder, folder / "x.h5", MODEL)
    assert counts == {UNKNOWN: 2, "1": 3, "2": 3}
    data = read_dataset(folder / "x.h5")
    places = [
        (slide, *(round(v) for v in xy), label)
        for slide, xy, label in zip(
            data.obs["slide"], data.cells.xy, data.obs["label"], strict=True
        )
    ]
    assert sorted(places) == sorted(
        ("ab"[image], x, y, label)
        for image, labels in enumerate((("1", "2", UNKNOWN, UNKNOWN), ("2", "2", "1", "1")))
        for (x, y), label in zip(PLACES, labels, strict=True)
    )
    assert data.classes == ("1", "2")
    assert data.labels.tolist().count(-1) == 2


def test_names_come_from_the_folder(folder: Path) -> None:
    (folder / "classes.json").write_text(json.dumps(["immune", "tumour"]))
    assert label_images(folder, folder / "x.h5", MODEL) == {UNKNOWN: 2, "immune": 3, "tumour": 3}


def test_images_without_classes_are_refused(tmp_path: Path) -> None:
    outlined(tmp_path, "a", (0, 0))
    with pytest.raises(RegdataError, match="two classes or more"):
        label_images(tmp_path, tmp_path / "x.h5", MODEL)
    assert not (tmp_path / "x.h5").exists()


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


def test_its_file_trains_a_classifier(folder: Path) -> None:
    for name in "cdef":
        outlined(folder, name, (1, 2, 1, 2))
    made = run("label-images", folder, "-o", folder / "x.h5", "--device", "cpu")
    assert made.exit_code == 0, made.output
    again = run("label-images", folder, "-o", folder / "x.h5")
    assert again.exit_code == 1
    assert "--overwrite" in again.output
    trained = run(
        "train", folder / "x.h5", "-o", folder / "x.pt", "--epochs", 2, "--class-weights", "none"
    )
    assert trained.exit_code == 0, trained.output
    assert "split by slide" in trained.output


@pytest.mark.parametrize("words", [("nowhere",), (".", "--model", "x.pt")])
def test_errors_are_one_line(words: tuple[str, ...], folder: Path) -> None:
    words = tuple(str(folder) if word == "." else word for word in words)
    result = run("label-images", *words, "-o", folder / "x.h5")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error")
    assert "Traceback" not in result.output
    assert not (folder / "x.h5").exists()
