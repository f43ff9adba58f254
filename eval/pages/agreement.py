"""The page of an agreement: tables, and where automatic labels and experts differ."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.eval import Agreed, Reader
from regdata.eval.metrics import majority
from regdata.eval.pages.gallery import FOUND, Shape, crop_svg, held
from regdata.eval.pages.page import number
from regdata.report import (
    CROP_UM,
    Window,
    box,
    facts,
    grid,
    heading,
    page,
    paragraph,
    sample,
    table,
)
from regdata.slides import Slide, open_slide

_SHOWN = 24
"""Crops of each kind of difference."""


def agreement_page(found: Agreed) -> str:
    """The whole page as HTML; crops are read from the H&E slide, if it is where it was."""
    return page(f"Agreement of {found.dataset.name}", _parts(found))


def agreement_table(found: Agreed) -> str:
    """Aligned columns: a line per expert and positive class, then kappas and the ranking."""
    rows: list[tuple[str, ...]] = [
        ("expert", "class", "annotated", "labelled", "precision", "recall", "F1", "kappa")
    ]
    rows += [row for reader in found.readers for row in _rows(reader)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            text.ljust(width) if k < 2 else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *(f"{name}: {text}" for name, text in _facts(found))])


def _rows(reader: Reader) -> Iterator[tuple[str, ...]]:
    for name, one in reader.classes.items():
        rates = map(number, (one.precision, one.recall, one.f1, reader.kappa))
        yield (reader.name, name, str(one.annotated), str(one.labelled), *rates)


def _facts(found: Agreed) -> Iterator[tuple[str, str]]:
    for reader in found.readers:
        text = f"{reader.matched} of {reader.nuclei} nuclei lie on a cell"
        yield reader.name, f"{text}; {reader.unknown} of these are unknown and left out"
    if len(found.readers) > 1:
        yield "labelled by all", f"{found.common} cells"
        experts = number(found.fleiss_experts)
        yield "Fleiss' kappa", f"{number(found.fleiss)} with automatic labels, {experts} without"
    if found.ranking is not None and found.ranking.place is not None:
        order = ", ".join(f"{name} {value:.3f}" for name, value in found.ranking.order)
        duels = [duel for duel in found.ranking.duels if duel.expert is not None]
        yield (
            "rank of the automatic labels",
            f"{found.ranking.place} of {len(found.ranking.order)} (F1 against the majority of the "
            f"other experts: {order}); as good as {found.ranking.beaten} of {len(duels)} experts",
        )


def _parts(found: Agreed) -> Iterator[str]:
    yield heading(f"Agreement of {found.dataset.name}", 1)
    yield facts(
        [
            (number(one.f1), f"F1 of {name}, against {reader.name}", None)
            for reader in found.readers
            for name, one in reader.classes.items()
        ]
        + [(number(reader.kappa), f"kappa with {reader.name}", None) for reader in found.readers]
    )
    if found.warnings:
        yield box("warn", "Before trusting the numbers", found.warnings)
    yield heading("Experts")
    yield _table(found)
    yield table(list(_facts(found)))
    yield paragraph(
        "Compared are cells of the file that an expert named and whose automatic label is known. "
        "An expert's label is no truth either: read the scores beside how experts agree with each "
        "other."
    )
    for reader in found.readers:
        yield heading(f"{reader.name}: cells by class", 3)
        yield _counts(found, reader)
    yield from _gallery(found)


def _table(found: Agreed) -> str:
    heads = ("expert", "class", "annotated", "labelled", "precision", "recall", "F1", "kappa")
    head = "".join(f'<th class="{"n" if k > 1 else ""}">{n}</th>' for k, n in enumerate(heads))
    lines = []
    for reader in found.readers:
        for row in _rows(reader):
            cells = "".join(
                f'<td class="{"n" if k > 1 else ""}">{escape(text)}</td>'
                for k, text in enumerate(row)
            )
            lines.append(f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _counts(found: Agreed, reader: Reader) -> str:
    head = "".join(f'<th class="n">automatic {escape(name)}</th>' for name in found.classes)
    lines = []
    for name, counts in zip(found.classes, reader.counts, strict=True):
        cells = "".join(f'<td class="n">{count:,}</td>' for count in counts)
        lines.append(f"<tr><th>expert {escape(name)}</th>{cells}</tr>")
    return f'<div class="scroll"><table><tr><th></th>{head}</tr>{"".join(lines)}</table></div>'


def _gallery(found: Agreed) -> Iterator[str]:
    yield heading("Where they differ")
    slide = _slide(found)
    if slide is None:
        where = found.he.path or "its place"
        yield box("", f"The H&E slide is not at {where}, so there are no pictures.")
        return
    auto, experts = found.labels[0], majority(found.labels[1:])
    who = "the expert" if len(found.readers) == 1 else "most experts"
    differ = np.flatnonzero((auto >= 0) & (experts >= 0) & (auto != experts))
    yield paragraph(
        f"Crops of {CROP_UM:g} µm of cells that {who} named otherwise, spread over the slide; the "
        f"outline hides under the pointer. {len(differ):,} cells in all."
    )
    kinds = np.stack([auto[differ], experts[differ]], axis=1)
    for a, e in np.unique(kinds, axis=0).tolist():
        there = differ[(kinds == [a, e]).all(axis=1)]
        chosen = there[sample(found.table.xy[there], np.zeros(len(there), np.int64), _SHOWN)]
        title = f"automatic {found.classes[a]}, {who} {found.classes[e]}"
        yield heading(f"{title}: {len(chosen)} of {len(there):,}", 3)
        yield grid([_figure(found, slide, cell) for cell in chosen.tolist()], "gallery")


def _figure(found: Agreed, slide: Slide, cell: int) -> str:
    mpp = found.he.mpp or 0.0
    xy: NDArray[np.float64] = found.table.xy[cell]
    window = held(Window.around(xy, mpp, 1.0), slide.size)
    rgb = slide.read_rgb(window.corner, (window.side, window.side), 1.0)
    outline = Shape(found.table.contour(cell).astype(np.float64), FOUND, True)
    x, y = np.rint(xy).astype(int).tolist()
    svg = crop_svg(rgb, window, [outline], f"cell {cell} at x {x}, y {y}")
    votes = found.labels[1:, cell]
    lines = [f"cell {cell}"] + [
        f"{reader.name}: {found.classes[vote]}"
        for reader, vote in zip(found.readers, votes.tolist(), strict=True)
        if vote >= 0
    ]
    text = "<br>".join(map(escape, lines))
    return f"<figure>{svg}<figcaption>{text}</figcaption></figure>"


def _slide(found: Agreed) -> Slide | None:
    """The H&E slide, None where it is no longer what the file was built from."""
    path = Path(found.he.path)
    if not path.exists():
        return None
    try:
        slide = open_slide(path)
    except RegdataError:
        return None
    same = found.he.size in (None, slide.size)
    return slide if same and slide.is_rgb else None
