import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from regdata.cellvit.networks.weights import Model, load_model
from regdata.cellvit.tiles.inference import detect
from regdata.errors import RegdataError
from regdata.eval.segmentation import (
    SegmentationSettings,
    class_names,
    detect_at,
    evaluate_segmentation,
    pair_classes,
)

OWN = ("misc", "inflammatory", "epithelial", "spindle")
CENTRES = [(30, 30), (70, 40), (100, 90), (40, 100)]


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(device="cpu", exact=True)


def picture(size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Dark discs on pink, with their instance map."""
    rgb = np.full((size, size, 3), (225, 180, 210), np.uint8)
    instances = np.zeros((size, size), np.int32)
    for i, (x, y) in enumerate(CENTRES, 1):
        cv2.circle(rgb, (x, y), 11, (80, 40, 120), -1)
        cv2.circle(instances, (x, y), 11, i, -1)
    rng = np.random.default_rng(0)
    noisy = cv2.GaussianBlur(rgb, (0, 0), 1.0) + rng.normal(0, 5, rgb.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), instances


def write(folder: Path, name: str, types: np.ndarray | None = None) -> None:
    rgb, instances = picture()
    for part in ("images", "labels"):
        (folder / part).mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), rgb[..., ::-1])
    arrays = {"inst_map": instances} | ({} if types is None else {"type_map": types})
    np.savez(folder / "labels" / f"{name}.npz", **arrays)


def settings(**more: object) -> SegmentationSettings:
    return SegmentationSettings(device="cpu", exact=True, **more)  # type: ignore[arg-type]


def test_drawn_nuclei_are_found_and_scored(tmp_path: Path) -> None:
    _, instances = picture()
    write(tmp_path, "a", np.where(instances > 0, 4, 0))
    write(tmp_path, "b")
    done: list[float] = []
    report = evaluate_segmentation(tmp_path, settings(), done.append)
    scores = report.scores["unchanged"]
    assert [image.name for image in scores.images] == ["a", "b"]
    assert scores.binary["dice"].value == pytest.approx(0.9, abs=0.1)
    assert scores.binary["f1"].value == 1.0
    assert done == [0.5, 1.0]
    assert scores.classes is not None
    assert scores.classes.confusion.sum() == 4  # the second image has no classes
    assert report.provenance["classes"].startswith("paired by order (1 = misc, 2 = infl")
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert content["provenance"]["model"]["name"] == "default"
    assert content["provenance"]["precision"] == "float32"
    assert content["robustness"] == {}


def test_robustness_scores_every_perturbation(tmp_path: Path) -> None:
    write(tmp_path, "a")
    report = evaluate_segmentation(tmp_path, settings(robustness=True))
    assert len(report.scores) == 9
    values = {name: scores.binary["dice"].value for name, scores in report.scores.items()}
    assert len(set(values.values())) > 4
    assert report.scores["turned 90"].binary["f1"].value == 1.0
    assert list(report.to_dict()["robustness"]) == list(report.scores)[1:]


def test_images_of_another_pixel_size_are_brought_to_the_network(model: Model) -> None:
    rgb, instances = picture()
    large = cv2.resize(rgb, (251, 256), interpolation=cv2.INTER_CUBIC)
    found, cells = detect_at(model, large, 0.125)
    assert found.shape == (256, 251)
    assert len(cells) == len(CENTRES)
    inside = found[cells.xy[:, 1].astype(int), cells.xy[:, 0].astype(int)]
    assert inside.tolist() == list(range(1, len(cells) + 1))
    truth = cv2.resize(instances, (251, 256), interpolation=cv2.INTER_NEAREST_EXACT)
    assert 2 * ((truth > 0) & (found > 0)).sum() / ((truth > 0).sum() + (found > 0).sum()) > 0.85
    same, _ = detect_at(model, rgb, 0.25)
    assert np.array_equal(same, detect(model, rgb)[0])


def test_classes_are_paired_by_order_name_or_map() -> None:
    classes, how = pair_classes(OWN, None, 4)
    assert classes is not None
    assert classes.annotated.tolist() == classes.classifier.tolist() == [0, 1, 2, 3]
    assert "by order" in how
    named = ("spindle", "Epithelial", "misc", "inflammatory")
    classes, how = pair_classes(OWN, named, 3)
    assert classes is not None
    assert classes.annotated.tolist() == [3, 2, 0, 1]
    assert how == "paired by name"
    mapping = {"misc": "1", "inflammatory": "2", "epithelial": "3", "spindle": "1"}
    classes, how = pair_classes(OWN, None, 3, mapping)
    assert classes is not None
    assert classes.classifier.tolist() == [0, 1, 2, 0]
    assert "mapping" in how


def test_classes_that_do_not_fit_are_not_scored_unless_asked_for() -> None:
    classes, how = pair_classes(OWN, None, 5)
    assert classes is None
    assert how.startswith("not scored: classes without a partner: 1, 2, 3, 4, 5 of the set")
    assert pair_classes(OWN, None, 0) == (None, "no classes in the set")
    with pytest.raises(RegdataError, match="the set has no class 9"):
        pair_classes(OWN, None, 4, {"misc": "9"})
    with pytest.raises(RegdataError, match="the images have no classes"):
        pair_classes(OWN, None, 0, {"misc": "1"})


def test_names_of_classes(tmp_path: Path) -> None:
    assert class_names(tmp_path, 2) is None
    (tmp_path / "classes.json").write_text('["a", "b"]')
    assert class_names(tmp_path, 2) == ("a", "b")
    with pytest.raises(RegdataError, match="names 2 classes, but type_map has class 3"):
        class_names(tmp_path, 3)
    for wrong in ("{", '{"a": 1}', "[1]"):
        (tmp_path / "classes.json").write_text(wrong)
        with pytest.raises(RegdataError, match="expected a list of names"):
            class_names(tmp_path, 2)


def test_a_bad_label_stops_the_run_before_the_network_is_loaded(tmp_path: Path) -> None:
    write(tmp_path, "a")
    write(tmp_path, "b")
    (tmp_path / "labels" / "b.npz").unlink()
    with pytest.raises(RegdataError, match=r"1 images without NAME\.npz.* b$"):
        evaluate_segmentation(tmp_path, settings(model=tmp_path / "missing"))
