"""The registration stage of a build: find the map, judge it, refuse it or go on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.chain.options import BuildOptions
from regdata.chain.pair import Pair
from regdata.errors import RegdataError
from regdata.files import Progress, RunDirectory, StageResult, bar
from regdata.registration import (
    Registration,
    SlidePair,
    better_channel,
    judge_tiles,
    register,
    registrable_channel,
)
from regdata.registration.quality import (
    TileQuality,
    Verdict,
    draw_quality,
    read_table,
    verdict,
    write_quality,
    write_table,
)


@dataclass(frozen=True)
class Registered:
    """The map between the slides and how good it is, tile by tile."""

    registration: Registration
    quality: TileQuality

    @property
    def verdict(self) -> Verdict:
        """One verdict over the tiles."""
        return verdict(self.quality)


def register_slides(pair: Pair, run: RunDirectory) -> StageResult[Registered]:
    """The map from the H&E slide to the IF slide, and its error tile by tile.

    Raises
    ------
    RegdataError
        When the slides do not look like the same tissue, or too few tiles agree.
    """

    def make(path: Path) -> None:
        with bar("register") as progress:
            registration = _registration(pair, progress)
        with bar("quality") as progress:
            slides = SlidePair(pair.he, pair.if_, pair.dapi)
            registration, quality, _ = judge_tiles(slides, registration, progress)
        tiles.parent.mkdir(parents=True, exist_ok=True)
        write_table(quality, tiles)
        registration.save(path)

    tiles = run.path / "quality.csv"
    if not tiles.exists():  # the two are made together
        (run.path / "transform.h5").unlink(missing_ok=True)
    result = run.stage("register", "transform.h5", make).then(
        lambda path: Registered(Registration.load(path), read_table(tiles))
    )
    judged = result.value.verdict
    if judged.status == "refuse":
        raise RegdataError(
            f"{pair.he.path} and {pair.if_.path} cannot be registered well enough to label "
            f"nuclei: {'; '.join(judged.reasons)}; look at them with `regdata register`"
        )
    return result


def _registration(pair: Pair, progress: Progress) -> Registration:
    """The map, or an error that names the channel that looks more like nuclei, if one does."""
    others = [c for c in dict.fromkeys(pair.markers.values()) if c != pair.dapi]
    try:
        registration = register(pair.he, pair.if_, pair.dapi, progress)
    except RegdataError as error:
        other = registrable_channel(pair.he, pair.if_, others)
        if other is None:
            raise
        raise RegdataError(f"{error.message}; {_swapped(pair, other)}") from None
    if not pair.dapi_given:
        other = better_channel(pair.he, pair.if_, pair.dapi, others, registration.he_to_if)
        if other is not None:
            raise RegdataError(f"{pair.if_.path}: {_swapped(pair, other)}")
    return registration


def _swapped(pair: Pair, other: int) -> str:
    names = pair.if_.channels
    return (
        f"channel {names[other]} looks more like the nuclei of the H&E than {names[pair.dapi]}, "
        "which is taken as the nuclear stain; are the channels in another order? Name them with "
        f"`channel_names=`, or pass `dapi={names[pair.dapi]}` if it is right as it is"
    )


def error_at(pair: Pair, quality: TileQuality, xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) float64 expected error of the map at points, µm.

    Parameters
    ----------
    xy
        (N, 2) float64, level-0 H&E pixels.
    """
    return quality.error_at(xy * pair.he.known_mpp("he_mpp"))


def draw_registration(pair: Pair, registered: Registered, options: BuildOptions) -> None:
    """Write the tiles and pictures of the registration beside the output."""
    folder = options.output.parent / "qc" / f"{options.output.stem}_registration"
    folder.mkdir(parents=True, exist_ok=True)
    slides = pair.he, pair.if_, pair.dapi
    draw_quality(*slides, registered.registration.he_to_if, registered.quality, folder)
    write_quality(registered.quality, folder, pair.he.known_mpp("he_mpp"))
