from .build_page import load_build, write_report
from .charts import intensities, short, ticks
from .gallery import CROP_UM, Window, allot, sample
from .html import box, css, facts, figure, grid, heading, jpeg_uri, page, paragraph, table
from .pictures import Picture, caption, checkerboard, draw_cells, mark_mask, overlay, write_png
from .qc import Aligned, count_labels, look, write_pictures

__all__ = [
    "CROP_UM",
    "Aligned",
    "Picture",
    "Window",
    "allot",
    "box",
    "caption",
    "checkerboard",
    "count_labels",
    "css",
    "draw_cells",
    "facts",
    "figure",
    "grid",
    "heading",
    "intensities",
    "jpeg_uri",
    "load_build",
    "look",
    "mark_mask",
    "overlay",
    "page",
    "paragraph",
    "sample",
    "short",
    "table",
    "ticks",
    "write_pictures",
    "write_png",
    "write_report",
]
