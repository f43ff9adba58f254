from .histogram import Histogram
from .methods import MIN_CONTRAST, parse_method, stained_from
from .surface import Surface
from .threshold import Nuclei, Threshold, find_threshold, tissue_histogram

__all__ = [
    "MIN_CONTRAST",
    "Histogram",
    "Nuclei",
    "Surface",
    "Threshold",
    "find_threshold",
    "parse_method",
    "stained_from",
    "tissue_histogram",
]
