import numpy as np
import pytest

from regdata.registration.quality.residual import correlations, peak, residual_shift

SIDE_UM = 64.0


def nuclei(seed, count=60):
    """Centres (N, 2) in µm around and in a patch, and their gains."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-10, SIDE_UM + 10, (count, 2)), rng.lognormal(0, 0.3, count)


def drawn(xy, gains, mpp, shift=(0.0, 0.0), sigma=2.0):
    """Gaussian nuclei moved by `shift` µm, exactly."""
    at = (np.arange(round(SIDE_UM / mpp)) + 0.5) * mpp
    x = np.exp(-((at[None] - xy[:, :1] - shift[0]) ** 2) / (2 * sigma**2))
    y = np.exp(-((at[None] - xy[:, 1:] - shift[1]) ** 2) / (2 * sigma**2))
    return np.einsum("n,ny,nx->yx", gains, y, x).astype(np.float32)


@pytest.mark.parametrize("mpp", [0.25, 0.65])
@pytest.mark.parametrize("shift", [(0, 0), (1.3, -2.1), (0.33, 0.77), (-5.2, 3.9)])
def test_a_known_shift_is_recovered_to_a_fraction_of_a_pixel(mpp, shift):
    xy, gains = nuclei(1)
    moving = drawn(xy, gains**2, mpp, shift)  # other brightness, same places
    found = residual_shift(drawn(xy, gains, mpp), moving, mpp, 8.0)
    assert found.shift_um == pytest.approx(shift, abs=0.1)
    assert found.confidence > 0.95
    assert found.at_peak > 0.8
    assert found.at_peak >= found.at_zero - 1e-9


def test_correlations_are_those_of_a_loop_over_shifts():
    rng = np.random.default_rng(2)
    fixed, moving = rng.normal(size=(2, 23, 30)).astype(np.float32)
    fixed[:4], moving[:, 25:], moving[10, 10] = np.nan, np.nan, np.nan
    surface = correlations(fixed, moving, 1.0, 3.0)
    for dy in range(-3, 4):
        for dx in range(-3, 4):
            pairs = [
                (fixed[y, x], moving[y + dy, x + dx])
                for y in range(23)
                for x in range(30)
                if 0 <= y + dy < 23 and 0 <= x + dx < 30
            ]
            both = np.array([pair for pair in pairs if np.isfinite(pair).all()])
            expected = np.corrcoef(both.T)[0, 1]
            assert surface.values[dy + 3, dx + 3] == pytest.approx(expected, abs=1e-4)


def test_correlation_does_not_depend_on_units():
    xy, gains = nuclei(3)
    fixed, moving = drawn(xy, gains, 0.5), drawn(xy, gains, 0.5, (1, 1))
    one = residual_shift(fixed, moving, 0.5, 6.0)
    other = residual_shift(fixed * 1e-3 + 7, moving * 5000 + 300, 0.5, 6.0)
    assert other.shift_um == pytest.approx(one.shift_um, abs=0.01)
    assert other.at_peak == pytest.approx(one.at_peak, abs=1e-3)


@pytest.mark.parametrize("value", [0.0, 3.5, np.nan])
def test_a_blank_moving_patch_says_nothing(value):
    fixed = drawn(*nuclei(4), 0.5)
    found = residual_shift(fixed, np.full_like(fixed, value), 0.5, 6.0)
    assert found.confidence == 0
    assert found.shift_um.tolist() == [0, 0]
    assert found.sd_um == np.inf


def test_other_nuclei_and_noise_give_no_confidence():
    confidences = []
    for seed in range(20):
        fixed = drawn(*nuclei(seed), 0.5)
        other = drawn(*nuclei(seed + 100), 0.5)
        noise = np.random.default_rng(seed).normal(size=fixed.shape).astype(np.float32)
        confidences += [
            residual_shift(fixed, image, 0.5, 10.0).confidence for image in (other, noise)
        ]
    assert np.mean(confidences) < 0.25
    assert np.mean(np.array(confidences) > 0.8) <= 0.05


def test_pixels_beyond_the_edge_of_a_slide_count_for_nothing():
    xy, gains = nuclei(5)
    fixed, moving = drawn(xy, gains, 0.5), drawn(xy, gains, 0.5, (2.0, -1.0))
    moving[:, 70:] = np.nan
    fixed[100:] = np.nan
    found = residual_shift(fixed, moving, 0.5, 6.0)
    assert found.shift_um == pytest.approx((2.0, -1.0), abs=0.1)
    # had they been 0, the edge itself would be what agrees best
    blackened = residual_shift(np.nan_to_num(fixed), np.nan_to_num(moving), 0.5, 6.0)
    assert blackened.at_peak < found.at_peak - 0.1


def test_a_shift_beyond_reach_is_not_trusted():
    xy, gains = nuclei(6)
    moving = drawn(xy, gains, 0.5, (6.2, 0.0))
    assert residual_shift(drawn(xy, gains, 0.5), moving, 0.5, 5.0).confidence < 0.5
    assert residual_shift(drawn(xy, gains, 0.5), moving, 0.5, 8.0).confidence > 0.95


def test_noise_widens_the_predicted_spread_and_the_spread():
    xy, gains = nuclei(7, count=30)
    fixed = drawn(xy, gains, 0.5)
    errors, predicted = {}, {}
    for level in (0.3, 1.0):
        found = []
        for seed in range(15):
            rng = np.random.default_rng(seed)
            # noise as coarse as nuclei: other nuclei that only one of the slides shows
            stray = drawn(rng.uniform(0, 64, (40, 2)), np.full(40, level), 0.5)
            found.append(residual_shift(fixed, drawn(xy, gains, 0.5, (0.7, 0.2)) + stray, 0.5, 6.0))
        off = np.array([one.shift_um for one in found]) - (0.7, 0.2)
        errors[level] = np.sqrt((off**2).mean())
        predicted[level] = np.mean([one.sd_um for one in found])
        assert 0.4 < predicted[level] / errors[level] < 2.5
    assert errors[1.0] > errors[0.3]
    assert predicted[1.0] > predicted[0.3]


def test_too_few_pixels_say_nothing():
    fixed = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    assert residual_shift(fixed, fixed, 0.5, 2.0).confidence == 0


def test_a_smaller_reach_is_the_middle_of_a_larger_one():
    fixed, moving = np.random.default_rng(0).normal(size=(2, 40, 40)).astype(np.float32)
    large, small = correlations(fixed, moving, 0.5, 8.0), correlations(fixed, moving, 0.5, 4.0)
    assert large.within(4.0).values == pytest.approx(small.values, abs=1e-4)
    assert peak(large.within(4.0)).shift_um == pytest.approx(peak(small).shift_um, abs=1e-3)
    at = np.array([[1.0, -2.0], [0.0, 0.0]])
    assert large.at(at) == pytest.approx([small.values[4, 10], small.values[8, 8]], abs=1e-4)
