"""Deformation by VALIS, which runs in an environment of its own; see `valis_bridge`."""

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.registration.bend import through_samples
from regdata.transforms import Transform, fit_landmarks

Score = Callable[[Transform], float]

_STAGES = ("rigid", "non_rigid", "micro")
_SPACING_UM = 16.0
_MOST_POINTS = 2048  # a side
_BRIDGE = Path(__file__).with_name("valis_bridge.py")


@dataclass(frozen=True)
class ValisRun:
    """How VALIS is run.

    Attributes
    ----------
    python
        Interpreter that has VALIS; None for the present one.
    micro
        Share of the full resolution at which VALIS registers once more, slowly; 0 for not at
        all.
    """

    python: Path | None = None
    micro: float = 0.25


def missing_valis(python: Path | None = None) -> str | None:
    """What is missing to run VALIS, None if nothing; its interpreter is not started."""
    if python is None and importlib.util.find_spec("valis") is None:
        return (
            "VALIS is not installed here; install valis-wsi in an environment of its own and pass "
            "`valis_python=PATH`, the python in it"
        )
    if python is not None and shutil.which(str(python)) is None:
        return f"expected a python with VALIS, got {python}, which is no program; mend the path"
    return None


def deform_valis(
    he: Path,
    if_: Path,
    mpps: tuple[float, float],
    dapi: str,
    score: Score,
    run: ValisRun = ValisRun(),
) -> Transform:
    """The whole map, H&E µm to IF µm, by VALIS, which reads the files itself.

    The map of every stage is fetched, and the one that scores best is kept: VALIS's later
    stages can do worse than its rigid one.

    Parameters
    ----------
    he, if_
        Slides that VALIS can read.
    mpps
        µm per pixel of the two.
    dapi
        Nuclear channel of the IF, its name, or its index as digits.
    score
        Of a transform; the higher the better.
    run
        See `ValisRun`.

    Returns
    -------
    Transform
        H&E µm to IF µm.

    Raises
    ------
    RegdataError
        When VALIS is missing or fails, or its maps of all stages fold.
    """
    if reason := missing_valis(run.python):
        raise RegdataError(reason)
    with tempfile.TemporaryDirectory(prefix="regdata-valis-") as folder:
        stages, spacing_px = _fetched(he, if_, mpps, dapi, run, Path(folder))
    maps, reasons = [], []
    for stage, mapped in stages.items():
        try:
            maps.append(_transform(mapped, spacing_px, mpps, stage))
        except RegdataError as error:
            reasons.append(error.message)
    if not maps:
        raise RegdataError(f"no map of VALIS can be used: {'; '.join(reasons)}")
    return max(maps, key=score)


def _fetched(
    he: Path, if_: Path, mpps: tuple[float, float], dapi: str, run: ValisRun, folder: Path
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Maps by stage, level-0 pixels to level-0 pixels, and the distance of their points."""
    output = folder / "maps.npz"
    request = {
        "he": str(he.resolve()),
        "if": str(if_.resolve()),
        "dapi": int(dapi) if dapi.isdecimal() else dapi,
        "spacing": _SPACING_UM / mpps[0],
        "most": _MOST_POINTS,
        "micro": run.micro,
        "folder": str(folder),
        "output": str(output),
    }
    (folder / "request.json").write_text(json.dumps(request))
    # a copy: beside the original, modules of ours would hide others of the same names
    script = shutil.copy(_BRIDGE, folder)
    command = [str(run.python or sys.executable), str(script), "request.json"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise RegdataError(f"cannot run {command[0]}: {error.strerror}") from error
    if not output.is_file():
        raise RegdataError(f"VALIS failed: {_reason(done)}; use another engine")
    try:
        with np.load(output) as arrays:
            stages = {stage: arrays[stage] for stage in _STAGES if stage in arrays}
            return stages, float(arrays["spacing"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RegdataError(f"VALIS wrote a damaged file ({error}); run it again") from error


def _transform(
    mapped_px: NDArray[np.float64], spacing_px: float, mpps: tuple[float, float], stage: str
) -> Transform:
    mapped = mapped_px * mpps[1]
    rows, columns = mapped.shape[:2]
    spacing_um = spacing_px * mpps[0]
    columns_rows = np.meshgrid(np.arange(columns), np.arange(rows))
    nodes = np.stack(columns_rows, axis=2).astype(np.float64) * spacing_um
    finite = np.isfinite(mapped).all(2)
    if finite.sum() < 3:
        raise RegdataError(f"expected VALIS to map the H&E, got no point ({stage})")
    start = fit_landmarks(nodes[finite], mapped[finite], "affine").matrix
    return through_samples(mapped, spacing_um, start, f"VALIS ({stage})")


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of the report: Python's own says what is wrong."""
    lines = (done.stderr or done.stdout).strip().splitlines()
    if lines and "No module named 'valis'" in lines[-1]:
        return f"{done.args[0]} has no VALIS; install valis-wsi there"
    return lines[-1].strip()[:300] if lines else f"it ended with code {done.returncode}"
