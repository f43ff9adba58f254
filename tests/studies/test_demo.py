import json
from pathlib import Path

import numpy as np
import pytest
from pages import HOSTILE, Page

from regdata.annotated.points import load_points
from regdata.errors import RegdataError
from regdata.report.pictures import write_png
from regdata.slides.open import open_slide
from regdata.studies import demo
from regdata.studies.demo import prepare, read_truth, write_test_images
from regdata.studies.demo_page import write_page

SIZE = 640


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "new"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "_TEST", 256)
        prepare(folder, SIZE, 3)
    return folder


def test_two_slides_and_their_truth(prepared: Path) -> None:
    he, if_ = open_slide(prepared / "he.ome.tif"), open_slide(prepared / "if.ome.tif")
    assert (he.size, he.mpp, he.is_rgb) == ((SIZE, SIZE), 0.25, True)
    assert if_.channels == ("DAPI", "CD3")
    assert if_.mpp == pytest.approx(0.325)
    truth = read_truth(prepared)
    assert len(truth.xy) > 20
    assert (truth.positive == (truth.kinds == "lymphocyte")).all()
    on_if = truth.in_if_um / 0.325
    assert ((on_if > 0) & (on_if < if_.size)).all()


def test_a_rerun_keeps_the_slides(prepared: Path) -> None:
    before = (prepared / "he.ome.tif").stat().st_mtime_ns
    again = prepare(prepared, SIZE, 3)
    assert (prepared / "he.ome.tif").stat().st_mtime_ns == before
    assert np.array_equal(again.xy, read_truth(prepared).xy)
    with pytest.raises(RegdataError, match="holds no demo of size 640 and seed 4"):
        prepare(prepared, SIZE, 4)


def test_test_fields_hold_every_nucleus_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_TEST", 256)
    for name in ("images", "points"):
        (tmp_path / name).mkdir()
    write_test_images(tmp_path, 9)
    annotated = load_points(tmp_path / "images", tmp_path / "points")
    assert len(annotated.images) == 4
    assert set(annotated.classes) <= {"lymphocyte", "other"}
    count = len(demo.render_tissue((512, 512), 9).kinds)
    assert sum(len(image.points_xy) for image in annotated.images) == count
    for image in annotated.images:
        assert ((image.points_xy >= 0) & (image.points_xy < 256)).all()


def test_the_page_says_the_numbers(tmp_path: Path) -> None:
    for name in ("overlay", "overlay_detail", "CD3"):
        write_png(tmp_path / "qc" / f"lymphocytes_{name}.png", np.zeros((8, 8, 3), np.uint8))
    rates = {"precision": 0.5, "recall": None, "f1": 0.625}
    facts = {
        "nuclei": 1234,
        "counts": {"negative": 1000, HOSTILE: 234},
        "correlation": 0.8,
        "registration_error_um": {"median": 0.51, "p90": 1.2},
        "labels": {"detected": 0.9, "precision": 0.987, "recall": 0.8, "unknown": 0.037},
        "training": {"best": {"auroc": 0.931}},
        "scores": {
            "images": 4,
            "detection": rates,
            "classes": {HOSTILE: rates},
            "mean_f1": None,
            "mean_f1_interval": [0.5, 0.75],
            "conventions": {"radius_um": 3.75},
        },
    }
    page = Page(write_page(tmp_path, json.loads(json.dumps(facts))).read_text())
    for words in (
        "1,234",
        "0.51 µm",
        "0.987",
        "0.931",
        "0.625",
        f"{HOSTILE}0.500-0.625",
        "95 % interval 0.500-0.750",
        f"234 {HOSTILE}",
    ):
        assert words in page.text
    assert len(page.refers) == 3
