from .inference import detect
from .journal import Journal
from .plan import Tiling
from .seams import TileGrid
from .stream import Resources
from .whole_slide import Segmentation, SegmentSettings, segment, segment_image

__all__ = [
    "Journal",
    "Resources",
    "SegmentSettings",
    "Segmentation",
    "TileGrid",
    "Tiling",
    "detect",
    "segment",
    "segment_image",
]
