"""Numbers as pages, charts and tables write them."""

from collections.abc import Sequence

import numpy as np


def number(value: float | None, form: str = ".3f") -> str:
    """A number in the given form, or a dash for what is undefined.

    Examples
    --------
    >>> number(0.5), number(0.25, "+.1f"), number(None), number(float("nan"))
    ('0.500', '+0.2', '-', '-')
    """
    return "-" if value is None or not np.isfinite(value) else f"{value:{form}}"


def interval(ends: Sequence[float | None] | None, form: str = ".3f", between: str = " to ") -> str:
    """Both ends of an interval, or a dash where there is none.

    Examples
    --------
    >>> interval((0.25, 0.5), ".2f"), interval(None), interval((None, None))
    ('0.25 to 0.50', '-', '-')
    """
    if ends is None or None in ends:
        return "-"
    return between.join(number(end, form) for end in ends)


def short(value: float) -> str:
    """A number in few characters.

    Examples
    --------
    >>> short(0.25), short(1234.5), short(250000.0), short(3e-7)
    ('0.25', '1234', '2.5e+05', '3e-07')
    """
    return f"{value:.0f}" if 1000 <= abs(value) < 100_000 else f"{value:.3g}"
