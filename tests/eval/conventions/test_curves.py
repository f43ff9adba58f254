from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluated import CLASSES, evaluation

from regdata.eval.conventions.curves import by_preset, matched_classes, precision_recall


def test_precision_and_recall_agree_with_counting_at_every_threshold(tmp_path: Path) -> None:
    images = evaluation(tmp_path).images
    curve = precision_recall(images, 1)
    limits = sorted(
        {float(p) for i in images for p, f in zip(i.probabilities[:, 1], i.free, strict=True) if f}
        | {float(p) for i in images for p in i.probabilities[i.pairs[:, 1], 1]},
        reverse=True,
    )
    annotated = sum(int((i.truth == 1).sum()) for i in images)
    expected = []
    for limit in limits:
        hits = taken = 0
        for one in images:
            truth = {f: one.truth[a] for a, f in one.pairs.tolist()}
            for cell, chance in enumerate(one.probabilities[:, 1]):
                if chance >= limit and (one.free[cell] or cell in truth):
                    taken += 1
                    hits += truth.get(cell) == 1
        expected.append((hits / annotated, hits / taken))
    np.testing.assert_allclose(np.stack([curve.recall, curve.precision], 1), expected)
    assert curve.recall[-1] < 1  # some were missed
    steps = np.diff(curve.recall, prepend=0)
    assert curve.average == pytest.approx(float((steps * curve.precision).sum()))


def test_a_class_nobody_annotated_has_no_curve(tmp_path: Path) -> None:
    images = evaluation(tmp_path).images[:1]
    assert precision_recall(images, 1).average is not None
    assert precision_recall([replace(images[0], truth=images[0].truth * 0)], 1).average is None


def test_the_default_preset_gives_the_same_numbers(tmp_path: Path) -> None:
    found = evaluation(tmp_path)
    result = by_preset(found.images, 2, "regdata", 3.75)
    assert result["mean_f1"] == pytest.approx(found.scores.mean_f1)
    assert result["detection"]["f1"] == pytest.approx(found.scores.detection.f1)
    assert 0 < result["chance"]["mean_f1"] < found.scores.mean_f1  # type: ignore[operator]


def test_matched_cells_leave_out_what_has_no_partner(tmp_path: Path) -> None:
    found = evaluation(tmp_path)
    matched = matched_classes(found.images)
    assert matched["confusion"] == found.scores.confusion[:-1, :-1].tolist()
    assert 0.5 < matched["auroc"]["per_class"][CLASSES.index("lymphocyte")] < 1
