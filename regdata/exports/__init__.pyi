from .run import ExportOptions, export_cells

__all__ = ["ExportOptions", "export_cells"]
