"""The demo's summary: one page with numbers and pictures, everything inlined."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.report import Figure, interval, number, render

_ALIGNMENT = {
    "overlay": "Hematoxylin (green) and warped DAPI (magenta), whole section: white is aligned.",
    "overlay_detail": "The same at full resolution.",
}
_LABELS = "Marker mask and nuclei by label (red: lymphocyte, grey: negative); right: CD3."


def write_page(folder: Path, facts: dict[str, Any]) -> Path:
    """Path of `summary.html`, written from the demo's numbers and pictures."""
    scores = facts["scores"]
    rates = {"nucleus (any class)": scores["detection"], **scores["classes"]}
    span = interval(scores["mean_f1_interval"], between="-")
    text = render(
        "demo.html",
        title="regdata demo",
        facts=_facts(facts),
        images=scores["images"],
        classes=[
            (name, *(number(one[key]) for key in ("precision", "recall", "f1")))
            for name, one in rates.items()
        ],
        mean_f1=scores["mean_f1"],
        how_sure="no interval" if span == "-" else f"95 % interval {span}",
        radius_um=scores["conventions"]["radius_um"],
        alignment=[_figure(folder, name, text) for name, text in _ALIGNMENT.items()],
        labels=_figure(folder, "CD3", _LABELS),
    )
    page = folder / "summary.html"
    with replacing(page) as part:
        part.write_text(text, encoding="utf-8")
    return page


def _facts(facts: dict[str, Any]) -> list[tuple[str, str]]:
    labels, error = facts["labels"], facts["registration_error_um"]
    return [
        ("Nuclei found", f"{facts['nuclei']:,}"),
        ("Labelled", ", ".join(f"{n:,} {name}" for name, n in facts["counts"].items())),
        ("Registration error at nuclei", f"{error['median']:.2f} µm (p90 {error['p90']:.2f} µm)"),
        ("Hematoxylin-DAPI correlation", f"{facts['correlation']:.2f}"),
        ("Detection F1 against the truth", f"{labels['detected']:.3f}"),
        ("Label precision / recall", f"{labels['precision']:.3f} / {labels['recall']:.3f}"),
        ("Nuclei of unknown label", f"{labels['unknown']:.1%}"),
        ("Validation AUROC of the classifier", f"{facts['training']['best']['auroc']:.3f}"),
    ]


def _figure(folder: Path, name: str, text: str) -> Figure:
    path = folder / "qc" / f"lymphocytes_{name}.png"
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise RegdataError(f"{path} is missing; run the demo again in a new folder")
    return Figure(text, np.asarray(picture, np.uint8)[..., ::-1])
