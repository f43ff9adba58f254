"""Scores as a plain text table."""

from regdata.eval.metrics import Rates, Scores
from regdata.report import interval, number, text_table

_HEADER = ("class", "annotated", "predicted", "precision", "recall", "F1", "95 % interval")


def score_table(scores: Scores) -> str:
    """Table as text: one line per class, the mean, detection, then how it was counted.

    Examples
    --------
    >>> import numpy as np
    >>> from regdata.eval.metrics.detection import ImageCounts, score
    >>> one = ImageCounts("a", "a", np.array([[3, 1], [1, 0]]))
    >>> print(score_table(score([one], ["cell"])).splitlines()[1])
    cell               4          4      0.750   0.750  0.750              -
    """
    rows: list[tuple[str, ...]] = [_HEADER]
    rows += [_row(name, r) for name, r in zip(scores.classes, scores.per_class, strict=True)]
    mean = (number(scores.mean_f1), interval(scores.mean_f1_interval, between=" - "))
    rows += [("mean", "", "", "", "", *mean), _row("detection", scores.detection)]
    return f"{text_table(rows)}\n{_footer(scores)}"


def _row(name: str, rates: Rates) -> tuple[str, ...]:
    values = (rates.precision, rates.recall, rates.f1)
    counts = (str(rates.annotated), str(rates.predicted))
    return (name, *counts, *map(number, values), interval(rates.f1_interval, between=" - "))


def _footer(scores: Scores) -> str:
    how = scores.conventions
    units = scores.images if how.resample == "image" else scores.slides
    how_sure = (
        f"bootstrap over {units} {how.resample}s"
        if units > 1
        else f"none, there is only one {how.resample}"
    )
    return (
        f"{scores.images} image(s) of {scores.slides} slide(s); one-to-one per image within "
        f"{how.radius_um:g} µm; interval: {how_sure}"
    )
