"""Runs VALIS on two slides and writes where it takes a grid of points; needs valis and numpy only.

    python valis_bridge.py REQUEST.json

A script that stands alone, as VALIS lives in an environment of its own. The request names two
slides, the nuclear channel, the distance of the grid's points (level-0 pixels of the H&E), the
most points a side, the share of the full resolution for VALIS's last stage, a folder for VALIS's
files and the file to write.

That file, .npz, holds the distance of the points and per stage ("rigid", "non_rigid", "micro") a
(rows, cols, 2) array: the level-0 pixel of the other slide that point (c, r) * spacing of the H&E
lies on. It is written again after every stage, so that one that fails takes nothing with it.
"""

import importlib
import json
import os
import sys
from typing import Any

import numpy as np


def main(request_path: str) -> None:
    """Register, sampling after every stage."""
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    he, if_ = request["he"], request["if"]
    preprocessing = importlib.import_module("valis.preprocessing")
    processors = {
        he: [preprocessing.HEDeconvolution, {"stain": "hem"}],
        if_: [preprocessing.ChannelGetter, {"channel": request["dapi"], "adaptive_eq": True}],
    }
    registrar = _registrar(he, if_, request["folder"])
    registrar.register(processor_dict=processors)
    here, there = registrar.get_slide(he), registrar.get_slide(if_)
    size = [int(side) for side in here.slide_dimensions_wh[0]]
    spacing = max(float(request["spacing"]), max(size) / request["most"])
    grid = points(size, spacing)
    samples = {"spacing": np.array(spacing)}

    def sample(stage: str, non_rigid: bool) -> None:
        mapped = here.warp_xy_from_to(grid.reshape(-1, 2), there, non_rigid=non_rigid)
        samples[stage] = np.asarray(mapped, np.float64).reshape(grid.shape)
        write(request["output"], samples)

    sample("rigid", False)
    sample("non_rigid", True)
    if request["micro"]:
        registrar.register_micro(
            max_non_rigid_registration_dim_px=int(max(size) * request["micro"]),
            reference_img_f=he,
            align_to_reference=True,
            processor_dict=processors,
        )
        sample("micro", True)


def _registrar(he: str, if_: str, folder: str) -> Any:
    """VALIS with the detector it was measured with; its default downloads weights."""
    registration, detectors, matchers = (
        importlib.import_module(f"valis.{name}")
        for name in ("registration", "feature_detectors", "feature_matcher")
    )
    return registration.Valis(
        os.path.dirname(he),
        folder,
        name="registered",
        img_list=[he, if_],
        imgs_ordered=True,
        reference_img_f=he,
        align_to_reference=True,
        check_for_reflections=True,
        matcher=matchers.Matcher(feature_detector=detectors.KazeFD()),
    )


def points(size: list[int], spacing: float) -> Any:
    """Grid over a slide of (w, h) pixels, (rows, cols, 2); the last row and column reach its end.

    Examples
    --------
    >>> points([10, 4], 5.0)[:, :, 0].tolist()
    [[0.0, 5.0, 10.0], [0.0, 5.0, 10.0]]
    """
    columns, rows = (int(np.ceil(side / spacing)) + 1 for side in size)
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=2) * spacing


def write(path: str, arrays: dict[str, Any]) -> None:
    """Write an .npz that is there in full or not at all."""
    part = path + ".part.npz"
    np.savez(part, **arrays)
    os.replace(part, path)


if __name__ == "__main__":
    main(sys.argv[1])
