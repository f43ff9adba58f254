"""Annotated images of any source as one type, sets of them, and slides in several splits."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.slides import ArrayPixels, Slide, open_slide

UNNAMED = -1
"""Label of a nucleus whose class is unknown: a cell found there is neither right nor wrong."""

NO_SPLIT = "none"
"""Split of an image that no list names."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    """Annotated nuclei of one image.

    Attributes
    ----------
    path
        The image file.
    points_xy
        (N, 2) float64, pixels of that image, origin at the corner of the first pixel.
    labels
        (N,) int64, index into the set's classes, or `UNNAMED`.
    slide
        The slide it was cut from; the name of the image when that is not known.
    field
        Left, top, right, bottom in pixels: the part that was annotated; None for all of it.
    split, patient, tissue
        As the set says; empty where it does not.
    mpp
        µm per pixel where images of a set differ; None where the set's holds.
    key
        Name of an image that shares its file with others.
    pixels
        Reads the picture, (H, W, 3) uint8, where `path` alone does not say it.
    outlines
        Reads the nuclei: (H, W) int32, 0 = background, k + 1 = nucleus k of `points_xy`; one that
        others cover may have no pixel. None where no outlines were drawn.
    """

    path: Path
    points_xy: NDArray[np.float64]
    labels: NDArray[np.int64]
    slide: str
    field: Box | None = None
    split: str = ""
    patient: str = ""
    tissue: str = ""
    mpp: float | None = None
    key: str = ""
    pixels: Callable[[], NDArray[np.uint8]] | None = None
    outlines: Callable[[], NDArray[np.int32]] | None = None

    @property
    def name(self) -> str:
        """Its key, else the file name without its ending."""
        return self.key or self.path.stem

    @property
    def group(self) -> str:
        """What must not be in two splits: the patient, or the slide where that is not known."""
        return self.patient or self.slide

    def opened(self) -> Slide:
        """The picture as a slide, with the image's own pixel size if it has one."""
        if self.pixels is None:
            return open_slide(self.path).with_mpp(self.mpp)
        rgb = self.pixels()
        size, planes = (rgb.shape[1], rgb.shape[0]), ArrayPixels((rgb.transpose(2, 0, 1),))
        return Slide(self.path, (size,), self.mpp, ("red", "green", "blue"), rgb.dtype, planes)


@dataclass(frozen=True)
class AnnotatedSet:
    """Annotated images that share class names and, if they have none of their own, a pixel size.

    Attributes
    ----------
    mpp
        µm per pixel.
    """

    images: tuple[AnnotatedImage, ...]
    classes: tuple[str, ...]
    mpp: float

    def mpp_of(self, image: AnnotatedImage) -> float:
        """µm per pixel of one image."""
        return self.mpp if image.mpp is None else image.mpp


def slide_of(stem: str) -> str:
    """Name of the slide an image was cut from: TCGA names carry it before the first `_`."""
    return stem.split("_")[0] if stem.startswith("TCGA-") else stem


def patient_of(slide: str) -> str:
    """Patient of a slide of TCGA, which its name carries; empty for any other.

    Examples
    --------
    >>> patient_of("TCGA-A1-A0SP-DX1")
    'TCGA-A1-A0SP'
    """
    parts = slide.split("-")
    return "-".join(parts[:3]) if parts[0] == "TCGA" and len(parts) >= 3 else ""


def finish(
    images: Sequence[AnnotatedImage],
    classes: Sequence[str],
    mpp: float,
    source: Path,
    split: str | None = None,
    points: bool = True,
) -> AnnotatedSet:
    """The set of the images of one split, or of all.

    Parameters
    ----------
    source
        Where the images come from, for messages.
    points
        Whether a set without any nucleus is an error.

    Raises
    ------
    RegdataError
        There is no such split, no image, no nucleus, or one name for two images.
    """
    splits = sorted({image.split for image in images} - {""})
    chosen = [image for image in images if split is None or image.split == split]
    if not chosen and images:
        known = ", ".join(splits) or "none"
        raise RegdataError(f"expected a split of {source} ({known}), got {split}")
    if not chosen:
        raise RegdataError(f"expected annotated images in {source}, found none")
    names = Counter((image.split, image.name) for image in chosen)
    (_, name), count = names.most_common(1)[0]
    if count > 1:
        raise RegdataError(f"expected one image of each name in {source}, {name} is there {count}x")
    if points and not any(len(image.labels) for image in chosen):
        raise RegdataError(
            f"expected annotated nuclei in {source}, found none in {len(chosen)} image(s)"
        )
    return AnnotatedSet(tuple(chosen), tuple(classes), mpp)


def leaks(annotated: AnnotatedSet) -> dict[str, tuple[str, ...]]:
    """Patients (slides where those are not known) with images in more than one split.

    Returns
    -------
    dict
        The splits of each; `leak_warning` makes a sentence of it.

    Examples
    --------
    >>> import numpy as np
    >>> def image(split):
    ...     none = {"points_xy": np.zeros((0, 2)), "labels": np.zeros(0, int)}
    ...     return AnnotatedImage(path=Path(split), slide="7", split=split, **none)
    >>> leaks(AnnotatedSet((image("train"), image("val")), ("cell",), 0.25))
    {'7': ('train', 'val')}
    """
    images = annotated.images
    splits = [image.split or NO_SPLIT for image in images]
    return leaking_slides([image.group for image in images], splits)


def leaking_slides(slides: Sequence[str], splits: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Slides that occur in more than one split, and in which.

    Parameters
    ----------
    slides, splits
        Of every image.

    Examples
    --------
    >>> leaking_slides(["388", "388", "039"], ["train", "val", "train"])
    {'388': ('train', 'val')}
    """
    found: dict[str, set[str]] = {}
    for slide, split in zip(slides, splits, strict=True):
        if split != NO_SPLIT:
            found.setdefault(slide, set()).add(split)
    return {slide: tuple(sorted(own)) for slide, own in sorted(found.items()) if len(own) > 1}


def leak_warning(leaks: Mapping[str, Sequence[str]], slides: int, source: str) -> str:
    """What a person should know of slides in more than one split."""
    named = [f"{slide} in {' and '.join(splits)}" for slide, splits in list(leaks.items())[:3]]
    more = f", and {len(leaks) - 3} more" if len(leaks) > 3 else ""
    return (
        f"{len(leaks)} of {slides} slides are in more than one split of {source} "
        f"({'; '.join(named)}{more}): a score on that split is too high; regdata splits by slide"
    )
