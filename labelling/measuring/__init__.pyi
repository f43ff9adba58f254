from .footprint import polygons
from .intensity import at_share, decides
from .mask_overlap import mask_overlaps
from .measured import Measured, Signal, measure
from .morphology import shape_mask
from .pixels import PixelValues
from .section import lost, out_of_focus

__all__ = [
    "Measured",
    "PixelValues",
    "Signal",
    "at_share",
    "decides",
    "lost",
    "mask_overlaps",
    "measure",
    "out_of_focus",
    "polygons",
    "shape_mask",
]
