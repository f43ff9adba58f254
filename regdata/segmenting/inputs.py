"""What `regdata segment` is given: slides, the files they become, and where tissue is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.paths import StrPath, paths_of
from regdata.slides import Slide, he_tissue, is_zarr, polygon_mask, read_polygons

_MASK_UM, _MASK_SIDE = 4.0, 8192  # µm per pixel of a drawn tissue mask; most pixels a side
_SLIDES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".vms", ".qptiff", ".dcm", ".czi")
_PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".zarr", *_SLIDES)


def find_slides(paths: Sequence[StrPath]) -> list[Path]:
    """Slides and pictures: files as they are, and those in folders.

    Raises
    ------
    RegdataError
        A path is missing, or a folder holds none.
    """
    slides: list[Path] = []
    for path in paths_of(paths):
        if not path.exists():
            raise RegdataError(f"{path}: no such slide or folder")
        if path.is_file() or is_zarr(path):
            slides.append(path)
            continue
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in _PICTURES)
        if not inside:
            raise RegdataError(f"{path} holds no slides or pictures ({', '.join(_PICTURES)})")
        slides += inside
    return slides


def outputs_of(slides: Sequence[StrPath], output: StrPath, one_file: bool) -> list[Path]:
    """The `.h5` of each slide: `output` itself, or a file in that folder per slide.

    Raises
    ------
    RegdataError
        Several slides would go to one file.
    """
    output = Path(output)
    if one_file and not output.is_dir():
        if output.suffix not in (".h5", ".h5ad"):
            raise RegdataError(f"expected `output=` to be a .h5 file or a folder, got {output}")
        return [output]
    if output.is_file() or output.suffix in (".h5", ".h5ad"):
        raise RegdataError(f"{len(slides)} slides need a folder as `output=`, got {output}")
    outputs = [output / f"{slide.stem}.h5" for slide in paths_of(slides)]
    twice = {path.name for path in outputs if outputs.count(path) > 1}
    if twice:
        raise RegdataError(f"two slides would both become {min(twice)}; segment them separately")
    return outputs


def tissue_mask(slide: Slide, choice: str) -> NDArray[np.bool_] | None:
    """(h, w) mask of the tissue that `tissue=` names, over the whole slide; None for everywhere."""
    if choice == "all":
        return None
    if choice == "auto":
        return he_tissue(slide)
    downsample = max(1.0, _MASK_UM / slide.known_mpp("he_mpp"), max(slide.size) / _MASK_SIDE)
    return polygon_mask(read_polygons(Path(choice)), slide.size, downsample)
