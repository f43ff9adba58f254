from .channels import find_channel, find_dapi, rename_channels
from .open import open_slide, picture_size
from .pixels import RGB
from .pulling import (
    Window,
    pixel_centres,
    pixels_around,
    pull,
    pull_between,
    pull_exactly,
    pull_shifted,
)
from .read_image import ArrayPixels
from .read_zarr import is_zarr
from .regions import parse_box, polygon_mask, read_polygons
from .resampling import Pixels, lanczos, resample
from .slide import Box, Slide
from .smoothing import blurred, blurred_inside, blurred_to_pitch
from .stain import HED_FROM_RGB, RGB_FROM_HED, hematoxylin
from .thresholds import otsu
from .tissue import he_tissue, if_tissue, stained_tissue
from .write_tiff import STRIP, Layout, stream_ome_tiff, write_ome_tiff
from .write_zarr import stream_ome_zarr

__all__ = [
    "HED_FROM_RGB",
    "RGB",
    "RGB_FROM_HED",
    "STRIP",
    "ArrayPixels",
    "Box",
    "Layout",
    "Pixels",
    "Slide",
    "Window",
    "blurred",
    "blurred_inside",
    "blurred_to_pitch",
    "find_channel",
    "find_dapi",
    "he_tissue",
    "hematoxylin",
    "if_tissue",
    "is_zarr",
    "lanczos",
    "open_slide",
    "otsu",
    "parse_box",
    "picture_size",
    "pixel_centres",
    "pixels_around",
    "polygon_mask",
    "pull",
    "pull_between",
    "pull_exactly",
    "pull_shifted",
    "read_polygons",
    "rename_channels",
    "resample",
    "stained_tissue",
    "stream_ome_tiff",
    "stream_ome_zarr",
    "write_ome_tiff",
]
