"""Splits: the one that was asked for, what must not be in a set, and slides in several splits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from regdata.annotated.sets import AnnotatedImage, AnnotatedSet
from regdata.errors import RegdataError

NO_SPLIT = "none"
"""Split of an image that no list names."""


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
    ...     return AnnotatedImage(Path(split), np.zeros((0, 2)), np.zeros(0, int), "7", split=split)
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
