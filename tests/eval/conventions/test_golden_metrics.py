"""Every recorded case of published evaluation code, scored in one call each.

Where the tool itself fails (an `error`) ours give None or 0; where it says null, None.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regdata.cells.positions import centroids
from regdata.eval import score_boxes, score_instances, score_points
from regdata.eval.metrics.instances import overlaps

GOLDEN = Path(os.environ.get("REGDATA_GOLDEN", "nowhere")) / "metrics"
CASES = sorted(path.stem for path in GOLDEN.glob("[!t]*.json"))
SKIP = "REGDATA_GOLDEN names no folder of recorded outputs"


def case(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return json.loads((GOLDEN / f"{name}.json").read_text()), dict(file)


def cases(kind: str) -> list[Any]:
    found = [name for name in CASES if name.startswith(kind)]
    return found or [pytest.param("none", marks=pytest.mark.skip(reason=SKIP))]


def differences(expected: Any, ours: Any, place: str = "") -> list[str]:
    """Where ours is not what was recorded; it may say more."""
    if isinstance(expected, dict) and "error" in expected:
        return [] if ours in (None, 0.0) else [f"{place}: {ours} where the tool fails"]
    if isinstance(expected, dict):
        missing = [f"{place}/{name}: missing" for name in expected if name not in ours]
        return missing + [
            line
            for name in expected
            if name in ours
            for line in differences(expected[name], ours[name], f"{place}/{name}")
        ]
    if isinstance(expected, list):
        if len(expected) != len(ours):
            return [f"{place}: {len(ours)} values, not {len(expected)}"]
        rows = enumerate(zip(expected, ours, strict=True))
        return [line for i, (a, b) in rows for line in differences(a, b, f"{place}/{i}")]
    if isinstance(expected, float) and ours is not None:
        same = abs(expected - ours) <= 1e-9
    else:
        same = type(expected) is type(ours) and expected == ours
    return [] if same else [f"{place}: {ours}, not {expected}"]


@pytest.mark.parametrize("tool", ["ocelot", "hovernet", "midog"])
@pytest.mark.parametrize("name", cases("p"))
def test_points(name: str, tool: str) -> None:
    recorded, arrays = case(name)
    params = recorded["params"]
    how = {"classes": params["classes"], "n_images": params["n_images"]}
    ours = score_points(arrays["gt"], arrays["pred"], tool, radius=params[f"{tool}_radius"], **how)
    assert differences(recorded["expected"][tool], ours) == []
    assert set(ours) - set(recorded["expected"][tool]) == {"chance", "conventions"}


@pytest.mark.parametrize("name", cases("p"))
def test_points_of_cellvitpp_and_of_the_default(name: str) -> None:
    recorded, arrays = case(name)
    how = {"classes": recorded["params"]["classes"], "n_images": recorded["params"]["n_images"]}
    ours = score_points(arrays["gt"], arrays["pred"], "cellvitpp", **how)
    assert differences(recorded["expected"]["hovernet"]["cellvitpp"], ours) == []
    default = score_points(arrays["gt"], arrays["pred"], **how)
    json.dumps(default, allow_nan=False)
    # without forced far pairs there are never fewer, and no phantom is among them
    forced = sum(row["tp"] for row in recorded["expected"]["midog"].values())
    assert default["detection"]["true_positive"] >= forced


@pytest.mark.parametrize("tool", ["hovernet", "conic", "cellvitpp", "pannuke"])
@pytest.mark.parametrize("name", cases("i"))
def test_instances(name: str, tool: str) -> None:
    recorded, arrays = case(name)
    ours = score_instances(**arrays, preset=tool, n_types=recorded["params"]["n_types"])
    expected = {k: v for k, v in recorded["expected"].items() if k.startswith(tool)}
    assert expected
    assert differences(expected, ours) == []
    json.dumps(ours, allow_nan=False)


@pytest.mark.parametrize("name", cases("b"))
def test_boxes(name: str) -> None:
    recorded, arrays = case(name)
    ours = score_boxes(arrays["b1"], arrays["b2"], "nucls", min_iou=recorded["params"]["min_iou"])
    assert differences(recorded["expected"], ours) == []


@pytest.mark.parametrize("name", cases("h"))
def test_instances_of_histoplus_are_read_as_recorded(name: str) -> None:
    """How they come about is the network's business; here: ids and centroids."""
    recorded, arrays = case(name)
    found = arrays["expected_inst"]
    ids = overlaps(found, found).true_ids
    assert len(ids) == recorded["expected"]["n_instances"]
    assert centroids(found, ids) - 0.5 == pytest.approx(
        np.array(recorded["expected"]["centroids"]), abs=1e-9
    )


@pytest.mark.skipif(not CASES, reason=SKIP)
def test_no_kind_of_case_is_left_out() -> None:
    assert {name[0] for name in CASES} == set("pibh")


def test_a_difference_would_be_seen() -> None:
    expected = {"a": 1, "b": [0.5, None], "c": {"error": "ValueError"}}
    assert differences(expected, {"a": 1, "b": [0.5, None], "c": 0.0, "d": 3}) == []
    assert len(differences(expected, {"a": 1.0, "b": [0.5 + 1e-8, 0.0], "c": 1.0})) == 4
    assert differences(expected, {"a": 1, "c": None}) == ["/b: missing"]
