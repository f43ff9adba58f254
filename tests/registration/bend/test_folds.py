from itertools import pairwise

import numpy as np
import pytest

from regdata.registration.bend.folds import behind, first_without_folds, stiff_enough
from regdata.registration.bend.spline_fit import Stiffness
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform


def waves(height: float) -> Displacement:
    """Folds when they are more than a few µm high."""
    samples = np.random.default_rng(0).normal(0, 1, (2, 9, 9))
    return Displacement.through(height * samples, np.zeros(2), 20.0)


def test_the_first_that_keeps_areas_is_taken() -> None:
    fields = [waves(height) for height in (40, 20, 2, 1)]
    areas = [field.min_jacobian() for field in fields]
    assert areas[1] < 0.3 < areas[2]
    assert first_without_folds(fields, 0.3) is fields[2]
    assert first_without_folds(fields, areas[3]) is fields[3]
    assert first_without_folds(fields[:2], 0.3) is None


def test_no_field_is_made_that_is_not_needed() -> None:
    made: list[float] = []

    def heights():
        for height in (40, 1, 0.5):
            made.append(height)
            yield waves(height)

    first_without_folds(heights(), 0.3)
    assert made == [40, 1]


@pytest.mark.parametrize(("least", "expected"), [(-1e9, 1), (0.3, 16)])
def test_stiffness_grows_fourfold_until_areas_are_kept(least: float, expected: int) -> None:
    tried: list[Stiffness] = []

    def fit(stiffness: Stiffness) -> Displacement:
        tried.append(stiffness)
        return waves(32 / stiffness.bending)

    assert waves(8).min_jacobian() < 0.3 < waves(2).min_jacobian()
    field = stiff_enough(fit, Stiffness(1.0, 0.5), least)
    assert field.min_jacobian() >= least
    assert tried[-1] == Stiffness(expected, expected / 2)
    assert all(b.bending == 4 * a.bending for a, b in pairwise(tried))


def test_a_field_lies_in_front_of_the_map() -> None:
    there = Transform.affine(np.array([[0.0, -1, 5], [1, 0, 2], [0, 0, 1]]))
    at = np.array([[30.0, 40.0]])
    assert behind(None, there) is there
    moved = at + waves(2).displacement(at)
    assert behind(waves(2), there).points(at) == pytest.approx(there.points(moved))
