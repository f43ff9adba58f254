from .labels import LabelRule, Marker, Nuclei, label_nuclei
from .mask_labels import label_masked
from .reasons import REASONS
from .rules import Rule, parse_rules

__all__ = [
    "REASONS",
    "LabelRule",
    "Marker",
    "Nuclei",
    "Rule",
    "label_masked",
    "label_nuclei",
    "parse_rules",
]
