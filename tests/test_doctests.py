"""The examples in docstrings run."""

import doctest
import importlib
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STAGES = ("registration", "labelling", "train", "eval")


def modules() -> list[str]:
    names = []
    for folder in ("regdata", *STAGES):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            names.append(".".join(parts if folder == "regdata" else ("regdata", *parts)))
    return [name for name in names if not name.endswith("__init__")]


@pytest.mark.parametrize("name", modules())
def test_examples(name: str) -> None:
    os.environ.setdefault("MPLBACKEND", "agg")
    assert doctest.testmod(importlib.import_module(name)).failed == 0
