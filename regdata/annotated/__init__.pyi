from .choose import SetOptions, load_set, parse_mapping
from .geojson import load_geojson
from .instance_sets import AnnotatedNuclei, centres, find_annotated, load_nuclei
from .registry import parse_set
from .segpath import SegPathImage, find_pairs, leak_warning, leaking_slides, read_splits
from .sets import AnnotatedImage, AnnotatedSet, Box
from .sources import Annotated, Images, SourceConfig, load_images, split_held_out

__all__ = [
    "Annotated",
    "AnnotatedImage",
    "AnnotatedNuclei",
    "AnnotatedSet",
    "Box",
    "Images",
    "SegPathImage",
    "SetOptions",
    "SourceConfig",
    "centres",
    "find_annotated",
    "find_pairs",
    "leak_warning",
    "leaking_slides",
    "load_geojson",
    "load_images",
    "load_nuclei",
    "load_set",
    "parse_mapping",
    "parse_set",
    "read_splits",
    "split_held_out",
]
