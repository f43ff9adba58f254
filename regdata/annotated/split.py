"""The last step of every loader: the split that was asked for, and what must not be in a set."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from regdata.annotated.segpath import NO_SPLIT, leaking_slides
from regdata.annotated.sets import AnnotatedImage, AnnotatedSet
from regdata.errors import RegdataError


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
        The splits of each; `regdata.annotated.segpath.leak_warning` makes a sentence of it.

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
