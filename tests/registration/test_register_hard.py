"""Registration of slides that are not as one would like them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.registration.registration import register
from regdata.slides.slide import Box
from regdata.transforms.displacement import Displacement
from regdata.transforms.transform import Transform
from regdata.transforms.warp import warped


def pixels(slide):
    return slide.pixels(0, Box(0, 0, *slide.size), tuple(range(len(slide.channels))))


def median_error(pair, if_=None, he=None):
    found = register(he or pair.he, if_ or pair.if_, 0)
    return float(np.median(pair.error_um(found.he_to_if)))


@given(
    degrees=st.floats(0, 360),
    mirror=st.booleans(),
    bend_um=st.floats(0.5, 3.0),
    seed=st.integers(0, 999),
)
@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_pose_and_any_smooth_bend_is_found(
    section, pair_of, linear, slide, degrees, mirror, bend_um, seed
):
    pair = pair_of(section, linear(degrees, mirror), (0.5, 0.5))
    samples = np.random.default_rng(seed).normal(0, bend_um, (2, 8, 8))
    bend = Transform.displaced(Displacement.through(samples, np.full(2, -60.0), 60.0))
    # the IF bent in its own frame: what lay at bend(x) now lies at x
    bent = pixels(warped(pair.if_, pair.if_, bend))
    found = register(pair.he, slide(bent, 0.5, "if.tif"), 0)
    true = section.xy @ pair.he_to_if[:2, :2].T + pair.he_to_if[:2, 2]
    true = bend.inverse().points(true)
    error = np.linalg.norm(found.he_to_if.points(section.xy) - true, axis=1)
    inner = ((true > 12) & (true < np.array(pair.if_.size) * 0.5 - 12)).all(1)
    assert np.median(error[inner]) < 0.3
    assert np.percentile(error[inner], 90) < 1.0


@pytest.mark.parametrize("mpps", [(0.25, 0.65), (0.65, 0.25)], ids=["coarse IF", "coarse H&E"])
def test_unequal_pixels_are_right_to_a_tenth_of_a_micrometre(section, pair_of, linear, mpps):
    """Half a pixel taken wrongly on either side would be 0.2 µm, all in one direction."""
    pair = pair_of(section, linear(0), mpps)
    found = register(pair.he, pair.if_, 0)
    true = section.xy @ pair.he_to_if[:2, :2].T + pair.he_to_if[:2, 2]
    off = np.median(found.he_to_if.points(section.xy) - true, axis=0)
    assert np.abs(off).max() < 0.1


def test_saturated_dapi_is_registered(section, pair_of, linear, slide):
    pair = pair_of(section, linear(25), (0.5, 0.5))
    image = pixels(pair.if_).astype(float)
    full = (image / np.percentile(image[0], 93) * 65535).clip(0, 65535).astype(np.uint16)
    assert (full[0] == 65535).mean() > 0.05
    assert median_error(pair, slide(full, 0.5, "if.tif")) < 0.3


def test_tissue_that_touches_the_edge_is_registered(section, pair_of, linear, slide):
    pair = pair_of(section, linear(0), (0.5, 0.5))
    he = pixels(pair.he)[:, 120:, 120:]
    cut = slide(np.ascontiguousarray(he), 0.5, "he.tif")
    found = register(cut, pair.if_, 0)
    inside = (section.xy > 64).all(1)
    true = section.xy @ pair.he_to_if[:2, :2].T + pair.he_to_if[:2, 2]
    off = np.linalg.norm(found.he_to_if.points(section.xy - 60) - true, axis=1)
    assert np.median(off[inside]) < 0.3


def test_a_small_piece_on_a_large_slide_is_registered(section, pair_of, linear, slide):
    pair = pair_of(section, linear(40), (0.5, 0.5))
    he = np.full((3, 1600, 1600), 245, np.uint8)
    he[:, 900:1340, 200:640] = pixels(pair.he)
    found = register(slide(he, 0.5, "he.tif"), pair.if_, 0)
    moved = section.xy + np.array([200, 900]) * 0.5
    true = section.xy @ pair.he_to_if[:2, :2].T + pair.he_to_if[:2, 2]
    assert np.median(np.linalg.norm(found.he_to_if.points(moved) - true, axis=1)) < 0.3


def test_an_if_of_a_part_of_the_section_is_registered(section, pair_of, linear):
    assert median_error(pair_of(section, linear(100), (0.5, 0.5), 0.7)) < 0.3


@pytest.mark.parametrize("value", [0, 65535], ids=["black", "white"])
def test_a_blank_channel_is_refused(section, pair_of, linear, slide, value):
    pair = pair_of(section, linear(0))
    blank = np.full((1, 400, 400), value, np.uint16)
    with pytest.raises(RegdataError, match=f"is constant \\(value {value}\\)"):
        register(pair.he, slide(blank, 0.65, "if.tif"), 0)


def test_a_white_he_is_refused(section, pair_of, linear, slide):
    pair = pair_of(section, linear(0))
    white = np.full((3, 400, 400), 250, np.uint8)
    with pytest.raises(RegdataError, match="shows no tissue"):
        register(slide(white, 0.5, "he.tif"), pair.if_, 0)


def test_the_same_pair_gives_the_same_map(section, pair_of, linear):
    pair = pair_of(section, linear(33), (0.5, 0.5))
    first, again = register(pair.he, pair.if_, 0), register(pair.he, replace(pair.if_), 0)
    at = section.xy
    assert np.array_equal(first.he_to_if.points(at), again.he_to_if.points(at))
