from .geojson import load_geojson
from .outlined import AnnotatedNuclei, OutlinedImage, find_annotated
from .registry import SetOptions, load_set, parse_mapping, parse_set
from .segpath import SegPathImage, find_pairs, read_splits
from .sets import AnnotatedImage, AnnotatedSet, Box, leak_warning, leaking_slides
from .sources import Images, SourceConfig, load_images, split_held_out

__all__ = [
    "AnnotatedImage",
    "AnnotatedNuclei",
    "AnnotatedSet",
    "Box",
    "Images",
    "OutlinedImage",
    "SegPathImage",
    "SetOptions",
    "SourceConfig",
    "find_annotated",
    "find_pairs",
    "leak_warning",
    "leaking_slides",
    "load_geojson",
    "load_images",
    "load_set",
    "parse_mapping",
    "parse_set",
    "read_splits",
    "split_held_out",
]
