"""The page of an agreement: tables, and crops where automatic labels and experts differ."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from regdata.errors import RegdataError
from regdata.eval import Agreed, Reader
from regdata.eval.metrics import majority
from regdata.report import (
    CROP_UM,
    Crop,
    Fact,
    Group,
    Outline,
    Window,
    number,
    render,
    sample,
    text_table,
)
from regdata.slides import Slide, open_slide

_SHOWN = 24
"""Crops of each kind of difference."""
_HEADS = ("expert", "class", "annotated", "labelled", "precision", "recall", "F1", "kappa")


def agreement_page(agreement: Agreed) -> str:
    """The page as HTML; crops are read from the H&E slide if it is still in its place."""
    slide = _slide(agreement)
    who = "the expert" if len(agreement.readers) == 1 else "most experts"
    groups = [] if slide is None else list(_differences(agreement, slide, who))
    return render(
        "agreement.html",
        title=f"Agreement of {agreement.dataset.name}",
        facts=_facts(agreement),
        doubts=agreement.warnings,
        heads=_HEADS,
        rows=[row for reader in agreement.readers for row in _rows(reader)],
        sums=list(_sums(agreement)),
        classes=agreement.classes,
        readers=agreement.readers,
        he=None if slide else agreement.he.path or "its place",
        who=who,
        crop_um=CROP_UM,
        groups=groups,
    )


def agreement_table(agreement: Agreed) -> str:
    """Table as text: a line per expert and positive class, then kappas and the ranking."""
    rows = [_HEADS, *(row for reader in agreement.readers for row in _rows(reader))]
    return "\n".join(
        [text_table(rows, left=(0, 1)), *(f"{name}: {text}" for name, text in _sums(agreement))]
    )


def _rows(reader: Reader) -> Iterator[tuple[str, ...]]:
    for name, one in reader.classes.items():
        rates = map(number, (one.precision, one.recall, one.f1, reader.kappa))
        yield (reader.name, name, str(one.annotated), str(one.labelled), *rates)


def _sums(agreement: Agreed) -> Iterator[tuple[str, str]]:
    for reader in agreement.readers:
        text = f"{reader.matched} of {reader.nuclei} nuclei lie on a cell"
        yield reader.name, f"{text}; {reader.unknown} of these are unknown and left out"
    if len(agreement.readers) > 1:
        yield "labelled by all", f"{agreement.common} cells"
        experts = number(agreement.fleiss_experts)
        yield (
            "Fleiss' kappa",
            f"{number(agreement.fleiss)} with automatic labels, {experts} without",
        )
    ranking = agreement.ranking
    if ranking is not None and ranking.place is not None:
        order = ", ".join(f"{name} {value:.3f}" for name, value in ranking.order)
        duels = [duel for duel in ranking.duels if duel.expert is not None]
        yield (
            "rank of the automatic labels",
            f"{ranking.place} of {len(ranking.order)} (F1 against the majority of the "
            f"other experts: {order}); as good as {ranking.beaten} of {len(duels)} experts",
        )


def _facts(agreement: Agreed) -> Iterator[Fact]:
    for reader in agreement.readers:
        for name, one in reader.classes.items():
            yield Fact(number(one.f1), f"F1 of {name}, against {reader.name}")
    for reader in agreement.readers:
        yield Fact(number(reader.kappa), f"kappa with {reader.name}")


def _differences(agreement: Agreed, slide: Slide, who: str) -> Iterator[Group]:
    """Crops of cells whose classes differ, a group per pair of classes."""
    auto, experts = agreement.labels[0], majority(agreement.labels[1:])
    differ = np.flatnonzero((auto >= 0) & (experts >= 0) & (auto != experts))
    kinds = np.stack([auto[differ], experts[differ]], axis=1)
    for a, e in np.unique(kinds, axis=0).tolist():
        there = differ[(kinds == [a, e]).all(axis=1)]
        chosen = there[sample(agreement.table.xy[there], np.zeros(len(there), np.int64), _SHOWN)]
        title = f"automatic {agreement.classes[a]}, {who} {agreement.classes[e]}"
        yield Group(title, len(there), [_crop(agreement, slide, cell) for cell in chosen.tolist()])


def _crop(agreement: Agreed, slide: Slide, cell: int) -> Crop:
    xy = agreement.table.xy[cell]
    window = Window.around(xy, agreement.he.mpp or 0.0, 1.0).held(slide.size)
    rgb = slide.read_rgb(window.corner, (window.side, window.side), 1.0)
    outline = Outline(window.inside(agreement.table.contour(cell)), width=2.2)
    x, y = np.rint(xy).astype(int).tolist()
    votes = zip(agreement.readers, agreement.labels[1:, cell].tolist(), strict=True)
    lines = [f"{reader.name}: {agreement.classes[vote]}" for reader, vote in votes if vote >= 0]
    return Crop([rgb], [outline], f"cell {cell} at x {x}, y {y}", [f"cell {cell}", *lines])


def _slide(agreement: Agreed) -> Slide | None:
    """The H&E slide; None where it is missing or another one than that of the build."""
    path = Path(agreement.he.path)
    if not path.exists():
        return None
    try:
        slide = open_slide(path)
    except RegdataError:
        return None
    same = agreement.he.size in (None, slide.size)
    return slide if same and slide.is_rgb else None
