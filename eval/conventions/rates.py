"""Precision, recall and F1 from a confusion matrix, by the conventions of a preset."""

from typing import Any

from regdata.arrays import Ints
from regdata.eval.conventions.presets import POINTS, PointPreset

Result = dict[str, Any]


def class_rates(total: Ints, c: int, rules: PointPreset) -> Result:
    """Precision, recall, F1 and counts of one class; a wrong class weighs as the preset says."""
    tp = int(total[c, c])
    fp = rules.wrong * (int(total[:-1, c].sum()) - tp) + int(total[-1, c])
    fn = rules.wrong * (int(total[c, :-1].sum()) - tp) + int(total[c, -1])
    precision, recall = _share(tp, tp + fp, rules), _share(tp, tp + fn, rules)
    f1 = _share(2 * tp, 2 * tp + fp + fn, rules)
    if rules.epsilon and precision is not None and recall is not None:
        f1 = 2 * precision * recall / (precision + recall + rules.epsilon)
    rates = {"precision": precision, "recall": recall, "f1": f1}
    if rules.decimals is not None:
        rates = {k: None if v is None else round(v, rules.decimals) for k, v in rates.items()}
    return {**rates, "tp": tp, "fp": fp, "fn": fn}


def detection_rates(total: Ints) -> Result:
    """The same of all points whatever their class."""
    tp, fp = int(total[:-1, :-1].sum()), int(total[-1, :-1].sum())
    fn = int(total[:-1, -1].sum())
    plain = POINTS["regdata"]
    return {
        "f1": _share(2 * tp, 2 * tp + fp + fn, plain),
        "precision": _share(tp, tp + fp, plain),
        "recall": _share(tp, tp + fn, plain),
        "tp": tp,
        "fp": fp,
        "fn": fn,
    }


def _share(part: int, whole: int, rules: PointPreset) -> float | None:
    if whole + rules.epsilon == 0:
        return 0.0 if rules.empty == "zero" else None
    return part / (whole + rules.epsilon)
