from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from scipy import ndimage

from regdata.errors import RegdataError
from regdata.files.progress import silent
from regdata.registration.backends import elastix as backend_elastix
from regdata.registration.backends import simpleitk as backend_simpleitk
from regdata.registration.backends.choice import BACKENDS, check_backend
from regdata.registration.bend.folds import checked, unfolded
from regdata.registration.bend.outside_field import (
    detail_score,
    in_one_frame,
    pulled_through,
    through_samples,
)
from regdata.registration.pose.density import Density
from regdata.registration.pose.similarity import pulled
from regdata.transforms.displacement import Displacement
from regdata.transforms.steps import Affine, Displaced
from regdata.transforms.transform import Transform

SIDE_UM = 220.0


@pytest.fixture(scope="module")
def warped(section, linear):
    """Densities of a section displaced by some 3 µm and turned, and the truth: (f, m, start, T)."""
    rng = np.random.default_rng(3)
    field = Displacement.through(rng.normal(0, 3, (2, 5, 5)), np.full(2, -40.0), 80.0)
    start = np.eye(3)
    start[:2, :2], start[:2, 2] = linear(7, scale=1.01), (25, -2)
    truth = Transform.displaced(field).then(Transform.affine(start))
    moved = replace(section, xy=truth.points(section.xy))
    fixed = section.drawn(1.0, 220, np.eye(3), False).clip(0, 1)
    moving = np.sqrt(moved.drawn(1.0, 260, np.eye(3), True)).clip(0, 1.3) / 1.3
    whole = [Density(plane, 1.0, np.ones(plane.shape, bool)) for plane in (fixed, moving)]
    return *whole, start, truth


def errors(found, truth, section):
    seen = truth.points(section.xy)
    inside = (
        ((seen > 5) & (seen < 255)).all(1) & (section.xy > 5).all(1) & (section.xy < 215).all(1)
    )
    return np.linalg.norm(found.points(section.xy) - seen, axis=1)[inside]


def check_known_warp(name, warped, section):
    fixed, moving, start, truth = warped
    before = errors(Transform.affine(start), truth, section)
    shares = []
    found = BACKENDS[name].deform(fixed, moving, start, shares.append)
    after = errors(found, truth, section)
    assert np.median(before) > 1.5
    assert np.median(after) < 0.4
    assert np.percentile(after, 90) < 1.0
    assert isinstance(found.steps[0], Displaced)
    assert isinstance(found.steps[1], Affine)
    assert shares[-1] == 1.0


def test_simpleitk_finds_a_known_warp(warped, section):
    check_known_warp("simpleitk", warped, section)


needs_elastix = pytest.mark.skipif(
    backend_elastix.missing_elastix() is not None, reason="itk-elastix is not installed"
)


@needs_elastix
def test_elastix_finds_a_known_warp_and_leaves_no_file(warped, section, tmp_path, monkeypatch):
    monkeypatch.setattr(backend_elastix, "_ITERATIONS", 150)
    monkeypatch.setattr(backend_elastix, "_RESOLUTIONS", 2)
    monkeypatch.chdir(tmp_path)
    check_known_warp("elastix", warped, section)
    assert list(tmp_path.iterdir()) == []


def control_points(**changed):
    found = {
        "Transform": ("RecursiveBSplineTransform",),
        "GridSize": ("4", "5"),
        "GridOrigin": ("-8", "-16"),
        "GridSpacing": ("8", "8"),
        "GridDirection": ("1", "0", "0", "1"),
        "TransformParameters": tuple(str(i) for i in range(40)),
    }
    return {**found, **changed}


def test_control_points_of_elastix_are_read_x_first_row_by_row():
    field = backend_elastix._field(control_points())
    assert field.coefficients.shape == (2, 5, 4)
    assert field.coefficients[0, 1].tolist() == [4, 5, 6, 7]
    assert field.coefficients[1, 0, 0] == 20
    assert field.origin_um.tolist() == [-8, -16]
    assert field.spacing_um == 8


@pytest.mark.parametrize(
    "changed",
    [
        {"GridSpacing": ("8", "9")},
        {"GridDirection": ("0", "1", "1", "0")},
        {"Transform": ("EulerTransform",)},
    ],
    ids=["not square", "turned", "no spline"],
)
def test_another_transform_of_elastix_is_refused(changed):
    with pytest.raises(RegdataError, match="another kind of transform"):
        backend_elastix._field(control_points(**changed))


def test_without_elastix_one_line_says_how_to_get_it(warped, monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(backend_elastix, "version", absent)
    expected = r'elastix is not installed; pip install "regdata\[elastix\]"'
    with pytest.raises(RegdataError, match=expected):
        check_backend("elastix")
    with pytest.raises(RegdataError, match=expected):
        backend_elastix.deform_elastix(*warped[:3])


def test_simpleitk_is_always_there():
    check_backend("simpleitk")


@pytest.mark.parametrize("name", list(BACKENDS))
def test_slides_that_do_not_overlap_are_refused(warped, name):
    if BACKENDS[name].missing():
        pytest.skip(f"{name} is not installed")
    fixed, moving, start, _ = warped
    away = start.copy()
    away[0, 2] += 5000
    with pytest.raises(RegdataError, match="expected slides that overlap"):
        BACKENDS[name].deform(fixed, moving, away, silent)


def test_what_simpleitk_cannot_do_is_one_line(warped, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("first line\nITK ERROR: no memory")

    monkeypatch.setattr(backend_simpleitk.sitk.ImageRegistrationMethod, "Execute", broken)
    with pytest.raises(RegdataError, match=r"^SimpleITK failed: ITK ERROR: no memory; use another"):
        backend_simpleitk.deform_simpleitk(*warped[:3])


def test_a_slide_pulled_through_an_affine_map_is_as_warped_by_it(warped):
    fixed, moving, start, _ = warped
    ours, inside = pulled_through(moving, fixed, Transform.affine(start))
    theirs, there = pulled(moving, fixed, start)
    np.testing.assert_allclose(ours[inside & there], theirs[inside & there], atol=0.03)
    assert (inside != there).mean() < 0.02


def test_a_finer_moving_slide_is_brought_to_the_pixels_of_the_fixed_one(warped):
    fixed, moving, start, _ = warped
    coarse = fixed.coarser(2.0)
    here, both = in_one_frame(coarse, moving, Transform.affine(start))
    assert here.values.shape == both.shape == coarse.values.shape
    assert not here.tissue.all()
    assert both.sum() <= here.tissue.sum()


def test_the_true_map_scores_above_the_pose_it_began_with(warped):
    fixed, moving, start, truth = warped
    detail = fixed.band(1, 6), moving.band(1, 6)
    right, begun = (detail_score(*detail, each) for each in (truth, Transform.affine(start)))
    assert right > begun + 0.1


def test_slides_apart_score_nothing(warped):
    away = np.eye(3)
    away[0, 2] = 1e4
    assert detail_score(warped[0], warped[1], Transform.affine(away)) == 0.0


def test_samples_are_kept_and_split_into_displacement_and_affine(linear):
    start = np.eye(3)
    start[:2, :2], start[:2, 2] = linear(30, mirror=True), (100, 20)
    nodes = np.stack(np.meshgrid(np.arange(6), np.arange(5)), axis=2) * 10.0
    moved = nodes + np.random.default_rng(0).normal(0, 0.5, nodes.shape)
    mapped = Transform.affine(start).points(moved)
    found = through_samples(mapped, 10.0, start, "VALIS")
    np.testing.assert_allclose(found.points(nodes), mapped, atol=1e-9)
    np.testing.assert_allclose(found.steps[1].matrix, start)


def test_a_map_with_holes_is_refused():
    mapped = np.zeros((4, 5, 2))
    mapped[1, 2] = np.nan, 3
    with pytest.raises(RegdataError, match=r"VALIS to map every point.* nothing for 1 of 20"):
        through_samples(mapped, 10.0, np.eye(3), "VALIS")


def test_a_deformation_that_folds_is_refused():
    samples = np.zeros((2, 60, 60))
    samples[0] = -20.0 * np.arange(60)  # the slide turned over: no matter of smoothing
    field = Displacement.through(samples, np.zeros(2), 10.0)
    assert field.min_jacobian() < 0
    with pytest.raises(RegdataError, match=r"that elastix found folds .*expected above 0.*affine"):
        checked(field, np.eye(3), "elastix")


def test_a_field_is_smoothed_where_it_nearly_folds_and_nowhere_else():
    rng = np.random.default_rng(0)
    samples = ndimage.gaussian_filter(rng.normal(0, 6, (2, 40, 40)), (0, 2, 2))
    samples[0, 20, 20] -= 12.0
    field = Displacement.through(samples, np.zeros(2), 10.0)
    assert field.min_jacobian() < 0
    found = unfolded(field)
    assert found.min_jacobian() >= 0.2
    assert abs(found.coefficients - field.coefficients)[:, 18:24, 18:24].max() > 1
    np.testing.assert_allclose(
        found.coefficients[:, :8], field.coefficients[:, :8], rtol=0, atol=1e-9
    )


def test_a_field_that_is_smooth_enough_stays_as_it_is():
    field = Displacement.through(np.zeros((2, 6, 6)), np.zeros(2), 10.0)
    assert unfolded(field) is field
