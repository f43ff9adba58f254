from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.transforms.displacement import Displacement
from regdata.transforms.itk import SUFFIXES, read_itk, write_itk
from regdata.transforms.steps import Affine, Displaced
from regdata.transforms.transform import Transform

sitk: Any = SimpleITK
SIZE = (400.0, 300.0)
MATRIX = np.array([[0.9, -0.5, 700], [-0.4, -1.1, 900], [0, 0, 1]])


def itk_points(itk: Any, xy: np.ndarray) -> np.ndarray:
    return np.array([itk.TransformPoint(point.tolist()) for point in xy])


def places(margin: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.uniform(margin, np.array(SIZE) - margin, (300, 2))


def smooth(seed: int, origin: tuple[float, float] = (-120.0, -120.0)) -> Displacement:
    control = np.random.default_rng(seed).uniform(-8, 8, (2, 12, 14))
    return Displacement(np.array(origin), 60.0, control)


def image_of(values: np.ndarray, origin: Any, spacing: Any, degrees: float = 0.0) -> Any:
    image = sitk.GetImageFromArray(np.ascontiguousarray(np.moveaxis(values, 0, 2)), isVector=True)
    image.SetOrigin(origin)
    image.SetSpacing(spacing)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    image.SetDirection((c, -s, s, c))
    return image


def waves(rows: int, cols: int) -> np.ndarray:
    y, x = np.mgrid[:rows, :cols]
    return np.stack([3 * np.sin(0.07 * x + 0.05 * y), 2 * np.cos(0.04 * x - 0.06 * y)])


def spline(mesh: tuple[int, int], degrees: float = 0.0, order: int = 3) -> Any:
    itk = sitk.BSplineTransform(2, order)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    itk.SetTransformDomainDirection((c, -s, s, c))
    itk.SetTransformDomainOrigin((-20.0, -30.0))
    itk.SetTransformDomainPhysicalDimensions((700.0, 500.0))
    itk.SetTransformDomainMeshSize(mesh)
    count = itk.GetNumberOfParameters()
    itk.SetParameters(np.random.default_rng(1).uniform(-9, 9, count).tolist())
    return itk


def affine(matrix: np.ndarray, centre: tuple[float, float] = (0.0, 0.0)) -> Any:
    itk = sitk.AffineTransform(2)
    itk.SetMatrix(matrix[:2, :2].ravel().tolist())
    itk.SetTranslation(matrix[:2, 2].tolist())
    itk.SetCenter(centre)
    return itk


LINEAR = {
    "identity": sitk.Transform(2, sitk.sitkIdentity),
    "translation": sitk.TranslationTransform(2, (12.5, -700.25)),
    "scale": sitk.ScaleTransform(2, (1.2, 0.7)),
    "euler": sitk.Euler2DTransform((50.0, 60.0), 2.5, (12.0, 0.5)),
    "similarity": sitk.Similarity2DTransform(0.97, -1.1, (1.0, 2.0), (300.0, 10.0)),
    "affine": affine(MATRIX, (123.0, 456.0)),
    "linear composite": sitk.CompositeTransform(
        [sitk.Euler2DTransform((50.0, 60.0), 2.5), affine(MATRIX), sitk.ScaleTransform(2, (2, 3))]
    ),
}


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("suffix", [".tfm", ".h5"])
def test_linear_transforms_of_itk(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    sitk.WriteTransform(LINEAR[name], str(path))
    found = read_itk(path)
    assert found.is_affine
    assert np.abs(found.points(places()) - itk_points(LINEAR[name], places())).max() < 1e-6


@pytest.mark.parametrize("mesh", [(7, 5), (6, 9), (1, 1)])
@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_b_splines_of_itk(tmp_path: Path, mesh: tuple[int, int], degrees: float) -> None:
    itk = spline(mesh, degrees)
    sitk.WriteTransform(itk, str(tmp_path / "t.tfm"))
    xy = places() if degrees == 0 else places(150.0)  # inside the turned field
    found = read_itk(tmp_path / "t.tfm").points(xy)
    assert np.abs(found - xy).max() > 1
    assert np.abs(found - itk_points(itk, xy)).max() < 1e-6


@pytest.mark.parametrize(
    ("spacing", "degrees"), [((4.0, 4.0), 0), ((5.0, 3.5), 0), ((4.0, 6.0), 30)]
)
def test_displacement_fields_of_itk(
    tmp_path: Path, spacing: tuple[float, float], degrees: float
) -> None:
    image = image_of(waves(90, 120), (-15.0, -7.0), spacing, degrees)
    nodes = [(0, 0), (3, 7), (119, 89), (60, 11)]
    at = np.array([image.TransformIndexToPhysicalPoint(node) for node in nodes])
    y, x = np.random.default_rng(2).uniform(5, 80, (2, 300))
    between = zip(x.tolist(), y.tolist(), strict=True)
    inner = np.array([image.TransformContinuousIndexToPhysicalPoint(i) for i in between])
    itk = sitk.DisplacementFieldTransform(image)  # empties the image
    sitk.WriteTransform(itk, str(tmp_path / "t.h5"))
    found = read_itk(tmp_path / "t.h5")
    assert np.abs(found.points(at) - itk_points(itk, at)).max() < 1e-6
    # between the samples ITK is linear: off by an eighth of the second differences
    assert np.abs(found.points(inner) - itk_points(itk, inner)).max() < 3 * 0.07**2 / 4


def test_a_composite_applies_what_was_added_last_first(tmp_path: Path) -> None:
    shift = sitk.TranslationTransform(2, (40.0, 20.0))
    itk = sitk.CompositeTransform([affine(MATRIX), spline((7, 5)), LINEAR["scale"], shift])
    sitk.WriteTransform(itk, str(tmp_path / "t.h5"))
    found = read_itk(tmp_path / "t.h5")
    assert sum(isinstance(step, Displaced) for step in found.steps) == 1
    assert np.abs(found.points(places()) - itk_points(itk, places())).max() < 1e-3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_affine_transforms_are_written_as_they_are(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    write_itk(path, Transform.affine(MATRIX), SIZE, 10.0)
    itk = sitk.ReadTransform(str(path))
    assert itk.GetName() == "AffineTransform"
    expected = Transform.affine(MATRIX).points(places())
    assert np.abs(itk_points(itk, places()) - expected).max() < 1e-9
    assert np.allclose(read_itk(path).matrix, MATRIX, rtol=0, atol=1e-9)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


CHAINS = {
    "field, affine": (Displaced(smooth(1)), Affine(MATRIX)),
    "affine, field": (Affine(MATRIX), Displaced(smooth(2, (400.0, 400.0)))),
    "there and back": (Displaced(smooth(3)), Affine(MATRIX), Displaced(smooth(4), inverted=True)),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("suffix", [".tfm", ".h5"])
def test_fields_are_written_as_a_composite(tmp_path: Path, name: str, suffix: str) -> None:
    path, transform = tmp_path / f"t{suffix}", Transform(CHAINS[name])
    write_itk(path, transform, SIZE, 1.5)
    itk = sitk.ReadTransform(str(path))
    names = [itk.GetNthTransform(i).GetName() for i in range(itk.GetNumberOfTransforms())]
    assert names == ["AffineTransform", "DisplacementFieldTransform"]
    corners = np.array([[0.0, 0.0], [400.0, 300.0], [400.0, 0.0]])
    xy = np.concatenate([places(), corners])
    expected = transform.points(xy)
    assert np.abs(itk_points(itk, xy) - expected).max() < 0.01
    assert np.abs(read_itk(path).points(xy) - expected).max() < 0.01


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_written_and_read_in_any_pose(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = np.eye(3)
    matrix[:2, :2] = np.linalg.qr(rng.normal(size=(2, 2)))[0] * rng.uniform(0.5, 2)
    matrix[:2, 2] = rng.uniform(-1e4, 1e4, 2)
    transform = Transform((Displaced(smooth(seed)), Affine(matrix)))
    path = tmp_path_factory.mktemp("itk") / "t.h5"
    write_itk(path, transform, SIZE, 3.0)
    assert np.abs(read_itk(path).points(places()) - transform.points(places())).max() < 0.02


def test_an_image_pulled_by_itk_lies_where_points_say(tmp_path: Path) -> None:
    """Half-pixel rule: a dot of an IF at 0.65 µm/px, pulled into an H&E at 0.25."""
    transform = Transform((Displaced(smooth(5)), Affine(MATRIX)))
    write_itk(tmp_path / "t.h5", transform, SIZE, 3.0)
    dot = np.array([[170.0, 140.0]])
    on_if = transform.points(dot)[0] / 0.65  # level-0 pixels, corner origin
    corner = np.floor(on_if) - 20  # a region around, so that the test stays small
    y, x = np.mgrid[:40, :40] + 0.5
    blob = np.exp(-((x + corner[0] - on_if[0]) ** 2 + (y + corner[1] - on_if[1]) ** 2) / 8)
    moving = sitk.GetImageFromArray(blob)
    moving.SetSpacing((0.65, 0.65))
    moving.SetOrigin(((corner + 0.5) * 0.65).tolist())
    itk = sitk.ReadTransform(str(tmp_path / "t.h5"))
    first = np.array([600, 480])
    grid = ((160, 160), itk, sitk.sitkLinear, ((first + 0.5) * 0.25).tolist(), (0.25, 0.25))
    pulled = sitk.GetArrayFromImage(sitk.Resample(moving, *grid, (1, 0, 0, 1), 0.0))
    rows, cols = np.mgrid[:160, :160]
    centre = np.array([(cols * pulled).sum(), (rows * pulled).sum()]) / pulled.sum()
    assert np.abs((first + centre + 0.5) * 0.25 - dot[0]).max() < 0.05


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    identity = Transform.identity()
    with pytest.raises(RegdataError, match=r"expected a name in \.tfm, \.txt, \.h5, \.hdf5"):
        write_itk(tmp_path / "t.json", identity, SIZE, 3.0)
    for size, spacing in (((0.0, 5.0), 3.0), (SIZE, 0.0), (SIZE, np.nan)):
        with pytest.raises(RegdataError, match="a size and a spacing"):
            write_itk(tmp_path / "t.h5", identity, size, spacing)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.tfm").write_text("hello")
    (tmp_path / "text.h5").write_text("hello")
    sitk.WriteTransform(sitk.Euler3DTransform(), str(tmp_path / "solid.tfm"))
    sitk.WriteTransform(spline((3, 3), order=2), str(tmp_path / "square.tfm"))
    thin = sitk.DisplacementFieldTransform(image_of(np.zeros((2, 1, 4)), (0, 0), (1, 1)))
    sitk.WriteTransform(thin, str(tmp_path / "thin.tfm"))
    messages = {
        "no.tfm": "no such file",
        "text.tfm": "no transform that ITK can read: Tags must be delimited",
        "text.h5": "no transform that ITK can read",
        "solid.tfm": "2-D transform in .*got 3-D",
        "square.tfm": "cubic B-spline, got order 2",
        "thin.tfm": r"2 x 2 or more, got \(2, 1, 4\)",
    }
    for name, message in messages.items():
        with pytest.raises(RegdataError, match=message) as caught:
            read_itk(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
