import numpy as np

from regdata.eval.metrics.image_score import ImageScore
from regdata.eval.metrics.panoptic import PanopticQuality
from regdata.eval.metrics.segmentation_scores import summarise
from regdata.eval.pages.segmentation_table import report_text
from regdata.eval.segmentation import SegmentationReport

ABOUT = {
    "data": "here",
    "mpp": 0.25,
    "radius_um": 3.0,
    "model": {"name": "default", "sha256": "0123456789abcdef"},
    "classes": "paired by name",
    "classifier": None,
}


def image(dice: float, name: str = "a") -> ImageScore:
    quality = PanopticQuality(1, 0, 1, 0.8)
    matrix = np.array([[1, 1], [0, 0]])
    return ImageScore(
        name=name,
        annotated=2,
        predicted=1,
        paired=1,
        dice=dice,
        aji=0.5,
        aji_plus=None,
        quality=quality,
        classes=(quality,),
        confusion=matrix,
    )


def test_one_image_with_classes() -> None:
    text = report_text(SegmentationReport(ABOUT, {"unchanged": summarise([image(0.75)], ["cell"])}))
    lines = text.splitlines()
    assert lines[0] == "here: 1 image(s) at 0.25 µm/px, model default 0123456789ab"
    assert lines[2].split() == ["Dice", "0.750", "-"]
    assert lines[7].split() == ["AJI+", "-", "-"]
    assert "centroids within 3 µm (12 px)" in text
    assert "no intervals: one image only" in text
    assert "cell           2      1  0.533      0.533  0.667             1.000" in lines
    assert "mPQ+               0.533              -" in lines
    assert lines[-1] == "Classes (of the type branch): paired by name."


def test_robustness_is_one_row_each() -> None:
    plain = summarise([image(0.8), image(0.6, "b")], ["cell"])
    blurred = summarise([image(0.4), image(0.2, "b")], ["cell"])
    text = report_text(SegmentationReport(ABOUT, {"unchanged": plain, "blur 1 px": blurred}))
    assert "Dice       0.700  0.600 - 0.800" in text
    rows = [line.split() for line in text.splitlines()[-2:]]
    assert rows[0][:3] == ["unchanged", "0.700", "0.533"]
    assert rows[1][:4] == ["blur", "1", "px", "0.300"]
    assert rows[0][-2:] == ["0.533", "1.000"]  # mPQ+ and balanced accuracy


def test_without_classes_there_is_no_column_for_them() -> None:
    bare = ImageScore(
        name="a",
        annotated=2,
        predicted=1,
        paired=1,
        dice=0.5,
        aji=0.5,
        aji_plus=0.5,
        quality=PanopticQuality(1, 0, 1, 0.8),
    )
    report = SegmentationReport(ABOUT, {"unchanged": summarise([bare]), "x": summarise([bare])})
    assert "mPQ" not in report_text(report)
    assert "balanced" not in report_text(report)
