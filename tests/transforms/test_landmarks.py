from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.transforms.landmarks import fit_landmarks, read_landmarks, target_error
from regdata.transforms.transform import Transform

POINTS = [[10.5, 20.0], [-3.0, 1e3]]


@pytest.mark.parametrize(
    "text",
    [
        ",X,Y\n1,10.5,20\n2,-3,1000\n",  # ANHIR
        " ,Area,Mean,X,Y\n1,0,3,10.5,20\n2,0,4,-3,1000\n",  # ImageJ
        "x,y\n10.5,20\n-3,1e3",
        "Y,X\n20,10.5\n1000,-3\n",
        "\ufeffname;X;Y\r\na,b;10.5;20\r\nc;-3;1000\r\n\r\n",
        '"id"\t"x"\t"y"\n"a"\t"10.5"\t"20"\n\n"b"\t-3\t1000\n',
    ],
)
def test_layouts(tmp_path: Path, text: str) -> None:
    path = tmp_path / "he.csv"
    path.write_text(text, encoding="utf-8", newline="")
    found = read_landmarks(path)
    assert found.dtype == np.float64
    assert found.tolist() == POINTS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "he.csv begins with ''; expected a table of landmarks with columns x and y"),
        ("1,2\n3,4\n", "begins with '1,2'"),
        ("x,x,y\n1,2,3\n", "columns x and y"),
        ("x,y\n", "holds no landmarks"),
        ("x,y\n1,2\n\n3,a\n", "line 4 of .*he.csv: expected numbers for x and y, got '3,a'"),
        ("x,y\n1\n", "line 2 of"),
        ("x,y\n1,nan\n", "line 2 of"),
        ("x,y\n1,inf\n", "line 2 of"),
    ],
)
def test_other_tables_are_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "he.csv"
    path.write_text(text)
    with pytest.raises(RegdataError, match=message) as caught:
        read_landmarks(path)
    assert "\n" not in str(caught.value)


def test_missing_and_binary_files_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RegdataError, match=r"cannot read .*no\.csv: No such file"):
        read_landmarks(tmp_path / "no.csv")
    (tmp_path / "he.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(RegdataError, match=r"he\.csv is not a text file"):
        read_landmarks(tmp_path / "he.csv")


def truth(rng: np.random.Generator, kind: str) -> np.ndarray:
    angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    aside = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    if kind == "affine":
        aside = aside @ np.array([[1, 0.3], [0, 0.8]])
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = scale * turn @ aside, rng.uniform(-1e4, 1e4, 2)
    return matrix


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["similarity", "affine"]), st.integers(3, 20))
def test_a_fit_finds_the_map_mirrored_or_not(seed: int, kind: str, count: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = truth(rng, kind)
    he = np.array([[0.0, 0], [9e3, 100], [200, 8e3], *rng.uniform(0, 1e4, (count - 3, 2))])
    found = fit_landmarks(he, Transform.affine(matrix).points(he), kind)  # type: ignore[arg-type]
    assert np.allclose(found.matrix, matrix, atol=1e-6)


@pytest.mark.parametrize("kind", ["similarity", "affine"])
def test_a_fit_is_the_least_squares(kind: str) -> None:
    rng = np.random.default_rng(0)
    he = rng.uniform(0, 1e3, (15, 2))
    if_ = Transform.affine(truth(rng, kind)).points(he) + rng.normal(0, 20, (15, 2))
    best = fit_landmarks(he, if_, kind).matrix  # type: ignore[arg-type]

    def squares(matrix: np.ndarray) -> float:
        return float(((Transform.affine(matrix).points(he) - if_) ** 2).sum())

    a, b, x = best[0, 0], best[1, 0], best[0, 2]
    sign = np.sign(np.linalg.det(best[:2, :2]))
    if kind == "similarity":
        assert np.allclose(best[:2, :2], [[a, -sign * b], [b, sign * a]])
    for step in (1e-4, -1e-4):
        turned, shifted = best.copy(), best.copy()
        turned[:2, :2] += step * np.array([[0, -sign], [1, 0]])
        shifted[0, 2] = x + 100 * step
        assert squares(turned) > squares(best)
        assert squares(shifted) > squares(best)
        assert squares(best @ np.diag([1 + step, 1 + step, 1])) > squares(best)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_landmarks_on_a_line_are_not_mirrored(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = truth(rng, "similarity")
    if np.linalg.det(matrix[:2, :2]) < 0:
        matrix = matrix @ np.diag([1.0, -1.0, 1.0])
    along = np.array([0, 5000, *rng.uniform(0, 9000, count - 2)])
    he = rng.uniform(0, 1e4, 2) + along[:, None] * rng.normal(size=2)
    assert np.allclose(fit_landmarks(he, Transform.affine(matrix).points(he)).matrix, matrix)


@pytest.mark.parametrize(
    ("he", "if_", "kind", "message"),
    [
        ([[0, 0]], [[0, 0]], "similarity", "expected 2 landmarks or more, got 1"),
        ([[0, 0], [1, 1]], [[0, 0], [1, 1]], "affine", "expected 3 landmarks or more, got 2"),
        ([[0, 0], [1, 1]], [[0, 0]], "similarity", "got 2 on the H&E and 1 on the IF"),
        ([[5, 5], [5, 5]], [[0, 0], [1, 1]], "similarity", "in one place"),
        ([[0, 1], [1, 1]], [[5, 5], [5, 5]], "similarity", "in one place"),
        ([[0, 0], [1, 2], [2, 4]], [[0, 0], [1, 2], [3, 4]], "affine", "on one line"),
        ([[0, 0], [1, 2], [2, 5]], [[0, 0], [1, 2], [2, 4]], "affine", "on one line"),
        ([[0, np.nan], [1, 1]], [[0, 0], [1, 1]], "similarity", "finite"),
        ([[0, 0, 0], [1, 1, 1]], [[0, 0], [1, 1]], "similarity", r"\(N, 2\)"),
    ],
)
def test_landmarks_that_tell_no_map_are_refused(
    he: list[list[float]], if_: list[list[float]], kind: str, message: str
) -> None:
    with pytest.raises(RegdataError, match=message):
        fit_landmarks(np.array(he), np.array(if_), kind)  # type: ignore[arg-type]


def test_target_error() -> None:
    he = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0], [4.0, 4.0]])
    off = np.array([[3.0, 4.0], [0, 1], [0, -2], [0, 0], [10, 0]])
    shift = Transform.affine(np.array([[1.0, 0, 7], [0, 1, -2], [0, 0, 1]]))
    found = target_error(shift, he, he + np.array([7, -2]) + off, 200.0)
    assert found.count == 5
    assert (found.median_um, found.mean_um, found.max_um) == (2.0, 3.6, 10.0)
    assert found.p90_um == pytest.approx(8.0)  # of 0, 1, 2, 5, 10: 0.6 of the way from 5 to 10
    expected = (0.01, 0.018, 0.05)
    assert (found.median_rtre, found.mean_rtre, found.max_rtre) == pytest.approx(expected)


@pytest.mark.parametrize("diagonal", [0.0, -1.0, np.nan, np.inf])
def test_a_diagonal_is_positive(diagonal: float) -> None:
    with pytest.raises(RegdataError, match="positive diagonal"):
        target_error(Transform.identity(), np.zeros((1, 2)), np.zeros((1, 2)), diagonal)
