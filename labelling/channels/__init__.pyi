from .correction import Correction, CorrectionOptions, corrected, fit_correction, saturated

__all__ = ["Correction", "CorrectionOptions", "corrected", "fit_correction", "saturated"]
