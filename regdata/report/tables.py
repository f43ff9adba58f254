"""Tables for terminals."""

from collections.abc import Collection, Sequence


def text_table(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """A table as text with aligned columns, a line per row.

    Parameters
    ----------
    rows
        Cells, the heads of the columns first.
    left
        Columns that are aligned left; the others are aligned right.

    Examples
    --------
    >>> print(text_table([("a", "b"), ("long", "1.0")]))
    a       b
    long  1.0
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(width) if k in left else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
