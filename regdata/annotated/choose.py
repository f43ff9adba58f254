"""The annotated set a command line asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regdata.annotated.geojson import load_geojson
from regdata.annotated.points import load_points
from regdata.annotated.registry import LOADERS, parse_set
from regdata.annotated.sets import AnnotatedSet
from regdata.errors import RegdataError


@dataclass(frozen=True)
class SetOptions:
    """Where annotated nuclei lie: images with points, images with GeoJSON, or a published set.

    Attributes
    ----------
    mpp
        µm per pixel of the images; ignored where the set has its own.
    named
        NAME:DIR, see `regdata.annotated.registry`.
    split
        Part of the named set, or of NuCLS.
    """

    images: Path | None = None
    points: Path | None = None
    geojson: Path | None = None
    nucls: Path | None = None
    mpp: float = 0.25
    named: str | None = None
    split: str | None = None


_OPTIONS = {"points": "`points=`", "geojson": "`geojson=`", "nucls": "`nucls=`", "named": "`set_=`"}


def load_set(options: SetOptions) -> AnnotatedSet:
    """Read the set the options name.

    Raises
    ------
    RegdataError
        They name none or several, or the files are not what they should be.
    """
    given = [flag for name, flag in _OPTIONS.items() if getattr(options, name) is not None]
    if len(given) != 1:
        raise RegdataError(
            "expected one annotated set, `images=DIR` `points=DIR`, `images=IMAGE` `geojson=FILE`, "
            f"`nucls=DIR` or `set_=NAME:DIR`; got {' and '.join(given) or 'none'}"
        )
    if options.named is not None:
        name = options.named.partition(":")[0].strip().lower()
        own = name in LOADERS and not LOADERS[name].takes_mpp
        return parse_set(options.named, options.split, None if own else options.mpp)()
    if options.nucls is not None:
        return parse_set(f"nucls:{options.nucls}", options.split)()
    if options.images is None:
        raise RegdataError(f"{given[0]} needs `images=`, the pictures that were annotated")
    if options.points is not None:
        return load_points(options.images, options.points, options.mpp)
    return load_geojson(_given(options.geojson), options.images, options.mpp)


def _given(path: Path | None) -> Path:
    if path is None:
        raise RegdataError("expected `geojson=FILE`")
    return path


def parse_mapping(definitions: Sequence[str]) -> dict[str, str]:
    """Read CLASSIFIER_CLASS=SET_CLASS[,SET_CLASS] definitions.

    Examples
    --------
    >>> parse_mapping(["CD3=sTIL"])
    {'CD3': 'sTIL'}
    """
    pairs = [definition.partition("=") for definition in definitions]
    for ours, _, theirs in pairs:
        if not ours.strip() or not theirs.strip():
            raise RegdataError(f"`mapping={ours}`: expected CLASSIFIER_CLASS=SET_CLASS[,SET_CLASS]")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
