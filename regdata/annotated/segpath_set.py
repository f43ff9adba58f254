"""SegPath (Komura et al., 2023) as an annotated set: images, slides and splits, but no nuclei."""

from pathlib import Path

import numpy as np

from regdata.annotated.segpath import NO_SPLIT, find_pairs, read_splits
from regdata.annotated.sets import AnnotatedImage, AnnotatedSet
from regdata.annotated.split import finish

_MPP = 0.22


def load_segpath(
    directory: Path, antigen: str | None = None, split: str | None = None
) -> AnnotatedSet:
    """Read the images of one antigen with slide and split; none has a nucleus.

    SegPath marks stained pixels, not nuclei, so there is nothing here to score cells against:
    the set serves to look at splits (`regdata.annotated.split.leaks`). `regdata build --segpath`
    finds the nuclei and labels them by the masks.

    Parameters
    ----------
    antigen
        Needed where the folder holds several.
    split
        Of `ANTIGEN_fileinfo.csv`; all by default.
    """
    pairs = find_pairs(directory, antigen)
    splits = read_splits(directory, pairs)
    names = splits[1] if splits else [NO_SPLIT] * len(pairs)
    images = [
        AnnotatedImage(
            pair.he,
            np.zeros((0, 2)),
            np.zeros(0, np.int64),
            pair.part.slide,
            split="" if name == NO_SPLIT else name,
        )
        for pair, name in zip(pairs, names, strict=True)
    ]
    return finish(images, (pairs[0].part.cell_type,), _MPP, directory, split, points=False)
