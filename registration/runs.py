"""One registration from start to report, with any backend."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from regdata.errors import RegdataError
from regdata.files import Progress, replacing
from regdata.registration.backends import BACKENDS, ValisRun, deform_valis
from regdata.registration.bend import detail_score
from regdata.registration.quality import (
    TileQuality,
    Verdict,
    draw_quality,
    second_look,
    tile_quality,
    verdict,
    write_quality,
)
from regdata.registration.registration import Registration, fit_affine, given, register
from regdata.slides import Slide
from regdata.transforms import Transform

Method = Literal["ours", "affine", "simpleitk", "elastix", "valis", "given"]
Bar = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class SlidePair:
    """Two slides to register.

    Attributes
    ----------
    channel
        Index of the nuclear channel of the moving slide.
    """

    he: Slide
    if_: Slide
    channel: int


@dataclass(frozen=True)
class Judged:
    """A registration, how good it is tile by tile, and what it cost.

    Attributes
    ----------
    quality
        After the second look.
    cpu_seconds
        Of finding the map.
    """

    method: Method
    registration: Registration
    quality: TileQuality
    verdict: Verdict
    cpu_seconds: float


def run(pair: SlidePair, method: Method, bar: Bar, valis: ValisRun) -> Judged:
    """A registration by one method, corrected by its tiles and judged tile by tile.

    Raises
    ------
    RegdataError
        When the slides do not look like the same tissue, or the method fails.
    """
    start = time.process_time()
    with bar(method) as progress:
        registration = _find(pair, method, progress, valis)
    spent = time.process_time() - start
    with bar("quality") as progress:
        judged = judge_tiles(pair, registration, progress)
    return Judged(method, *judged, spent)


def judge_given(pair: SlidePair, he_to_if: Transform, bar: Bar) -> Judged:
    """A given map judged tile by tile; it is not changed."""
    with bar("quality") as progress:
        slides = pair.he, pair.if_, pair.channel
        quality = tile_quality(*slides, he_to_if, progress=progress)
    registration = given(*slides, he_to_if)
    return Judged("given", registration, quality, verdict(quality), 0.0)


def _find(pair: SlidePair, method: Method, progress: Progress, valis: ValisRun) -> Registration:
    """Register with one method."""
    he, if_, channel = pair.he, pair.if_, pair.channel
    if method in ("ours", "affine"):
        return register(he, if_, channel, progress, affine_only=method == "affine")
    fit = fit_affine(he, if_, channel, lambda share: progress(0.4 * share))
    if method == "valis":
        mpps = he.known_mpp("he_mpp"), if_.known_mpp("if_mpp")
        he_to_if = deform_valis(
            he.path, if_.path, mpps, str(channel), lambda t: detail_score(*fit.detail, t), valis
        )
    else:
        he_to_if = BACKENDS[method].deform(
            fit.fixed, fit.moving, fit.matrix, lambda share: progress(0.4 + 0.6 * share)
        )
    return fit.registration(he_to_if)


def judge_tiles(
    pair: SlidePair, registration: Registration, progress: Progress
) -> tuple[Registration, TileQuality, Verdict]:
    """A registration corrected by its confident tiles, their quality and the verdict."""
    slides = pair.he, pair.if_, pair.channel
    quality = tile_quality(*slides, registration.he_to_if, progress=lambda x: progress(0.5 * x))
    corrected = second_look(quality, registration.he_to_if)
    if corrected is not registration.he_to_if:
        again = tile_quality(*slides, corrected, progress=lambda x: progress(0.5 + 0.5 * x))
        if verdict(again).median_um < verdict(quality).median_um:
            registration, quality = replace(registration, he_to_if=corrected), again
    progress(1.0)
    return registration, quality, verdict(quality)


def write_report(pair: SlidePair, judged: Judged, folder: Path) -> None:
    """Write the tiles as CSV and GeoJSON, and pictures, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_quality(judged.quality, folder, pair.he.known_mpp("he_mpp"))
    slides = pair.he, pair.if_, pair.channel
    draw_quality(*slides, judged.registration.he_to_if, judged.quality, folder)


def check_verdict(pair: SlidePair, judged: Judged, report: Path) -> None:
    """Refuse a map that the tiles do not bear out.

    Raises
    ------
    RegdataError
        Says why, and where to look.
    """
    if judged.verdict.status == "refuse":
        raise RegdataError(
            f"{pair.he.path} and {pair.if_.path} cannot be registered well enough: "
            f"{'; '.join(judged.verdict.reasons)}; see the pictures in {report}"
        )


def best_of(judged: list[Judged]) -> Judged:
    """The map with the lowest median expected error, never one whose tiles show nothing."""
    return min(judged, key=lambda one: np.nan_to_num(one.verdict.median_um, nan=np.inf))


def _compared(judged: list[Judged]) -> pd.DataFrame:
    """One row per method, best first: what the tiles say and what it cost."""
    rows = [
        {
            "method": one.method,
            "correlation": round(one.registration.correlation, 3),
            "accepted": round(one.verdict.accepted, 3),
            "median_um": round(one.verdict.median_um, 3),
            "p90_um": round(one.verdict.p90_um, 3),
            "min_jacobian": round(one.verdict.min_jacobian, 2),
            "verdict": one.verdict.status,
            "cpu_s": round(one.cpu_seconds, 1),
        }
        for one in judged
    ]
    return pd.DataFrame(rows).sort_values("median_um", kind="stable")


def write_comparison(judged: list[Judged], path: Path) -> pd.DataFrame:
    """Write `_compared` as CSV."""
    table = _compared(judged)
    with replacing(path) as part:
        table.to_csv(part, index=False)
    return table
