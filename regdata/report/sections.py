"""Sections of the report of a build, from its headline to its provenance."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from regdata.arrays import RGB
from regdata.cells import SlideRecord
from regdata.names import NEGATIVE, UNKNOWN
from regdata.report.contents import Build
from regdata.report.maps import smaller, with_bar, with_length
from regdata.report.page import Fact, Figure, Note, css
from regdata.report.pictures import overlay, stretch

_THUMB, _DETAIL = 760, 600  # pixels a side


def counts(build: Build) -> Iterator[Fact]:
    """Number of nuclei, in all and of each label."""
    labels = build.labels
    total = len(labels)
    yield Fact(f"{total:,}", "nuclei")
    for name in (*build.classes, NEGATIVE, UNKNOWN):
        count = int((labels == name).sum())
        share = f" ({count / total:.1%})" if total else ""
        yield Fact(f"{count:,}", f"{name}{share}", css(build.colour_of(name)))


def verdict(build: Build) -> Note:
    """The verdict on the registration as a note."""
    judged = build.verdict
    if judged is None:
        return Note("", "No registration: what is stained was given in the frame of the H&E slide.")
    words = {"accept": "Registration accepted", "warn": "Registration doubtful"}
    text = (
        f"{words.get(judged.status, 'Registration refused')}: median expected error "
        f"{judged.median_um:.2f} µm (90 % below {judged.p90_um:.2f} µm), "
        f"{judged.accepted:.0%} of {judged.tiles} tiles with nuclei accepted"
    )
    return Note("good" if judged.status == "accept" else "warn", text, judged.reasons)


def doubts(build: Build) -> Iterator[str]:
    """Warnings, and doubts that follow from the numbers of labels."""
    yield from build.warnings
    labels = build.labels
    unknown = build.unknown.mean() if len(labels) else 0.0
    if unknown > 0.5:
        yield f"{unknown:.0%} of the nuclei are unknown; see the reasons below"
    for name in build.classes:
        count = int((labels == name).sum())
        if count == 0:
            yield f"no nucleus is {name}"
        elif count < 20:
            some = "1 nucleus is" if count == 1 else f"{count} nuclei are"
            yield f"only {some} {name}: too few to train or to judge by"
    if len(labels) and not (labels == NEGATIVE).any():
        yield "no nucleus is negative"


def alignment(build: Build) -> Iterator[Figure]:
    """Figures of both slides and of their overlay."""
    look = build.look
    mpp = look.downsample * build.mpp
    yield _measured(look.he, "H&E.", mpp, _THUMB)
    if look.dapi is not None:
        grey = np.repeat((255 * stretch(look.dapi))[..., None], 3, -1).astype(np.uint8)
        yield _measured(grey, "Nuclear stain, warped to the H&E.", mpp, _THUMB)
        text = (
            "Hematoxylin green, warped nuclear stain magenta: white is aligned, a green and a "
            "magenta rim on opposite sides show a shift."
        )
        yield _measured(overlay(look.he, look.dapi), text, mpp, _THUMB)
    near = build.aligned.step * build.mpp
    rows, columns = (
        slice(max(0, (side - _DETAIL) // 2), max(0, (side - _DETAIL) // 2) + _DETAIL)
        for side in look.near_he.shape[:2]
    )
    if look.near_dapi is not None:
        both = overlay(look.near_he, look.near_dapi)[rows, columns]
        yield _measured(both, "The same at full resolution, one place.", near, _DETAIL)
    else:
        yield _measured(look.near_he[rows, columns], "H&E, one place.", near, _DETAIL)


def _measured(image: RGB, text: str, mpp: float, longest: int) -> Figure:
    """A picture of at most `longest` pixels a side with a scale bar; `mpp` is of `image`."""
    less = smaller(image, longest)
    mpp *= image.shape[1] / less.shape[1]
    return Figure(with_length(text, less.shape[1], mpp), with_bar(less, mpp))


def provenance(build: Build) -> Iterator[tuple[str, str]]:
    """Slides, model, registration, versions and rules of the file: names and values."""
    record = build.record
    masks = None if record.masks is None else record.masks.slide
    for title, slide in (("H&E slide", record.he), ("IF slide", record.if_), ("masks", masks)):
        if slide is not None and slide.path:
            yield from _slide_rows(title, slide)
    model, registration = _flat(asdict(record.model)), _flat(record.registration)
    numbers = {"model": model, "registration": registration, "versions": _flat(record.versions)}
    yield from ((name, text) for name, text in numbers.items() if text)
    yield from ((f"class {name}", one.rule) for name, one in build.classes.items())


def options_text(build: Build) -> str:
    """All options as JSON; empty if there are none."""
    options = build.record.options
    return json.dumps(options, indent=1, ensure_ascii=False) if options else ""


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
