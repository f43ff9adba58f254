from .labels import Marker, Nuclei, label_nuclei
from .mask_labels import label_masked
from .overlap_rule import AMBIGUOUS, CERTAIN, OVERLAP, LabelRule
from .reasons import REASONS
from .rules import Rule, parse_rules

__all__ = [
    "AMBIGUOUS",
    "CERTAIN",
    "OVERLAP",
    "REASONS",
    "LabelRule",
    "Marker",
    "Nuclei",
    "Rule",
    "label_masked",
    "label_nuclei",
    "parse_rules",
]
