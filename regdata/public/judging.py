"""The map between two slides, computed or given, judged, and written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from regdata.arrays import Points
from regdata.chain import open_he_if
from regdata.errors import RegdataError
from regdata.files import bar
from regdata.public.outputs import check_output
from regdata.registration import (
    Judged,
    Registration,
    RegistrationError,
    SlidePair,
    best_of,
    check_verdict,
    judge_given,
    register_serial,
    run,
    target_registration_error,
    write_comparison,
    write_report,
)
from regdata.registration.backends import ValisRun, check_backend
from regdata.registration.pose import as_fluorescence
from regdata.registration.quality import Verdict
from regdata.slides import find_dapi
from regdata.transforms import Transform, load_transform, read_landmarks

Backend = Literal["ours", "affine", "simpleitk", "elastix", "valis"]
Stain = Literal["dapi", "hematoxylin", "dab"]
_BACKENDS = get_args(Backend)
_NEIGHBOURS = "neighbouring sections share no nuclei; labels need the same section"


@dataclass(frozen=True, kw_only=True)
class RegisterOptions:
    """The options of `regdata.register`; see there."""

    he: Path
    if_: Path
    output: Path
    dapi: str | None = None
    he_mpp: float | None = None
    if_mpp: float | None = None
    moving_stain: Stain = "dapi"
    serial: bool = False
    backend: Backend = "ours"
    compare: tuple[str, ...] = ()
    transform: Path | None = None
    valis_python: Path | None = None
    landmarks: tuple[Path, Path] | None = None
    report: Path | None = None
    overwrite: bool = False

    @property
    def folder(self) -> Path:
        """Where pictures and tiles go."""
        return self.report or self.output.with_name(f"{self.output.stem}_report")

    def check(self) -> None:
        """Refuse what excludes each other, and an output that must not be replaced.

        Raises
        ------
        RegdataError
            Says which.
        """
        ways = {
            "serial": self.serial,
            "transform": self.transform,
            "compare": self.compare,
            "backend": self.backend != "ours",
        }
        chosen = [f"`{name}=`" for name, given in ways.items() if given]
        if len(chosen) > 1:
            raise RegdataError(f"{' and '.join(chosen)} exclude each other; choose one")
        if unknown := [name for name in self.methods if name not in _BACKENDS]:
            raise RegdataError(f"{unknown[0]}: expected two or more of {', '.join(_BACKENDS)}")
        if self.compare and len(self.methods) < 2:
            raise RegdataError(f"`compare=`: expected two or more of {', '.join(_BACKENDS)}")
        check_output(self.output, self.overwrite, self.he, self.if_)
        for method in self.methods:
            if method not in ("ours", "affine"):
                check_backend(method, self.valis_python)

    @property
    def methods(self) -> tuple[Any, ...]:
        """The backends to run."""
        return tuple(dict.fromkeys(self.compare)) or (self.backend,)


@dataclass(frozen=True, kw_only=True)
class RegistrationSummary:
    """The result of a registration.

    Attributes
    ----------
    output
        The transform file.
    report
        Folder of pictures and tiles; None for neighbouring sections, which are not judged by tiles.
    he_to_if
        H&E µm to IF µm.
    method
        The backend that was kept, `given` or `serial`.
    correlation, affine_correlation
        Of hematoxylin and the warped nuclear channel, at the end and before bending.
    verdict
        What the tiles say.
    landmarks
        Errors of landmarks under each map, if landmarks were given.
    compared
        One row per backend, best first, if several were compared.
    warnings
        What a person should know before trusting the map.
    """

    output: Path
    report: Path | None
    he_to_if: Transform
    method: str
    correlation: float
    affine_correlation: float
    verdict: Verdict | None
    landmarks: dict[str, RegistrationError]
    compared: pd.DataFrame | None
    warnings: tuple[str, ...]


class Registering:
    """A registration in two steps: `judge` what the options ask for, then `keep` the best map."""

    def __init__(self, options: RegisterOptions) -> None:
        options.check()
        self.options = options
        pair = options.landmarks
        self._points = (read_landmarks(pair[0]), read_landmarks(pair[1])) if pair else None
        self.pair = _open(options)
        self.judged: list[Judged] = []
        self.serial: Registration | None = None
        self.compared: pd.DataFrame | None = None

    def judge(self) -> dict[str, RegistrationError]:
        """Find or read the maps and write the report; returns the errors of landmarks by method."""
        options, pair = self.options, self.pair
        if options.serial:
            with bar("register") as progress:
                self.serial = register_serial(pair.he, pair.if_, pair.channel, progress)
            return self._errors({"ours": self.serial.he_to_if})
        if options.transform:
            self.judged = [judge_given(pair, load_transform(options.transform), bar)]
        else:
            valis = ValisRun(options.valis_python)
            self.judged = [run(pair, method, bar, valis) for method in options.methods]
        write_report(pair, best_of(self.judged), options.folder)
        if len(self.judged) > 1:
            self.compared = write_comparison(self.judged, options.folder / "comparison.csv")
        return self._errors({one.method: one.registration.he_to_if for one in self.judged})

    def keep(self, landmarks: dict[str, RegistrationError]) -> RegistrationSummary:
        """Write the best map, unless the tiles do not bear it out.

        Raises
        ------
        RegdataError
            They do not.
        """
        options = self.options
        about = _about(self.pair, options)
        if self.serial is not None:
            self.serial.save(options.output, {**about, "backend": "serial"})
            return self._summary(self.serial, "serial", None, landmarks, (_NEIGHBOURS,))
        best = best_of(self.judged)
        check_verdict(self.pair, best, options.folder)
        best.registration.save(options.output, {**about, **_quality(self.pair, best)})
        verdict = best.verdict
        return self._summary(best.registration, best.method, verdict, landmarks, verdict.reasons)

    def _summary(
        self,
        registration: Registration,
        method: str,
        verdict: Verdict | None,
        landmarks: dict[str, RegistrationError],
        warnings: Sequence[str],
    ) -> RegistrationSummary:
        return RegistrationSummary(
            output=self.options.output,
            report=None if verdict is None else self.options.folder,
            he_to_if=registration.he_to_if,
            method=method,
            correlation=registration.correlation,
            affine_correlation=registration.affine_correlation,
            verdict=verdict,
            landmarks=landmarks,
            compared=self.compared,
            warnings=tuple(warnings),
        )

    def _errors(self, transforms: dict[str, Transform]) -> dict[str, RegistrationError]:
        if self._points is None:
            return {}
        pair, (he_xy, if_xy) = self.pair, self._points
        return {name: _error(pair, he_xy, if_xy, one) for name, one in transforms.items()}


def _error(pair: SlidePair, he_xy: Points, if_xy: Points, he_to_if: Transform) -> RegistrationError:
    mpps = pair.he.known_mpp("he_mpp"), pair.if_.known_mpp("if_mpp")
    return target_registration_error(he_xy, if_xy, he_to_if, *mpps, pair.he.size)


def _open(options: RegisterOptions) -> SlidePair:
    he, moving = open_he_if(options.he, options.if_, options.he_mpp, options.if_mpp)
    if options.moving_stain == "dapi":
        return SlidePair(he, moving, find_dapi(moving.channels, options.dapi))
    return SlidePair(he, as_fluorescence(moving, options.moving_stain), 0)


def _about(pair: SlidePair, options: RegisterOptions) -> dict[str, str | float | int]:
    """What the transform file says of its making."""
    he_mpp = pair.he.known_mpp("he_mpp")
    return {
        "he": str(pair.he.path),
        "if": str(pair.if_.path),
        "he_mpp": he_mpp,
        "if_mpp": pair.if_.known_mpp("if_mpp"),
        "he_width_um": pair.he.size[0] * he_mpp,
        "he_height_um": pair.he.size[1] * he_mpp,
        "moving_stain": options.moving_stain,
    }


def _quality(pair: SlidePair, best: Judged) -> dict[str, str | float | int]:
    return {
        "channel": pair.if_.channels[pair.channel],
        "backend": best.method,
        "verdict": best.verdict.status,
        "tiles_accepted": best.verdict.accepted,
        "expected_error_um": best.verdict.median_um,
    }
