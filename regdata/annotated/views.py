"""Annotated sets seen otherwise: without ambiguous nuclei, cut to their fields, at another scale.

Pictures are cut and resampled when they are opened; nothing is written.
"""

import math
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from regdata.annotated.sets import AnnotatedImage, AnnotatedSet
from regdata.slides import lanczos


def drop_unnamed(annotated: AnnotatedSet) -> AnnotatedSet:
    """The set without nuclei that have no class."""
    return _each(annotated, [_keep(image, image.labels >= 0) for image in annotated.images])


def crop_to_field(annotated: AnnotatedSet) -> AnnotatedSet:
    """The set with images cut to what was annotated; nuclei whose point is outside are left out.

    Fields are widened to whole pixels.
    """
    return _each(annotated, [_crop(image) for image in annotated.images])


def resample(annotated: AnnotatedSet, mpp: float) -> AnnotatedSet:
    """The set with images of another pixel size (µm); what fills no pixel at the end is cut off."""
    images = [_scale(image, annotated.mpp_of(image) / mpp) for image in annotated.images]
    images = [replace(image, mpp=None if image.mpp is None else mpp) for image in images]
    return replace(_each(annotated, images), mpp=mpp)


def _each(annotated: AnnotatedSet, images: list[AnnotatedImage]) -> AnnotatedSet:
    return replace(annotated, images=tuple(images))


def _keep(image: AnnotatedImage, kept: NDArray[np.bool_]) -> AnnotatedImage:
    """The image with some nuclei only; the outlines are numbered anew."""
    return replace(
        image,
        points_xy=image.points_xy[kept],
        labels=image.labels[kept],
        outlines=None if image.outlines is None else partial(_kept_outlines, image, kept),
    )


def _kept_outlines(image: AnnotatedImage, kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    number = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
    return np.asarray(number[_outlines(image)], np.int32)


def _outlines(image: AnnotatedImage) -> NDArray[np.int32]:
    if image.outlines is None:
        raise ValueError(f"{image.name} has no outlines")
    return image.outlines()


def _crop(image: AnnotatedImage) -> AnnotatedImage:
    if image.field is None:
        return image
    xy, (x0, y0, x1, y1) = image.points_xy, image.field
    left, top, right, bottom = math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)
    box = (max(left, 0), max(top, 0), right, bottom)
    held = np.all((xy >= (x0, y0)) & (xy < (x1, y1)), axis=1)
    inside = _keep(image, held)
    return replace(
        inside,
        points_xy=inside.points_xy - box[:2],
        field=None,
        pixels=partial(_cut_pixels, image, box),
        outlines=None if inside.outlines is None else partial(_cut_outlines, inside, box),
    )


def _cut_pixels(image: AnnotatedImage, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    slide = image.opened()
    left, top = box[:2]
    size = (min(box[2], slide.size[0]) - left, min(box[3], slide.size[1]) - top)
    return slide.read_rgb((left, top), size)


def _cut_outlines(image: AnnotatedImage, box: tuple[int, int, int, int]) -> NDArray[np.int32]:
    return _outlines(image)[box[1] : box[3], box[0] : box[2]]


def _scale(image: AnnotatedImage, factor: float) -> AnnotatedImage:
    if factor == 1:
        return image
    field = image.field
    if field is not None:
        left, top, right, bottom = (side * factor for side in field)
        field = (left, top, right, bottom)
    return replace(
        image,
        points_xy=image.points_xy * factor,
        field=field,
        pixels=partial(_scaled_pixels, image, factor),
        outlines=None if image.outlines is None else partial(_scaled_outlines, image, factor),
    )


def _scaled_pixels(image: AnnotatedImage, factor: float) -> NDArray[np.uint8]:
    slide = image.opened()
    width, height = (_scaled_side(side, factor) for side in slide.size)
    # of the picture alone: read at another scale, a slide is white beyond its edges
    return lanczos(slide.read_rgb((0, 0), slide.size), (0, 0), (width, height), 1 / factor)


def _scaled_side(side: int, factor: float) -> int:
    return max(1, int(side * factor + 1e-6))  # 320 * (0.2 / 0.25) is 256 in spite of rounding


def _scaled_outlines(image: AnnotatedImage, factor: float) -> NDArray[np.int32]:
    """Each pixel has the nucleus at its centre."""
    outlines = _outlines(image)
    rows, cols = (
        ((np.arange(_scaled_side(side, factor)) + 0.5) / factor).astype(np.int64)
        for side in outlines.shape
    )
    return outlines[np.ix_(rows, cols)]
