"""The two slides of a section, opened and checked together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells import SlideRecord
from regdata.chain.options import BuildOptions
from regdata.errors import RegdataError
from regdata.files import file_identity, stage_key
from regdata.slides import Slide, find_channel, find_dapi, open_slide, rename_channels
from regdata.transforms import Transform


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The two slides of a section, their channels resolved.

    Attributes
    ----------
    dapi
        Index of the nuclear channel.
    markers
        Per marker, as the user called it, the index of its channel.
    identity
        What tells these files, pixel sizes and channels from others.
    autofluorescence
        Index of the channel that is subtracted from the markers, and the ratio if it was given.
    dapi_given
        Whether the user named the nuclear channel.
    """

    he: Slide
    if_: Slide
    dapi: int
    markers: dict[str, int]
    identity: dict[str, Any]
    autofluorescence: tuple[int | None, float | None] = (None, None)
    dapi_given: bool = False

    @property
    def nuclear(self) -> str:
        """Name of the nuclear channel."""
        return self.if_.channels[self.dapi]

    @property
    def mpp(self) -> float:
        """µm per level-0 pixel of the H&E."""
        return self.he.known_mpp("he_mpp")


def open_he(path: Path, mpp: float | None, other: str) -> Slide:
    """Open an H&E slide.

    Parameters
    ----------
    other
        The option of the image beside it, which may be the H&E in its place.

    Raises
    ------
    RegdataError
        It cannot be read, or is no 8-bit RGB picture.
    """
    he = open_slide(path).with_mpp(mpp)
    he.check_rgb(f"; expected the H&E slide. Are `he=` and `{other}=` swapped?")
    return he


def open_he_if(
    he_path: Path, if_path: Path, he_mpp: float | None, if_mpp: float | None
) -> tuple[Slide, Slide]:
    """Open the H&E and the IF slide, with pixel sizes that are stated or known.

    Raises
    ------
    RegdataError
        One cannot be read or does not say its pixel size, or the first is no RGB picture.
    """
    he, if_ = open_he(he_path, he_mpp, "if_"), open_slide(if_path).with_mpp(if_mpp)
    he.known_mpp("he_mpp")
    if_.known_mpp("if_mpp")
    return he, if_


def open_pair(options: BuildOptions) -> Pair:
    """Open both slides and find their channels; what can be refused early is refused here."""
    he, if_ = open_he_if(options.he, options.if_, options.he_mpp, options.if_mpp)
    if options.channel_names:
        if_ = rename_channels(if_, options.channel_names)
    markers = {name: find_channel(if_.channels, name) for name in options.markers}
    dapi = find_dapi(if_.channels, options.dapi)
    for name, channel in markers.items():
        if channel == dapi:
            raise RegdataError(f"`markers={name}` is the nuclear channel; choose a stained marker")
    identity = {
        "he": [file_identity(options.he), he.mpp],
        "if": [file_identity(options.if_), if_.mpp, if_.channels],
    }
    subtracted = _autofluorescence(if_, options.autofluorescence)
    return Pair(
        he=he,
        if_=if_,
        dapi=dapi,
        markers=markers,
        identity=identity,
        autofluorescence=subtracted,
        dapi_given=options.dapi is not None,
    )


def _autofluorescence(if_: Slide, wanted: str | None) -> tuple[int | None, float | None]:
    """CHANNEL or CHANNEL:RATIO as an index and a ratio."""
    if wanted is None:
        return None, None
    name, colon, text = wanted.rpartition(":")
    try:
        return find_channel(if_.channels, name), float(text) if colon else None
    except ValueError:
        pass
    except RegdataError:
        if colon:
            raise
    return find_channel(if_.channels, wanted), None


def covered(pair: Pair, he_to_if: Transform, xy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether points of the H&E slide lie on the IF slide.

    Parameters
    ----------
    xy
        (N, 2) float64, level-0 H&E pixels.
    """
    um = he_to_if.points(xy * pair.he.known_mpp("he_mpp"))
    on_if = um / pair.if_.known_mpp("if_mpp")
    inside = (on_if >= 0) & (on_if <= np.array(pair.if_.size))
    return np.asarray(inside.all(axis=1))


def slide_record(slide: Slide, identity: Any) -> SlideRecord:
    """What a file keeps of a slide it was made from."""
    return SlideRecord(
        path=str(slide.path),
        sha256=stage_key(of=identity),
        mpp=slide.mpp,
        size=slide.size,
        channels=tuple(slide.channels),
    )
