import numpy as np
import pytest

from regdata.registration.bend.evidence import Evidence, isotropic
from regdata.registration.bend.spline_fit import Stiffness, _applied, _halved, fitted
from regdata.transforms.displacement import Displacement

SOFT = Stiffness(1.0, 1e-6)


def truth(seed: int = 0) -> Displacement:
    samples = np.random.default_rng(seed).normal(0, 4, (2, 12, 12))
    return Displacement.through(samples, np.full(2, -100.0), 120.0)


def cells(count: int, cell_um: float) -> np.ndarray:
    at = (np.arange(count) + 0.5) * cell_um
    return np.stack(np.meshgrid(at, at), 2)


def test_a_field_is_found_from_a_third_of_its_cells() -> None:
    field, at = truth(), cells(150, 4.0)
    evidence = Evidence.empty(np.array([600.0, 600.0]), 4.0)
    known = (np.random.default_rng(1).random((150, 150)) < 0.3).astype(np.float32)
    evidence.add(isotropic(known, field.displacement(at).astype(np.float32)), (0, 0), 1)
    found = fitted(evidence, SOFT)
    assert np.abs(found.displacement(at) - field.displacement(at)).max() < 0.1


def test_what_is_known_across_edges_only_is_put_together() -> None:
    """Half of the cells know x, the other half y."""
    field, at = truth(), cells(100, 4.0)
    u = field.displacement(at).astype(np.float32)
    across = (np.indices((100, 100)).sum(0) % 2).astype(np.float32)
    terms = np.stack([across, 0 * across, 1 - across, across * u[..., 0], (1 - across) * u[..., 1]])
    evidence = Evidence.empty(np.array([400.0, 400.0]), 4.0)
    evidence.add(terms, (0, 0), 1)
    assert np.abs(fitted(evidence, SOFT).displacement(at) - u).max() < 0.05


def test_cells_of_large_weight_win() -> None:
    weight = np.ones((60, 60), np.float32)
    u = np.zeros((60, 60, 2), np.float32)
    u[:, 30:, 0] = 5.0
    weight[:, 30:] = 1e-4
    evidence = Evidence.empty(np.array([240.0, 240.0]), 4.0)
    evidence.add(isotropic(weight, u), (0, 0), 1)
    stiff = fitted(evidence, Stiffness(1e8, 0.0))
    assert np.abs(stiff.displacement(np.array([[60.0, 120.0]]))).max() < 0.2


def test_no_evidence_means_no_displacement() -> None:
    field = fitted(Evidence.empty(np.array([333.0, 41.0]), 4.0), SOFT)
    assert np.abs(field.coefficients).max() == 0
    assert np.isfinite(field.displacement(np.array([[330.0, 40.0]]))).all()


def test_the_matrix_is_symmetric_and_positive() -> None:
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(2, 16, 20))
    sums = np.stack(
        [slopes[0] ** 2, slopes[0] * slopes[1], slopes[1] ** 2, *rng.normal(size=(2, 16, 20))]
    ).astype(np.float32)
    a, b = rng.normal(size=(2, 2, 7, 8))
    image_a, image_b = _applied(sums, (0.3, 0.1), a), _applied(sums, (0.3, 0.1), b)
    assert np.vdot(b, image_a) == pytest.approx(np.vdot(a, image_b), rel=1e-5)
    assert np.vdot(a, image_a) > 0


def test_a_refined_spline_is_the_same_spline() -> None:
    rng = np.random.default_rng(0)
    c = rng.normal(size=(2, 7, 8))
    coarse = Displacement(np.full(2, -8.0), 8.0, c)
    fine = Displacement(np.full(2, -4.0), 4.0, _halved(c))
    at = rng.uniform(0, 30, (50, 2))
    assert np.abs(coarse.displacement(at) - fine.displacement(at)).max() < 1e-12


def test_tiles_add_to_what_the_whole_adds() -> None:
    terms = np.random.default_rng(0).random((5, 64, 96)).astype(np.float32)
    whole = Evidence.empty(np.array([24.0, 16.0]), 2.0)
    whole.add(terms, (0, 0), 8)
    tiled = Evidence.empty(np.array([24.0, 16.0]), 2.0)
    for x in (0, 4, 8):
        tiled.add(terms[:, :, 8 * x : 8 * x + 32], (x, 0), 8)
    assert np.allclose(whole.sums, tiled.sums)
    # a pixel of 0.25 µm counts by its area
    assert whole.sums.sum() == pytest.approx(terms.sum() / 16, rel=1e-4)
    assert np.allclose(whole.coarser().sums.sum((1, 2)), whole.sums.sum((1, 2)), rtol=1e-4)


def test_a_tile_over_the_edge_is_cut() -> None:
    evidence = Evidence.empty(np.array([10.0, 10.0]), 2.0)
    evidence.add(np.ones((5, 64, 64), np.float32), (0, 0), 8)
    assert evidence.sums.shape == (5, 5, 5)
    assert np.allclose(evidence.sums, 4.0)
