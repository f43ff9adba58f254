"""Square crops of annotated images: place, scale, turn, mirror and elastic warp.

Labels are never interpolated, and targets are made after all of this. What lies beyond the border
of an image is its mirror image, whose nuclei count as other nuclei.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Range = tuple[float, float]


@dataclass(frozen=True)
class Sample:
    """One annotated image or crop.

    Attributes
    ----------
    image
        (H, W, 3) uint8 RGB.
    instances
        (H, W) int32, 0 = background.
    types
        (H, W) uint8, 0 = no class; all 0 if the image has none.
    """

    image: UInt8
    instances: NDArray[np.int32]
    types: UInt8


def random_crop(
    sample: Sample,
    size: int,
    rng: np.random.Generator,
    scale: Range = (0.75, 1.35),
    zoom: float = 1.0,
) -> Sample:
    """A square crop of `size` pixels at a random place and scale.

    Parameters
    ----------
    sample
        An image of any size. Where it is smaller than the crop, its mirror image fills the rest.
    size
        Side of the crop in pixels.
    rng
        Decides.
    scale
        Magnification, drawn from it log-uniformly. Scales for which the image is too small are
        cut to what it has, unless even scale 1 needs its mirror image.
    zoom
        Further magnification: pixel size of the image / pixel size wanted.
    """
    drawn = zoom * float(np.exp(rng.uniform(*np.log(scale))))
    height, width = sample.instances.shape
    most = max(round(size / zoom), min(height, width))
    side = max(min(round(size / drawn), most), 1)
    # an image smaller than the crop lies at a random place within it
    top, left = (_start(length, side, rng) for length in (height, width))
    centres = np.floor((np.arange(size) + 0.5) * side / size).astype(np.intp)
    instances, types = look_up(sample, (centres + top)[:, None], (centres + left)[None])
    image = _cut(sample.image, top, left, side)
    if side != size:
        method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
        image = cv2.resize(image, (size, size), interpolation=method).astype(np.uint8, copy=False)
    return Sample(image, instances, types)


def _start(length: int, side: int, rng: np.random.Generator) -> int:
    low, high = sorted((0, length - side))
    return int(rng.integers(low, high + 1))


def _cut(image: UInt8, top: int, left: int, side: int) -> UInt8:
    height, width = image.shape[:2]
    if min(top, left) >= 0 and top + side <= height and left + side <= width:
        return np.ascontiguousarray(image[top : top + side, left : left + side])
    rows, columns = np.arange(top, top + side), np.arange(left, left + side)
    return image[_mirrored(rows, height)[:, None], _mirrored(columns, width)[None]]


def _mirrored(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Indices beyond 0..length - 1 folded back: -1 is 0, length is length - 1, and so on."""
    folded = index % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def look_up(
    sample: Sample, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[NDArray[np.int32], UInt8]:
    """(h, w) int32 instances and uint8 types at rows and columns, also beyond the border.

    Beyond it, ids are changed, so that the mirror image of a nucleus is another nucleus: its HV
    target must not point to the centre of both.

    Parameters
    ----------
    rows, columns
        Integer arrays that broadcast to (h, w), pixels of `sample`.
    """
    height, width = sample.instances.shape
    place = _mirrored(rows, height), _mirrored(columns, width)
    instances, types = sample.instances[place], sample.types[place]
    across, down = columns // width, rows // height
    if across.any() or down.any():
        _, copies = np.unique(down * 4096 + across + np.zeros_like(place[0]), return_inverse=True)
        other = instances.astype(np.int64) * (copies.max() + 1) + copies.reshape(instances.shape)
        _, compact = np.unique(np.where(instances > 0, other, 0), return_inverse=True)
        background = int((instances == 0).any())
        instances = (compact.reshape(instances.shape) + 1 - background).astype(np.int32)
    return instances, types


def turn(sample: Sample, quarters: int, across: bool, down: bool) -> Sample:
    """The sample rotated by quarter turns anticlockwise, mirrored `across` x and `down` y."""
    step = np.s_[:: -1 if down else 1, :: -1 if across else 1]

    def turned(array: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.ascontiguousarray(np.rot90(array, quarters)[step])

    return Sample(
        turned(sample.image).astype(np.uint8, copy=False),
        turned(sample.instances).astype(np.int32, copy=False),
        turned(sample.types).astype(np.uint8, copy=False),
    )


@dataclass(frozen=True)
class Elastic:
    """How strongly a crop is warped.

    Attributes
    ----------
    shift_px
        Standard deviation of the smooth random displacement.
    smooth_px
        Distance over which it changes.
    corner_px
        Three corners move by at most this along x and y, the affine part.
    """

    shift_px: float
    smooth_px: float
    corner_px: float

    def field(self, height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(2, H, W) float32, x and y of each pixel's source; pixel centres at whole numbers."""
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        field = np.stack([x, y]).astype(np.float32)
        if self.shift_px > 0:
            knots = (max(round(width / self.smooth_px), 1) + 3,) * 2
            coarse = rng.normal(0, self.shift_px, (2, *knots)).astype(np.float32)
            for axis in range(2):
                field[axis] += cv2.resize(
                    coarse[axis], (width, height), None, 0, 0, cv2.INTER_CUBIC
                )
        corners = np.array([[0, 0], [width, 0], [0, height]], np.float32)
        moved = corners + rng.uniform(-self.corner_px, self.corner_px, (3, 2)).astype(np.float32)
        affine = cv2.getAffineTransform(corners, moved)
        warped = np.tensordot(affine[:, :2], field, 1) + affine[:, 2, None, None]
        return warped.astype(np.float32)


def warp(sample: Sample, field: NDArray[np.float32]) -> Sample:
    """The sample pulled through a field of (x, y) sources; labels from the nearest pixel.

    Parameters
    ----------
    sample
        An image of any size.
    field
        (2, H, W) float32, x then y in pixels of `sample`, pixel centres at whole numbers.
    """
    x, y = field
    pulled = cv2.remap(sample.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    columns, rows = (np.floor(axis + 0.5).astype(np.intp) for axis in (x, y))
    instances, types = look_up(sample, rows, columns)
    return replace(
        sample, image=pulled.astype(np.uint8, copy=False), instances=instances, types=types
    )
