from .building import build, relabel
from .evaluating import EvaluationSummary, evaluate, validate
from .exporting import export
from .judging import Registering, RegisterOptions, RegistrationSummary
from .outputs import check_folder, check_output
from .registering import register
from .segmenting import segment, segment_each
from .settings import first_fault
from .training import fit_classifier

__all__ = [
    "EvaluationSummary",
    "RegisterOptions",
    "Registering",
    "RegistrationSummary",
    "build",
    "check_folder",
    "check_output",
    "evaluate",
    "export",
    "first_fault",
    "fit_classifier",
    "register",
    "relabel",
    "segment",
    "segment_each",
    "validate",
]
