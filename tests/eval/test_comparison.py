import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.eval.comparison import compare, comparison_table


def scores(path: Path, matrices: dict[str, Any], **changes: Any) -> Path:
    path.mkdir()
    content = {
        "classes": {"a": {}, "b": {}},
        "conventions": {"radius_um": 3.75, "resample": "image"},
        "counts": [
            {"image": name, "slide": name[0], "split": "test", "confusion": matrix}
            for name, matrix in matrices.items()
        ],
        **changes,
    }
    (path / "scores.json").write_text(json.dumps(content))
    return path


GOOD = [[8, 1, 1], [0, 9, 1], [1, 1, 0]]
POOR = [[5, 4, 1], [2, 7, 1], [1, 1, 0]]


def test_the_better_one_is_better(tmp_path: Path) -> None:
    names = [f"{slide}{k}" for slide in "xyz" for k in range(4)]
    first = scores(tmp_path / "a", dict.fromkeys(names, POOR))
    second = scores(tmp_path / "b", dict.fromkeys(reversed(names), GOOD))
    found = compare(first, second / "scores.json")
    of_a = 2 * 8 / (10 + 9) - 2 * 5 / (10 + 8)
    assert found.differences["a"].value == pytest.approx(of_a)
    assert found.differences["a"].low == pytest.approx(of_a)  # all images are alike
    assert found.differences["detection"].value == 0
    assert (found.images, found.slides, found.by) == (12, 3, "image")
    assert compare(first, second, by="slide").by == "slide"
    assert f"{of_a:+.3f}" in comparison_table(found)
    json.dumps(found.to_dict())


def test_images_are_paired_by_name_not_by_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    all_of = {f"x{k}": rng.integers(1, 20, (3, 3)).tolist() for k in range(6)}
    first = scores(tmp_path / "a", all_of)
    second = scores(tmp_path / "b", dict(reversed(all_of.items())))
    found = compare(first, second).differences["mean F1"]
    assert (found.value, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("matrices", "changes", "message"),
    [
        ({"x": GOOD}, {}, r"1 are in one of them only \(y\), 1 in both; pass `common=True`"),
        ({"z": GOOD}, {}, r"3 are in one of them only \(x, y, z\), 0 in both$"),
        ({"x": [[9, 9, 9], *GOOD[1:]], "y": GOOD}, {}, "x has others in"),
        ({"x": GOOD, "y": GOOD}, {"classes": {"a": {}, "c": {}}}, "the same `mapping=`"),
        ({"x": GOOD, "y": GOOD}, {"conventions": {"radius_um": 6}}, "same radius_um, got 3.75"),
        ({"x": GOOD[:2]}, {}, "damaged"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    tmp_path: Path, matrices: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    first = scores(tmp_path / "a", {"x": GOOD, "y": POOR})
    second = scores(tmp_path / "b", matrices, **changes)
    with pytest.raises(RegdataError, match=message):
        compare(first, second)


def test_common_images_are_compared_when_asked_for(tmp_path: Path) -> None:
    first = scores(tmp_path / "a", {"x": GOOD, "y": POOR})
    second = scores(tmp_path / "b", {"x": POOR, "w": GOOD})
    found = compare(first, second, common=True)
    assert (found.images, found.left_out) == (1, 2)
    assert found.differences["mean F1"].low is None
    assert "no intervals" in comparison_table(found)


def test_files_without_counts_are_refused(tmp_path: Path) -> None:
    good = scores(tmp_path / "a", {"x": GOOD})
    plain = scores(tmp_path / "b", {"x": GOOD})
    content = json.loads((plain / "scores.json").read_text())
    del content["counts"]
    (plain / "scores.json").write_text(json.dumps(content))
    with pytest.raises(RegdataError, match=r"no counts per image, .* -o FOLDER"):
        compare(good, plain)
    with pytest.raises(RegdataError, match="is not there"):
        compare(good, tmp_path / "nowhere")
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(RegdataError, match="holds none"):
        compare(tmp_path / "x.json", good)
