"""Colour deconvolution of H&E: optical density to stain density (Ruifrok & Johnston, 2001)."""

import numpy as np
from numpy.typing import NDArray

_STAINS = np.array(
    [[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]]
)  # hematoxylin, eosin, DAB (residual), in optical density of R, G, B
RGB_FROM_HED = _STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)
"""(3, 3): a row of stain densities times this is an optical density."""
HED_FROM_RGB = np.linalg.inv(RGB_FROM_HED)
"""(3, 3): an optical density times this is a row of stain densities."""


def hematoxylin(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Hematoxylin density of an H&E image.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.

    Returns
    -------
    array
        (H, W) float32, >= 0; 0 on glass, about 1 in a dark nucleus.

    Examples
    --------
    >>> import numpy as np
    >>> glass = np.full((1, 1, 3), 255, np.uint8)
    >>> float(hematoxylin(glass)[0, 0])
    0.0
    """
    table = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)
    density = table[rgb] @ HED_FROM_RGB[:, 0].astype(np.float32)
    clipped: NDArray[np.float32] = np.maximum(density, 0)
    return clipped
