from .run import ExportOptions, ExportSummary, export_cells

__all__ = ["ExportOptions", "ExportSummary", "export_cells"]
