from .choice import BACKENDS, check_backend
from .valis import ValisRun, deform_valis

__all__ = ["BACKENDS", "ValisRun", "check_backend", "deform_valis"]
