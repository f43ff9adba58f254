import numpy as np
import pytest

from regdata.registration.quality.neighbours import consensus, disagreement, smoothed


def field(rows, columns, x, y):
    return np.broadcast_to(np.array([x, y], float), (rows, columns, 2)).copy()


def test_one_wild_tile_does_not_change_what_neighbours_agree_on():
    shifts = field(5, 5, 1.0, -0.5)
    shifts[2, 2] = 40, 40
    middle, count = consensus(shifts, np.ones((5, 5)))
    assert middle.reshape(-1, 2) == pytest.approx(field(25, 1, 1.0, -0.5).reshape(-1, 2))
    assert (count[2, 2], count[0, 2], count[0, 0]) == (8, 5, 3)


def test_neighbours_without_weight_are_not_heard():
    shifts, weights = field(3, 3, 5.0, 5.0), np.zeros((3, 3))
    shifts[0, 1], weights[0, 1] = (1, 2), 0.5
    middle, count = consensus(shifts, weights)
    assert middle[1, 1].tolist() == [1, 2]
    assert count[1, 1] == 0.5
    assert consensus(shifts, np.zeros((3, 3)))[0].tolist() == np.zeros((3, 3, 2)).tolist()


def test_disagreement_is_the_distance_to_the_neighbours():
    shifts = field(3, 3, 0.0, 0.0)
    shifts[1, 1] = 3, 4
    assert disagreement(shifts, np.ones((3, 3)))[1, 1] == pytest.approx(5)
    assert disagreement(shifts, np.zeros((3, 3)))[1, 1] == 0


def sd(shape, value=0.2):
    return np.full(shape, value)


def test_a_steady_shift_survives_smoothing_and_an_odd_one_does_not():
    shifts = field(7, 7, 2.0, 1.0)
    shifts[3, 3] = -8, 9
    smooth = smoothed(shifts, np.ones((7, 7)), sd((7, 7)))
    assert np.abs(smooth[3, 3] - (2, 1)).max() < 0.5
    assert np.abs(smooth[1, 1] - (2, 1)).max() < 0.1


def test_noise_is_averaged_and_a_steep_field_is_not():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.5, (9, 9, 2))
    assert smoothed(noise, np.ones((9, 9)), sd((9, 9), 0.5)).std() < 0.35
    steep = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), -1)[..., ::-1] ** 2 / 6
    smooth = smoothed(steep, np.ones((9, 9)), sd((9, 9), 0.2))
    assert np.abs(smooth - steep)[1:-1, 1:-1].max() < 0.2


def test_smoothing_draws_what_is_unsure_to_zero():
    shifts = field(5, 5, 3.0, 0.0)
    assert smoothed(shifts, np.zeros((5, 5)), sd((5, 5), np.inf)).max() == 0
    sure = smoothed(shifts, np.ones((5, 5)), sd((5, 5)))[2, 2, 0]
    unsure = smoothed(shifts, np.full((5, 5), 0.1), sd((5, 5), 3.0))[2, 2, 0]
    assert unsure < sure - 1
