"""Images changed as by another laboratory or scanner."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np

from regdata.annotated import AnnotatedNuclei
from regdata.arrays import RGB
from regdata.slides import HED_FROM_RGB, RGB_FROM_HED


def scale_stain(rgb: RGB, factor: float) -> RGB:
    """(H, W, 3) uint8: the image with hematoxylin and eosin density scaled, the residual kept.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.
    factor
        1.25 for a section stained a quarter more.

    Examples
    --------
    >>> scale_stain(np.full((1, 1, 3), 255, np.uint8), 1.25).tolist()
    [[[255, 255, 255]]]
    """
    density = -np.log((rgb.astype(np.float32) + 1) / 256)
    gain = np.diag([factor, factor, 1.0])
    changed = density @ (HED_FROM_RGB @ gain @ RGB_FROM_HED).astype(np.float32)
    values: RGB = np.clip(np.rint(256 * np.exp(-changed) - 1), 0, 255).astype(np.uint8)
    return values


def blur(rgb: RGB, sigma: float) -> RGB:
    """(H, W, 3) uint8: the image blurred by a Gaussian of `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)


def jpeg(rgb: RGB, quality: int) -> RGB:
    """(H, W, 3) uint8: the image after JPEG compression of a quality (1-100)."""
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    read = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(read[..., ::-1])


def coarsen(rgb: RGB, factor: float) -> RGB:
    """(H, W, 3) uint8: the image resampled to pixels `factor` times as large, and back."""
    height, width = rgb.shape[:2]
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, (width, height), interpolation=cv2.INTER_LANCZOS4)
    return np.asarray(back, np.uint8)


@dataclass(frozen=True)
class Perturbation:
    """One change of an image.

    Attributes
    ----------
    change
        Change of the pixels, (H, W, 3) uint8; nuclei stay where they are.
    turns
        Quarter turns anticlockwise, of the image and its nuclei.
    """

    name: str
    change: Callable[[RGB], RGB] | None = None
    turns: int = 0

    def apply(self, image: AnnotatedNuclei) -> AnnotatedNuclei:
        """The changed image, its nuclei turned with it."""
        rgb = image.rgb if self.change is None else self.change(image.rgb)
        return replace(
            image,
            rgb=np.ascontiguousarray(np.rot90(rgb, self.turns)),
            instances=np.ascontiguousarray(np.rot90(image.instances, self.turns)),
            types=None if image.types is None else np.rot90(image.types, self.turns),
        )


UNCHANGED = Perturbation("unchanged")


def perturbations(mpp: float) -> tuple[Perturbation, ...]:
    """The changes of the robustness table, the unchanged image first.

    Parameters
    ----------
    mpp
        µm per pixel of the images; those at 0.5 or above are not coarsened.
    """
    coarse = [Perturbation("0.5 µm/px", partial(coarsen, factor=0.5 / mpp))] if mpp < 0.5 else []
    return (
        UNCHANGED,
        Perturbation("stain +25 %", partial(scale_stain, factor=1.25)),
        Perturbation("stain -25 %", partial(scale_stain, factor=0.75)),
        Perturbation("blur 1 px", partial(blur, sigma=1.0)),
        Perturbation("JPEG 50", partial(jpeg, quality=50)),
        *coarse,
        *(Perturbation(f"turned {90 * k}", turns=k) for k in (1, 2, 3)),
    )
