from .demo import run_demo
from .validation import Validation, validate
from .validation_table import table
from .watch import scores_of

__all__ = ["Validation", "run_demo", "scores_of", "table", "validate"]
