"""Precision, recall and F1 from a confusion matrix, by the conventions of a preset."""

from typing import Any

from regdata.arrays import Ints
from regdata.eval.conventions.presets import PointPreset
from regdata.eval.metrics import rates_of

Result = dict[str, Any]


def class_rates(total: Ints, c: int, rules: PointPreset) -> Result:
    """Precision, recall, F1 and counts of one class, by the preset's weight of a wrong class.

    Parameters
    ----------
    total
        (K + 1, K + 1) int64, see `ImageCounts`.
    """
    tp = int(total[c, c])
    fp = rules.wrong * (int(total[:-1, c].sum()) - tp) + int(total[-1, c])
    fn = rules.wrong * (int(total[c, :-1].sum()) - tp) + int(total[c, -1])
    empty = 0.0 if rules.empty == "zero" else None
    values = rates_of(tp, tp + fp, tp + fn, empty, rules.epsilon)
    if rules.decimals is not None:
        values = {k: None if v is None else round(v, rules.decimals) for k, v in values.items()}
    return {**values, "tp": tp, "fp": fp, "fn": fn}


def detection_rates(total: Ints) -> Result:
    """Precision, recall, F1 and counts of all points of (K + 1, K + 1) counts, of any class."""
    tp, fp = int(total[:-1, :-1].sum()), int(total[-1, :-1].sum())
    fn = int(total[:-1, -1].sum())
    return {**rates_of(tp, tp + fp, tp + fn), "tp": tp, "fp": fp, "fn": fn}
