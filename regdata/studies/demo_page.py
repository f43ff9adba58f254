"""The demo's summary: one page with numbers and pictures, everything inlined."""

import base64
from html import escape
from pathlib import Path
from typing import Any

import cv2

from regdata.errors import RegdataError
from regdata.files import replacing

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.6rem} h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;width:100%} td,th{padding:.3rem .6rem;border-bottom:1px solid #ddd}
th{text-align:left;font-weight:600} td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
img{max-width:100%;border:1px solid #ddd} figure{margin:1rem 0} figcaption{color:#555}
code{background:#f3f3f3;padding:.1rem .3rem}
"""
_PICTURES = (
    ("overlay", "Hematoxylin (green) and warped DAPI (magenta), whole section: white is aligned."),
    ("overlay_detail", "The same at full resolution."),
    ("CD3", "Marker mask and nuclei by label (red: lymphocyte, grey: negative); right: CD3."),
)


def write_page(folder: Path, facts: dict[str, Any]) -> Path:
    """Write `summary.html` from the demo's numbers and pictures; returns its path."""
    page = folder / "summary.html"
    with replacing(page) as part:
        part.write_text(_page(folder, facts), encoding="utf-8")
    return page


def _page(folder: Path, facts: dict[str, Any]) -> str:
    scores, labels = facts["scores"], facts["labels"]
    error, training = facts["registration_error_um"], facts["training"]
    detection = scores["detection"]
    found = [
        ("Nuclei found", f"{facts['nuclei']:,}"),
        ("Labelled", ", ".join(f"{n:,} {name}" for name, n in facts["counts"].items())),
        ("Registration error at nuclei", f"{error['median']:.2f} µm (p90 {error['p90']:.2f} µm)"),
        ("Hematoxylin-DAPI correlation", f"{facts['correlation']:.2f}"),
        ("Detection F1 against the truth", f"{labels['detected']:.3f}"),
        ("Label precision / recall", f"{labels['precision']:.3f} / {labels['recall']:.3f}"),
        ("Nuclei of unknown label", f"{labels['unknown']:.1%}"),
        ("Validation AUROC of the classifier", f"{training['best']['auroc']:.3f}"),
    ]
    rows = [("nucleus (any class)", detection), *scores["classes"].items()]
    figures = "".join(_figure(folder / "qc" / f"lymphocytes_{n}.png", t) for n, t in _PICTURES)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>regdata demo</title><style>{_STYLE}</style><h1>regdata demo</h1>"
        "<p>A simulated section: H&amp;E at 0.25 µm/px, the IF slide turned, warped and at "
        "0.325 µm/px, with CD3 on the lymphocytes, a tenth of which stay unstained. The truth is "
        "known, so every step can be measured. Simulated tissue is easier than real tissue.</p>"
        f"<h2>From two slides to labelled cells</h2><table>{''.join(map(_fact, found))}</table>"
        f"<h2>Classifier on {scores['images']} fields of another section</h2>"
        "<table><tr><th>class<th class=n>precision<th class=n>recall<th class=n>F1</tr>"
        f"{''.join(_rates(name, rates) for name, rates in rows)}</table>"
        f"<p>Mean F1 {_number(scores['mean_f1'])}, {_interval(scores['mean_f1_interval'])}; "
        f"one-to-one matches within {scores['conventions']['radius_um']} µm, per image.</p>"
        f"<h2>Look</h2>{figures}</html>"
    )


def _fact(fact: tuple[str, str]) -> str:
    return f"<tr><th>{escape(fact[0])}<td class=n>{escape(fact[1])}</tr>"


def _rates(name: str, rates: dict[str, Any]) -> str:
    values = (_number(rates[key]) for key in ("precision", "recall", "f1"))
    return f"<tr><td>{escape(name)}{''.join(f'<td class=n>{v}' for v in values)}</tr>"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _interval(interval: list[float] | None) -> str:
    return "no interval" if interval is None else "95 % interval {:.3f}-{:.3f}".format(*interval)


def _figure(path: Path, text: str) -> str:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise RegdataError(f"{path} is missing; run the demo again in a new folder")
    # JPEG: a tenth of the PNG's size, and nobody measures on this page
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    data = base64.b64encode(coded.tobytes()).decode()
    return (
        f'<figure><img alt="{escape(text)}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{escape(text)}</figcaption></figure>"
    )
