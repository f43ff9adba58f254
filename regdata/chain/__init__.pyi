from .mask_options import MaskOptions, SegPathOptions
from .options import BuildOptions, LabelOptions, parse_classes, parse_per_marker
from .pair import open_he_if
from .pipeline import BuildSummary, build
from .relabelling import markers_of, options_of, relabel

__all__ = [
    "BuildOptions",
    "BuildSummary",
    "LabelOptions",
    "MaskOptions",
    "SegPathOptions",
    "build",
    "markers_of",
    "open_he_if",
    "options_of",
    "parse_classes",
    "parse_per_marker",
    "relabel",
]
