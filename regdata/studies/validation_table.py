"""A validation as text: auto-labels beside experts."""

from regdata.report import interval, number, text_table
from regdata.studies.validation import Validation

_HEADS = ("auto-labels", "experts", "gap", "95 % interval", "legacy auto", "experts", "chance")


def table(validation: Validation) -> str:
    """Table as text: scores image by image, then by the published pooling."""
    rows: list[tuple[str, ...]] = [("", *_HEADS)]
    for name, gap in validation.gap.items():
        old = validation.legacy.get(name, {})
        rows.append(
            (
                name if name == "mean F1" else f"F1 {name}",
                number(gap.first),
                number(gap.second),
                number(gap.value, "+.3f"),
                interval((gap.low, gap.high), "+.3f"),
                *(number(old.get(key)) for key in ("auto_labels", "experts", "chance")),
            )
        )
    cells = ", ".join(map(str, validation.train_cells[1]))
    auto = validation.auto
    footer = (
        f"{auto.images} test image(s) of {auto.slides} slide(s), scored one by one, "
        f"one-to-one within {auto.conventions.radius_um:g} µm; {len(validation.experts)} expert "
        f"score(s); heads trained on {validation.train_cells[0]} auto-labelled and {cells} "
        "expert-labelled cells. Legacy: all images of a slide in one frame, 15 px, as the "
        "published scores; compare it with its chance level."
    )
    return f"{text_table(rows)}\n{footer}"
