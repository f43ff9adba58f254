"""Names for the kinds of arrays that most modules take and give."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Points = NDArray[np.float64]
"""(N, 2), x and y; in level-0 pixels of the H&E slide unless another frame is named."""
Plane = NDArray[np.float32]
"""(H, W), one channel."""
RGB = NDArray[np.uint8]
"""(H, W, 3)."""
