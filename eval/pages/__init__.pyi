from .agreement import agreement_page, agreement_table
from .folder import warnings_of, write_folder
from .page import preset_line
from .segmentation_table import report_text
from .text_table import table

__all__ = [
    "agreement_page",
    "agreement_table",
    "preset_line",
    "report_text",
    "table",
    "warnings_of",
    "write_folder",
]
