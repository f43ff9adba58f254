"""The texts of `regdata models`, for terminals of 80 columns and more."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from regdata.cellvit.networks import (
    ENCODERS,
    HEADS,
    HEADS_OF,
    PUBLISHED,
    WEIGHTS,
    ClassifierInfo,
    Description,
    EncoderFacts,
    NetworkFacts,
    has_regression,
)
from regdata.report import text_table

_WIDTH = 80
"""Columns of the longest line, where words allow."""
Row = tuple[str, object]

_GENERIC = ("CellViT-generic", "any plain ViT", "any", "any", "0.25", "any", "either")
_NOTE = (
    "Size: parameters, with 6 nucleus and 19 tissue classes (HistoPLUS: 15 and none). CellViT "
    "files trained at x20 are for 0.5 µm/px. A generic file must tell model.num_heads and "
    "model.extract_layers."
)


def models_dict(built_in: Description) -> dict[str, Any]:
    """All models there are, as plain values for JSON."""
    return {
        "built_in": built_in.to_dict(),
        "networks": [{**asdict(v), "regression": has_regression(v)} for v in PUBLISHED],
        "token_heads": [{**asdict(head), "tokens_of": HEADS_OF} for head in HEADS],
        "encoders": [asdict(weights) for weights in ENCODERS],
        "weights": dict(WEIGHTS),
    }


def models_text(built_in: Description) -> str:
    """All models there are: the built-in one and what can be loaded from files."""
    heads = [(head.name, f"{', '.join(head.classes)} (hidden {head.hidden})") for head in HEADS]
    encoders = [(w.name, f"{w.stored}; for {', '.join(w.networks)}; {w.licence}") for w in ENCODERS]
    sections = (
        ("Built in", _rows(_built_in(built_in))),
        ("Networks that can be loaded: `model=FILE`", _networks()),
        (f"Token classifiers that can be loaded, for {HEADS_OF}: `classifier=FILE`", _rows(heads)),
        ("Encoders alone, to start a training of a network", _paragraphs(encoders)),
        ("Weights are not downloaded. Where they are", _paragraphs(WEIGHTS)),
    )
    listed = "\n\n".join(f"{title}\n{textwrap.indent(text, '  ')}" for title, text in sections)
    return f"{listed}\n\n`regdata models show FILE` says what a file is."


def description_text(description: Description) -> str:
    """What to say of a file of weights, line by line."""
    about = description.about
    if isinstance(about, NetworkFacts):
        facts = _network(about)
    else:
        facts = _classifier(about) if isinstance(about, ClassifierInfo) else _encoder(about)
    rows = [
        ("file", f"{description.path}{' (built in)' if description.built_in else ''}"),
        *facts,
        ("size", _megabytes(description.size)),
        ("sha256", description.sha256),
        ("licence", description.licence),
        ("card" if description.built_in else "to cite", description.source),
    ]
    return _rows(row for row in rows if row[1] != "")


def _built_in(built_in: Description) -> list[Row]:
    about = built_in.about
    if not isinstance(about, NetworkFacts):
        return []
    config = about.config
    size = f"{_millions(about.parameters)} parameters, {_megabytes(built_in.size)}"
    return [
        (config.name, f"{size}, {config.mpp} µm/px, {built_in.licence}"),
        ("classes", ", ".join(config.classes[1:])),
        ("card", built_in.source),
    ]


def _networks() -> str:
    """The table of published networks, and whose they are."""
    head = ("name", "encoder", "size", "patch", "µm/px", "tokens", "regression")
    cells = [
        (
            v.name,
            v.encoder,
            _millions(v.parameters),
            str(v.patch),
            v.mpp.split()[0],
            str(v.token_width),
            "either" if has_regression(v) else "without",
        )
        for v in PUBLISHED
    ]
    table = text_table([head, *cells, _GENERIC], left=(0, 1, 6))
    terms = {f"{v.name.split('-')[0]}-*: {v.licence}; cite {v.source}." for v in PUBLISHED}
    return "\n".join([table, "", *(_wrapped("", note, 0) for note in (_NOTE, *sorted(terms)))])


def _network(about: NetworkFacts) -> list[Row]:
    config, patch = about.config, about.config.encoder.patch
    rows: list[Row] = [
        ("is", f"the network {config.name}{'' if about.problem else ' (use it as `model=`)'}"),
        ("entries", "see the error below" if about.problem else "complete"),
        ("parameters", f"{about.parameters:,}"),
        ("encoder", about.encoder),
        ("classes", ", ".join(config.classes)),
        ("tissues", config.tissues or "none"),
        ("regression", "with that branch" if config.regression else "without that branch"),
        ("resolution", f"{config.mpp} µm/px"),
        ("normalised", f"mean {_numbers(config.mean)}; std {_numbers(config.std)}"),
        ("tiles", f"{config.tile} px, {config.overlap} px overlap"),
        ("tokens", f"{config.token_width} wide, one for {patch} x {patch} px"),
    ]
    return [*rows, *(("reproduced", clause) for clause in about.differences)]


def _classifier(info: ClassifierInfo) -> list[Row]:
    file = f"sha256 {info.model_sha256[:12]}..." if info.model_sha256 else "it does not say which"
    return [
        ("is", "a token classifier (use it as `classifier=`)"),
        ("entries", "complete"),
        ("classes", ", ".join(info.classes)),
        ("tokens", f"{info.token_width} wide, of {info.model_name} ({file})"),
        ("hidden", f"{info.hidden} wide"),
        ("trained on", _training(info.training)),
    ]


def _training(training: dict[str, Any]) -> str:
    """Files and cells of a training, as far as the classifier tells."""
    counts = dict(training.get("train_cells", {}))
    cells = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    files = ", ".join(map(str, training.get("files", ())))
    return "; ".join(part for part in (files, cells) if part) or "it does not say"


def _encoder(about: EncoderFacts) -> list[Row]:
    unchecked = "complete" if about.networks else "not checked"
    return [
        ("is", "an encoder alone: it can start a training (load_encoder), not find nuclei"),
        ("entries", "see the error below" if about.problem else unchecked),
        ("stored as", about.stored),
        ("parameters", f"{about.parameters:,}"),
        ("encoder", f"{about.depth} blocks of width {about.width}, patches of {about.patch} px"),
        ("fits", ", ".join(about.networks) or "no published network; describe it by a VitEncoder"),
    ]


def _rows(rows: Iterable[Row]) -> str:
    """Labels and texts in two columns; a label that repeats is written once."""
    rows = list(rows)
    column = 2 + max(len(label) for label, _ in rows)
    lines, before = [], ""
    for label, value in rows:
        shown = "" if label == before else label
        lines.append(_wrapped(f"{shown:<{column}}", str(value), column))
        before = label
    return "\n".join(lines)


def _paragraphs(rows: Iterable[Row]) -> str:
    """The same with labels too long for a column."""
    return "\n".join(_wrapped("", f"{label}: {value}", 4) for label, value in rows)


def _wrapped(head: str, text: str, indent: int) -> str:
    return textwrap.fill(
        text,
        _WIDTH - 2,
        initial_indent=head,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
