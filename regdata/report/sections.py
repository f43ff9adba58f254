"""The report from its headline to its provenance, section by section, as HTML."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from regdata.arrays import RGB
from regdata.cells import SlideRecord
from regdata.names import NEGATIVE, UNKNOWN
from regdata.report.contents import Build
from regdata.report.html import box, css, facts, grid, heading, paragraph, picture, table
from regdata.report.maps import bar_um, smaller, with_bar
from regdata.report.pictures import overlay, stretch

_THUMB, _DETAIL = 760, 600  # pixels a side

_MEANS = (
    "A label says what the immunofluorescence shows at the place of a nucleus, as far as the two "
    "slides fit; it is not a diagnosis, and no person has checked it.",
    "The probability (P) comes from the marker's intensity in the nucleus beside the threshold, "
    "and from the expected error of the registration. How steeply it rises was fitted on simulated "
    "and restained sections of known truth, not on this slide: use it to rank and to weigh nuclei, "
    "not as a measured error rate. To know that, have a random sample of this file labelled by "
    "hand.",
    "Wrong labels that none of these numbers can show: tissue moved between the two stainings and "
    "fits again by chance, antibodies that bind elsewhere, nuclei the network did not find.",
)
_MEANS_MASKS = (
    "The labels come from a mask that was given; how it was made, and how well it fits the H&E, "
    "this page cannot judge. Look at the gallery.",
)


def headline(build: Build) -> Iterator[str]:
    """File, numbers, verdict, warnings."""
    labels = build.labels
    total = len(labels)
    yield heading(f"Labels of {build.name}", 1)
    numbers: list[tuple[str, str, str | None]] = [(f"{total:,}", "nuclei", None)]
    for name in (*build.classes, NEGATIVE, UNKNOWN):
        count = int((labels == name).sum())
        share = f" ({count / total:.1%})" if total else ""
        numbers.append((f"{count:,}", f"{name}{share}", css(build.colour_of(name))))
    yield facts(numbers)
    yield _verdict(build)
    warnings = [*build.warnings, *_doubts_of_counts(build)]
    if warnings:
        yield box("warn", "Before trusting the labels", warnings)


def _verdict(build: Build) -> str:
    found = build.verdict
    if found is None:
        return box("", "No registration: what is stained was given in the frame of the H&E slide.")
    words = {"accept": "Registration accepted", "warn": "Registration doubtful"}
    text = (
        f"{words.get(found.status, 'Registration refused')}: median expected error "
        f"{found.median_um:.2f} µm (90 % below {found.p90_um:.2f} µm), "
        f"{found.accepted:.0%} of {found.tiles} tiles with nuclei accepted"
    )
    return box("good" if found.status == "accept" else "warn", text, found.reasons)


def _doubts_of_counts(build: Build) -> list[str]:
    """What the numbers of labels give reason to doubt."""
    labels, out = build.labels, []
    unknown = build.unknown.mean() if len(labels) else 0.0
    if unknown > 0.5:
        out.append(f"{unknown:.0%} of the nuclei are unknown; see the reasons below")
    for name in build.classes:
        count = int((labels == name).sum())
        if count == 0:
            out.append(f"no nucleus is {name}")
        elif count < 20:
            some = "1 nucleus is" if count == 1 else f"{count} nuclei are"
            out.append(f"only {some} {name}: too few to train or to judge by")
    if len(labels) and not (labels == NEGATIVE).any():
        out.append("no nucleus is negative")
    return out


def alignment(build: Build) -> Iterator[str]:
    """Pictures of both slides and of how they fit."""
    seen = build.look
    mpp = seen.downsample * build.mpp

    def shown(image: RGB, text: str, pixel: float, longest: int) -> str:
        less = smaller(image, longest)
        pixel *= image.shape[1] / less.shape[1]
        length = bar_um(less.shape[1], pixel)
        told = f"{text} Bar: {length} µm." if length else text
        return picture(with_bar(less, pixel), told)

    yield heading("Do the slides fit?")
    figures = [shown(seen.he, "H&E.", mpp, _THUMB)]
    if seen.dapi is not None:
        grey = np.repeat((255 * stretch(seen.dapi))[..., None], 3, -1).astype(np.uint8)
        figures.append(shown(grey, "Nuclear stain, warped to the H&E.", mpp, _THUMB))
        text = (
            "Hematoxylin green, warped nuclear stain magenta: white is aligned, a green and a "
            "magenta rim on opposite sides show a shift."
        )
        figures.append(shown(overlay(seen.he, seen.dapi), text, mpp, _THUMB))
    near = build.aligned.step * build.mpp
    rows, columns = (
        slice(max(0, (side - _DETAIL) // 2), max(0, (side - _DETAIL) // 2) + _DETAIL)
        for side in seen.near_he.shape[:2]
    )
    if seen.near_dapi is not None:
        both = overlay(seen.near_he, seen.near_dapi)[rows, columns]
        figures.append(shown(both, "The same at full resolution, one place.", near, _DETAIL))
    else:
        figures.append(shown(seen.near_he[rows, columns], "H&E, one place.", near, _DETAIL))
    yield grid(figures)


def honesty(build: Build) -> Iterator[str]:
    """What the numbers mean and what they do not."""
    yield heading("What the numbers mean")
    for text in _MEANS if build.verdict is not None else _MEANS_MASKS:
        yield paragraph(text)


def provenance(build: Build) -> Iterator[str]:
    """What the file was made from, with what."""
    yield heading("Made from")
    rows: list[tuple[str, str]] = []
    record = build.record
    masks = None if record.masks is None else record.masks.slide
    for title, slide in (("H&E slide", record.he), ("IF slide", record.if_), ("masks", masks)):
        rows += _slide_rows(title, slide) if slide is not None and slide.path else []
    model, registration = _flat(asdict(record.model)), _flat(record.registration)
    numbers = {"model": model, "registration": registration, "versions": _flat(record.versions)}
    rows += [(name, text) for name, text in numbers.items() if text]
    rows += [(f"class {name}", one.rule) for name, one in build.classes.items()]
    yield table(rows)
    if record.options:
        text = json.dumps(record.options, indent=1, ensure_ascii=False)
        yield f"<details><summary>All options</summary><pre>{_escaped(text)}</pre></details>"


def _slide_rows(title: str, slide: SlideRecord) -> list[tuple[str, str]]:
    size = "" if slide.size is None else f"{slide.size[0]} x {slide.size[1]} pixels"
    pixel = "" if slide.mpp is None else f" of {slide.mpp:.4g} µm"
    rows = [(title, f"{slide.path}: {size}{pixel}")]
    if slide.channels:
        rows.append((f"{title}, channels", ", ".join(slide.channels)))
    if slide.sha256:
        rows.append((f"{title}, identity", slide.sha256))
    return rows


def _flat(facts: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float | np.floating) else f"{name} {value}"
        for name, value in facts.items()
        if value not in (None, "")
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
