import numpy as np
import pytest

from regdata.simulate.nuclei import DENSITY_STEP, paint
from regdata.simulate.placing import KINDS, NUCLEUS, walk


def nuclei(*places, kind="lymphocyte", axes=(14.0, 12.0), angle=0.0):
    out = np.zeros(len(places), NUCLEUS)
    out["x"], out["y"] = np.array(places, np.float32).T
    out["long"], out["short"] = axes
    out["angle"], out["kind"] = angle, KINDS.index(kind)
    out["dark"], out["soft"], out["vesicular"] = 1, 2, 0.5
    return out


def drawn(wanted, size=(120, 100)):
    return paint(wanted, size, np.random.default_rng(0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_nucleus_lies_where_it_was_put(kind):
    painted = drawn(nuclei((60.5, 40.5), kind=kind, axes=(20.0, 10.0), angle=0.6))
    y, x = np.nonzero(painted.instances)
    assert (x.mean() + 0.5, y.mean() + 0.5) == pytest.approx((60.5, 40.5), abs=1.5)
    spread, axes = np.linalg.eigh(np.cov(x, y))
    direction = np.arctan2(*axes[::-1, 1]) % np.pi
    assert direction == pytest.approx(0.6, abs=0.25)
    assert 2 * np.sqrt(spread) == pytest.approx([10, 20], rel=0.25)
    inside = painted.instances > 0
    assert painted.chromatin[inside].mean() * DENSITY_STEP > 0.25
    assert painted.chromatin[~inside].mean() * DENSITY_STEP < 0.05
    assert painted.cover[40, 60] > 250


def test_who_comes_first_stays():
    painted = drawn(nuclei((40, 50), (60, 50), (41, 50), (90, 20)))
    assert painted.nuclei["x"].tolist() == [40, 60, 90]
    assert np.unique(painted.instances).tolist() == [0, 1, 2, 3]
    alone = drawn(nuclei((40, 50))).instances == 1
    assert np.array_equal(painted.instances == 1, alone)


def test_slivers_at_the_edge_and_nuclei_outside_are_left_out():
    painted = drawn(nuclei((-13, 50), (300, 50), (50, -400), (60, 99)))
    assert painted.nuclei["y"].tolist() == [99]
    assert np.bincount(painted.instances.ravel())[1:].min() >= 30


def test_no_nuclei_at_all():
    painted = drawn(np.zeros(0, NUCLEUS))
    assert painted.instances.shape == (100, 120)
    assert len(painted.nuclei) == 0


def test_a_walk_has_even_steps_and_looks_inwards():
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = 100 * np.stack([np.cos(turn), np.sin(turn)], 1) + 300
    points, normal = walk(circle, 20.0)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert len(points) == pytest.approx(2 * np.pi * 100 / 20, abs=1)
    assert steps == pytest.approx(np.full(len(steps), 20), abs=0.2)
    inward = (300 - points) / 100
    assert np.sum(normal * inward, 1).min() > 0.98
