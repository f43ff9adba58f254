from .build_page import load_build, write_report
from .charts import Axis, Chart, Series, intensities
from .gallery import CROP_UM, FOUND_COLOUR, Crop, Group, Outline, Window, allot, sample
from .numbers import interval, number
from .page import Fact, Figure, css, render
from .pictures import Picture, caption, checkerboard, draw_cells, mark_mask, overlay, write_png
from .qc import Aligned, count_labels, look, write_pictures
from .tables import text_table

__all__ = [
    "CROP_UM",
    "FOUND_COLOUR",
    "Aligned",
    "Axis",
    "Chart",
    "Crop",
    "Fact",
    "Figure",
    "Group",
    "Outline",
    "Picture",
    "Series",
    "Window",
    "allot",
    "caption",
    "checkerboard",
    "count_labels",
    "css",
    "draw_cells",
    "intensities",
    "interval",
    "load_build",
    "look",
    "mark_mask",
    "number",
    "overlay",
    "render",
    "sample",
    "text_table",
    "write_pictures",
    "write_png",
    "write_report",
]
