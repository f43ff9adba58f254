"""Annotated images of any source as one type: points with a class, image by image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regdata.slides import ArrayPixels, Slide, open_slide

UNNAMED = -1
"""Label of a nucleus whose class is unknown: a cell found there is neither right nor wrong."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class NamedPoints:
    """One image as read: a class name per point, None for a nucleus without a class."""

    path: Path
    xy: NDArray[np.float64]
    names: Sequence[str | None]
    field: Box | None = None


def to_set(images: Sequence[NamedPoints], mpp: float, classes: Sequence[str] = ()) -> AnnotatedSet:
    """Give each class a number: the named ones first, then whatever else occurs, by name.

    Examples
    --------
    >>> import numpy as np
    >>> points = NamedPoints(Path("a.png"), np.zeros((2, 2)), ["tumour", None])
    >>> to_set([points], 0.25).images[0].labels.tolist()
    [0, -1]
    """
    seen = {name for image in images for name in image.names if name is not None}
    names = (*classes, *sorted(seen - set(classes)))
    index: dict[str | None, int] = {name: i for i, name in enumerate(names)} | {None: UNNAMED}
    return AnnotatedSet(tuple(_numbered(image, index) for image in images), names, mpp)


def _numbered(image: NamedPoints, index: dict[str | None, int]) -> AnnotatedImage:
    labels = np.array([index[name] for name in image.names], np.int64)
    xy = np.asarray(image.xy, np.float64).reshape(-1, 2)
    slide = slide_of(image.path.stem)
    return AnnotatedImage(image.path, xy, labels, slide, image.field, patient=patient_of(slide))


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
