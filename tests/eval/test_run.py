from pathlib import Path

import pytest
import torch

from regdata.annotated.sets import AnnotatedSet
from regdata.errors import RegdataError
from regdata.eval.run import EvaluationSettings, evaluate_classifier


def test_a_published_head_of_another_network_is_refused_before_any_image(tmp_path: Path) -> None:
    """It knows no hash of its network, but the width of the tokens."""
    shapes = {"fc1.weight": (8, 1280), "fc1.bias": (8,), "fc2.weight": (2, 8), "fc2.bias": (2,)}
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    config = {"data.label_map": ["Mitotic", "Hard-Negative"]}
    torch.save({"model_state_dict": state, "config": config}, tmp_path / "head.pth")
    nothing = AnnotatedSet((), ("Mitotic", "Hard-Negative"), 0.25)
    with pytest.raises(RegdataError, match=r"expects tokens of width 1280 .* default have 256"):
        evaluate_classifier(tmp_path / "head.pth", nothing, EvaluationSettings(device="cpu"))
