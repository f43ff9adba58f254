"""Scores as a plain text table."""

from regdata.eval.metrics import Rates, Scores

_HEADER = ("class", "annotated", "predicted", "precision", "recall", "F1", "95 % interval")


def table(scores: Scores) -> str:
    """Aligned columns: one line per class, the mean, detection, then how it was counted.

    Examples
    --------
    >>> import numpy as np
    >>> from regdata.eval.metrics.detection import ImageCounts, score
    >>> one = ImageCounts("a", "a", np.array([[3, 1], [1, 0]]))
    >>> print(table(score([one], ["cell"])).splitlines()[1])
    cell               4          4      0.750   0.750  0.750              -
    """
    rows: list[tuple[str, ...]] = [_HEADER]
    rows += [_row(name, r) for name, r in zip(scores.classes, scores.per_class, strict=True)]
    mean = (_fixed(scores.mean_f1), _span(scores.mean_f1_interval))
    rows += [("mean", "", "", "", "", *mean), _row("detection", scores.detection)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_cells(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, _footer(scores)])


def _row(name: str, rates: Rates) -> tuple[str, ...]:
    values = (rates.precision, rates.recall, rates.f1)
    counts = (str(rates.annotated), str(rates.predicted))
    return (name, *counts, *map(_fixed, values), _span(rates.f1_interval))


def _cells(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """Names to the left, numbers to the right."""
    numbers = zip(row[1:], widths[1:], strict=True)
    return [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in numbers)]


def _fixed(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _span(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.3f} - {interval[1]:.3f}"


def _footer(scores: Scores) -> str:
    how = scores.conventions
    units = scores.images if how.resample == "image" else scores.slides
    interval = (
        f"bootstrap over {units} {how.resample}s"
        if units > 1
        else f"none, there is only one {how.resample}"
    )
    return (
        f"{scores.images} image(s) of {scores.slides} slide(s); one-to-one per image within "
        f"{how.radius_um:g} µm; interval: {interval}"
    )
