from .intensity import at_share, overlap
from .mask_overlap import mask_overlaps
from .measured import Measured, Signal, measure
from .morphology import shape_mask
from .section import lost, out_of_focus

__all__ = [
    "Measured",
    "Signal",
    "at_share",
    "lost",
    "mask_overlaps",
    "measure",
    "out_of_focus",
    "overlap",
    "shape_mask",
]
