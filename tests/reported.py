"""A small build in memory, as the tests of the report take it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regdata.cells.record import (
    ChannelRecord,
    HistogramRecord,
    MaskRecord,
    MasksRecord,
    Record,
    SlideRecord,
    ThresholdRecord,
)
from regdata.cells.table import CellTable
from regdata.labelling.rules.reasons import NONE, REASONS, bit
from regdata.labelling.thresholds.surface import Surface
from regdata.labelling.thresholds.threshold import Threshold
from regdata.report.build_page import classes_from
from regdata.report.contents import Build
from regdata.report.qc import Aligned, Look, Place
from regdata.slides.slide import Box, Slide

SIDE, RADIUS, MPP = 512, 10, 0.5


def slide(image: NDArray[Any], names: tuple[str, ...]) -> Slide:
    """A slide of one level from an array (C, H, W)."""

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[Any]:
        part = image[:, box.y : box.y + box.h, box.x : box.x + box.w]
        return np.ascontiguousarray(part[list(channels)])

    return Slide(Path("x"), ((image.shape[2], image.shape[1]),), MPP, names, image.dtype, pixels)


def discs(xy: NDArray[np.float64]) -> tuple[CellTable, NDArray[np.int32]]:
    """Round nuclei at whole pixels, and the image of their numbers 1..N."""
    instances = np.zeros((SIDE, SIDE), np.int32)
    contours = []
    for k, (x, y) in enumerate(xy.astype(int).tolist(), 1):
        cv2.circle(instances, (x, y), RADIUS, k, -1)
        mask = (instances == k).astype(np.uint8)
        found, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        contours.append(found[0][:, 0].astype(np.float32) + 0.5)
    n = len(xy)
    return CellTable(
        xy=xy.astype(int) + 0.5,
        vertices=np.concatenate([np.zeros((0, 2), np.float32), *contours]),
        offsets=np.cumsum([0, *map(len, contours)]).astype(np.int64),
        tokens=np.zeros((n, 0), np.float16),
        kind=np.ones(n, np.uint8),
        kind_probability=np.ones(n, np.float32),
        probability=np.ones(n, np.float32),
        area_um2=np.full(n, 80, np.float32),
        flags=np.zeros(n, np.uint8),
    ), instances


@dataclass(frozen=True)
class Judged:
    """A verdict that a test makes up."""

    status: str = "accept"
    reasons: tuple[str, ...] = ()
    accepted: float = 0.9
    median_um: float = 0.4
    p90_um: float = 0.8
    tiles: int = 7


def made(
    labels: list[str],
    marker: str = "CD3",
    classes: dict[str, str] | None = None,
    masks: bool = False,
    label_of: Callable[[str], str] = str,
) -> Build:
    """A build with nuclei of these labels in rows; stained where the label is no other one."""
    n = len(labels)
    k = np.arange(n)
    cells, instances = discs(np.stack([40 + k % 10 * 45, 40 + k // 10 * 45], -1).astype(float))
    names = np.array(labels, dtype="U40")
    positive = (names != "negative") & (names != "unknown")
    tall = np.where(np.concatenate([[False], positive])[instances], 900.0, 5.0)
    rgb = np.where(instances > 0, 90, 230).astype(np.uint8)[None].repeat(3, 0)
    light = tall[None].astype(np.float32)
    unknown = names == "unknown"
    obs = pd.DataFrame(
        {
            "label": pd.Categorical(names),
            "reason": pd.Categorical(np.where(unknown, "ambiguous", NONE)),
            "reasons": np.where(unknown, bit("ambiguous"), 0).astype(np.uint16),
            "registration_error_um": np.linspace(0.1, 2, n, dtype=np.float32),
            f"overlap_{marker}": np.where(positive, 0.9, np.where(unknown, 0.1, 0.0)),
        }
    )
    grid = np.array([[100, 200], [100, 300]], np.float32)
    surface = Surface(grid, 150.0, np.array([[1, 0], [1, 1]], np.float32))
    record = Record(
        classes=("negative", *(classes or {marker: ""})),
        options={"markers": [marker], "overlap": 0.15, "classes": classes or {}},
        versions={"regdata": "0"},
        he=SlideRecord(path="a/<he>.tif", mpp=MPP, size=(SIDE, SIDE), sha256="f0"),
    )
    if not masks:
        obs[f"probability_{marker}"] = np.where(positive, 0.9, 0.1).astype(np.float32)
        obs[f"p90_{marker}"] = np.where(positive, 900, 5).astype(np.float32)
        threshold = Threshold(
            method="local:150 around otsu",
            surface=surface,
            overall=150.0,
            contrast=20.0,
            bimodality=0.8,
            separation=4.0,
        )
        counts = np.bincount(tall.astype(int).ravel(), minlength=1000).astype(float)
        pixels = HistogramRecord(counts=counts, low=0.0, high=1000.0)
        record = replace(
            record,
            thresholds={marker: ThresholdRecord(**threshold.describe())},
            channels={marker: ChannelRecord(pixels=pixels)},
        )
    else:
        image = SlideRecord(path="a/masks.png", size=(SIDE, SIDE), channels=("grey",))
        stained = MaskRecord(channel="grey", values=(0.0, 1.0), share=0.1)
        record = replace(record, masks=MasksRecord(slide=image, ratio=1, markers={marker: stained}))
    he = slide(rgb, ("red", "green", "blue"))
    dapi = slide(rgb[:1].astype(np.float32), ("DAPI",))
    stain = slide((light > 50).astype(np.uint8) if masks else light, (marker,))
    limits = {} if masks else {marker: surface}
    aligned = Aligned(he, None if masks else dapi, {marker: stain}, limits, 1.0)
    picture = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    grey = None if masks else 255.0 - rgb[0]
    look = Look(picture, grey, 1.0, Place((0.0, 0.0), (SIDE, SIDE)), picture, grey)
    found = classes_from(record, obs, (marker,))
    verdict = None if masks else Judged()
    return Build(
        name="x.h5",
        cells=cells,
        obs=obs,
        record=record,
        aligned=aligned,
        look=look,
        classes=found,
        reasons=REASONS,
        verdict=verdict,
    )
