"""Pictures to write into slide files, and reading them back whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.errors import RegdataError
from regdata.slides.open import open_slide
from regdata.slides.slide import Box, Slide


def noise(*shape: int, dtype: str = "uint16", seed: int = 0) -> NDArray[Any]:
    top = 255 if np.dtype(dtype).itemsize == 1 else 60000
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


def picture(width: int, height: int) -> NDArray[np.uint8]:
    """A smooth RGB picture that tells left from right, top from bottom and the colours apart."""
    y, x = np.mgrid[:height, :width]
    red, green = 250 * x / width, 250 * y / height
    return np.stack([red, green, np.full_like(red, 40)], -1).astype(np.uint8)


def everything(slide: Slide) -> list[NDArray[Any]]:
    return [
        slide.pixels(k, Box(0, 0, *size), tuple(range(len(slide.channels))))
        for k, size in enumerate(slide.sizes)
    ]


def message(path: Path) -> str:
    """The error of opening and reading all of a file."""
    with pytest.raises(RegdataError) as error:
        everything(open_slide(path))
    assert "\n" not in error.value.message
    assert path.name in error.value.message
    return error.value.message
