from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import set_files
from set_files import A, B

from regdata.annotated.instance_maps import load_npz
from regdata.annotated.nucls import load_nucls
from regdata.annotated.sets import AnnotatedImage, AnnotatedSet
from regdata.annotated.views import crop_to_field, drop_unnamed, resample


@pytest.fixture
def one(tmp_path: Path) -> AnnotatedSet:
    path = set_files.picture(tmp_path / "a.png")
    ids = set_files.both(1, 2)
    image = AnnotatedImage(
        path=path,
        points_xy=np.array([A, B]),
        labels=np.array([-1, 0]),
        slide="s",
        field=(2.5, 1.0, 9.0, 7.0),
        outlines=ids.copy,
    )
    return AnnotatedSet((image,), ("cell",), 0.2)


def test_nuclei_without_a_class_are_dropped_from_points_and_outlines(one: AnnotatedSet) -> None:
    (image,) = drop_unnamed(one).images
    assert image.points_xy.tolist() == [list(B)]
    assert image.outlines is not None
    np.testing.assert_array_equal(image.outlines(), set_files.both(0, 1))


def test_crop(one: AnnotatedSet) -> None:
    (image,) = crop_to_field(one).images
    assert image.field is None
    assert image.points_xy.tolist() == [[A[0] - 2, A[1] - 1], [B[0] - 2, B[1] - 1]]
    slide = image.opened()
    assert slide.size == (7, 6)
    assert slide.read_rgb((0, 0), slide.size)[0, 0].tolist() == [200, 0, 0]  # where A begins
    assert image.outlines is not None
    np.testing.assert_array_equal(image.outlines(), set_files.both(1, 2)[1:7, 2:9])


def test_nuclei_outside_the_field_are_cut_off(one: AnnotatedSet) -> None:
    field = (4.0, 0.0, 99.0, 99.0)  # beyond the picture, which ends at 10 and 8
    cut = replace(one, images=(replace(one.images[0], field=field),))
    (image,) = crop_to_field(cut).images
    assert image.points_xy.tolist() == [[B[0] - 4, B[1]]]
    assert image.opened().size == (6, 8)
    assert image.outlines is not None
    assert image.outlines().max() == 1


def test_a_dot_and_its_point_stay_together_when_resampled(tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.float32)
    picture[40, 20] = 255 * 40
    path = tmp_path / "dot.png"
    cv2.imwrite(str(path), np.clip(cv2.GaussianBlur(picture, (0, 0), 2), 0, 255).astype(np.uint8))
    image = AnnotatedImage(
        path=path, points_xy=np.array([[20.5, 40.5]]), labels=np.array([0]), slide="s"
    )
    for mpp in (0.25, 0.1):
        found = resample(AnnotatedSet((image,), ("dot",), 0.2), mpp)
        (scaled,) = found.images
        assert found.mpp == mpp
        side = int(64 * 0.2 / mpp + 1e-6)
        seen = scaled.opened().read_rgb((0, 0), (side, side))[..., 0].astype(float)
        assert scaled.opened().size == (side, side)
        grid = np.arange(side) + 0.5
        centre = (seen.sum(axis=0) @ grid / seen.sum(), seen.sum(axis=1) @ grid / seen.sum())
        np.testing.assert_allclose(centre, scaled.points_xy[0], atol=0.02)


def test_outlines_and_fields_are_resampled_too(one: AnnotatedSet, tmp_path: Path) -> None:
    (image,) = resample(one, 0.1).images
    assert image.field == (5, 2, 18, 14)
    assert image.outlines is not None
    np.testing.assert_array_equal(
        image.outlines(), np.kron(set_files.both(1, 2), np.ones((2, 2), int))
    )
    root = set_files.write_npz(tmp_path / "npz")
    for scaled in resample(load_npz(root), 0.25).images:  # the same size: nothing changes
        assert scaled.pixels is None


def test_nucls_cut_and_resampled(tmp_path: Path) -> None:
    root = set_files.write_nucls(tmp_path)
    plain = load_nucls(root)
    assert plain.images[0].points_xy.tolist() == [
        list(A),
        list(B),
    ]  # no apoptotic body
    assert plain.images[0].field == (1, 0, 9, 8)
    assert plain.images[0].patient == "TCGA-A1-A0SP"
    found = load_nucls(root, "main", "fold_1_test", crop=True, mpp=0.25)
    (image,) = found.images
    assert (found.mpp, image.split) == (0.25, "fold_1_test")
    np.testing.assert_allclose(image.points_xy, (np.array([A, B]) - [1, 0]) * 0.8)
    assert image.opened().size == (6, 6)
    assert [found.classes[k] for k in image.labels] == ["tumor_nonMitotic", "lymphocyte"]
    kept = load_nucls(root, ambiguous="ignore").images[0]
    assert kept.labels.tolist() == [0, 2, -1]
