"""Annotated sets by name, what `nucls:DIR` means, and the one that a command line asks for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from regdata.annotated.coco import load_coco
from regdata.annotated.geojson import load_geojson, load_geojson_folder
from regdata.annotated.instance_maps import load_conic, load_consep, load_lizard, load_npz
from regdata.annotated.midog import load_midog
from regdata.annotated.monuseg import load_monuseg
from regdata.annotated.nucls import load_nucls
from regdata.annotated.ocelot import load_ocelot
from regdata.annotated.pannuke import load_pannuke
from regdata.annotated.panoptils import load_panoptils
from regdata.annotated.points import load_cellvit, load_points
from regdata.annotated.segpath import load_segpath
from regdata.annotated.sets import AnnotatedSet
from regdata.errors import RegdataError


@dataclass(frozen=True)
class Loader:
    """How a set is read.

    Attributes
    ----------
    load
        Takes the folder, `split`, and `mpp` where `takes_mpp`.
    help
        One line.
    takes_mpp
        Whether the set leaves open how large its pixels are.
    """

    load: Callable[..., AnnotatedSet]
    help: str
    takes_mpp: bool = False


_nucls = partial(load_nucls, ambiguous="ignore")  # as NuCLS's own code scores

LOADERS: dict[str, Loader] = {
    "cellvit": Loader(
        load_cellvit, "CellViT++ folders: [train|test/]images, labels/NAME.csv (x, y, class)", True
    ),
    "coco": Loader(load_coco, "COCO: a JSON file or its folder; polygons, masks or boxes", True),
    "conic": Loader(load_conic, "CoNIC: images.npy, labels.npy; 6 classes, outlines"),
    "consep": Loader(load_consep, "CoNSeP: Train, Test of .mat or .npz; 4 classes, outlines"),
    "geojson": Loader(load_geojson_folder, "QuPath: NAME.geojson beside each image", True),
    "lizard": Loader(load_lizard, "Lizard: Lizard_Images*, Lizard_Labels; 6 classes, outlines"),
    "midog": Loader(load_midog, "MIDOG++: boxes of mitotic figures and look-alikes", True),
    "monuseg": Loader(load_monuseg, "MoNuSeg: NAME.tif, NAME.xml; outlines, no classes"),
    "npz": Loader(load_npz, "images/NAME.*, labels/NAME.npz with inst_map; outlines", True),
    "nucls": Loader(_nucls, "NuCLS: rgb, csv, or as CellViT++ has it; 4 super classes"),
    "ocelot": Loader(load_ocelot, "OCELOT 2023: cells of two classes"),
    "pannuke": Loader(load_pannuke, "PanNuke: folds of .npy, or of CellViT; 5 classes, outlines"),
    "panoptils": Loader(load_panoptils, "PanopTILs: rgbs, masks, or as CellViT++; 4 super classes"),
    "segpath": Loader(load_segpath, "SegPath: images, slides and splits; no nuclei"),
}
"""Loaders by name."""


def parse_set(
    text: str, split: str | None = None, mpp: float | None = None
) -> Callable[[], AnnotatedSet]:
    """The call that reads the set a text such as `nucls:DIR` names; nothing is read yet.

    Parameters
    ----------
    split
        Part of the set, as its loader calls it.
    mpp
        µm per pixel, for sets that do not say; 0.25 by default.

    Raises
    ------
    RegdataError
        There is no such set, no folder is named, or the set has a pixel size of its own.

    Examples
    --------
    >>> parse_set("ocelot:data/ocelot", split="val").keywords
    {'split': 'val'}
    """
    name, _, path = text.partition(":")
    loader = LOADERS.get(name.strip().lower())
    if loader is None or not path.strip():
        raise RegdataError(
            f"expected NAME:DIR with a name of {', '.join(LOADERS)}; got {text or 'nothing'}"
        )
    options: dict[str, Any] = {"split": split}
    if mpp is not None and not loader.takes_mpp:
        raise RegdataError(f"{name} has a pixel size of its own; leave out the mpp of {mpp}")
    if mpp is not None:
        options["mpp"] = mpp
    return partial(loader.load, Path(path.strip()), **options)


def describe_sets() -> str:
    """A line of each name and what it reads, for help texts."""
    width = max(map(len, LOADERS))
    return "\n".join(f"{name:{width}}  {loader.help}" for name, loader in LOADERS.items())


@dataclass(frozen=True, kw_only=True)
class SetOptions:
    """Where annotated nuclei lie: images with points, images with GeoJSON, or a published set.

    Attributes
    ----------
    mpp
        µm per pixel of the images; ignored where the set has its own.
    named
        NAME:DIR, see `parse_set`.
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
