"""A validation as text: auto-labels beside experts."""

from regdata.studies.validation import Validation


def table(found: Validation) -> str:
    """The scores side by side, as text: honest columns, then the published pooling."""
    lines = [
        f"{'':24}{'auto-labels':>12}{'experts':>10}{'gap':>8}  {'95 % interval':16}"
        f"{'legacy auto':>12}{'experts':>9}{'chance':>8}"
    ]
    for name, gap in found.gap.items():
        old = found.legacy.get(name, {})
        interval = "-" if gap.low is None else f"{gap.low:+.3f} to {gap.high:+.3f}"
        lines.append(
            f"{'F1 ' + name if name != 'mean F1' else name:24}{_fixed(gap.first):>12}"
            f"{_fixed(gap.second):>10}{_fixed(gap.value, '+'):>8}  {interval:16}"
            f"{_fixed(old.get('auto_labels')):>12}{_fixed(old.get('experts')):>9}"
            f"{_fixed(old.get('chance')):>8}"
        )
    cells = ", ".join(map(str, found.train_cells[1]))
    lines.append(
        f"{found.auto.images} test image(s) of {found.auto.slides} slide(s), scored one by one, "
        f"one-to-one within {found.auto.conventions.radius_um:g} µm; {len(found.experts)} expert "
        f"score(s); heads trained on {found.train_cells[0]} auto-labelled and {cells} "
        "expert-labelled cells. Legacy: all images of a slide in one frame, 15 px, as the "
        "published scores; compare it with its chance level."
    )
    return "\n".join(lines)


def _fixed(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"
