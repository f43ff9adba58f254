from .agreement import agreement_page, agreement_table
from .folder import warnings_of, write_folder
from .page import preset_line
from .scores import score_table
from .segmentation_table import report_text

__all__ = [
    "agreement_page",
    "agreement_table",
    "preset_line",
    "report_text",
    "score_table",
    "warnings_of",
    "write_folder",
]
