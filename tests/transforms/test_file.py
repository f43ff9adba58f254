from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regdata.errors import RegdataError
from regdata.transforms.displacement import Displacement
from regdata.transforms.file import SCHEMA, load_transform, read_about, save_transform
from regdata.transforms.steps import Affine, Displaced
from regdata.transforms.transform import Transform


def chain(seed: int, kind: type = np.float64) -> Transform:
    rng = np.random.default_rng(seed)
    matrix = np.vstack([rng.normal(size=(2, 3)), [0, 0, 1]])
    control = rng.normal(size=(2, rng.integers(4, 700), 5)).astype(kind)
    field = Displacement(rng.normal(size=2), float(rng.uniform(1, 90)), control)
    return Transform((Affine(matrix), Displaced(field, bool(rng.integers(2))), Affine(matrix)))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_saved_and_loaded_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: type
) -> None:
    path = tmp_path_factory.mktemp("t") / "new" / "t.h5"
    transform = chain(seed, kind)
    save_transform(path, transform, {})
    loaded = load_transform(path)
    assert len(loaded.steps) == 3
    for old, new in zip(transform.steps, loaded.steps, strict=True):
        assert type(old) is type(new)
        if isinstance(old, Affine) and isinstance(new, Affine):
            assert old.matrix.tobytes() == new.matrix.tobytes()
        if isinstance(old, Displaced) and isinstance(new, Displaced):
            assert old.inverted is new.inverted
            assert old.field.spacing_um == new.field.spacing_um
            assert old.field.origin_um.tobytes() == new.field.origin_um.tobytes()
            assert old.field.coefficients.dtype == new.field.coefficients.dtype == kind
            assert old.field.coefficients.tobytes() == new.field.coefficients.tobytes()


def test_more_than_ten_steps_keep_their_order(tmp_path: Path) -> None:
    steps = tuple(Affine(np.diag([i + 1.0, 1.0, 1.0])) for i in range(12))
    save_transform(tmp_path / "t.h5", Transform(steps), {})
    loaded = load_transform(tmp_path / "t.h5").steps
    assert [step.matrix[0, 0] for step in loaded] == list(range(1, 13))


def test_the_identity(tmp_path: Path) -> None:
    save_transform(tmp_path / "t.h5", Transform.identity(), {})
    assert load_transform(tmp_path / "t.h5").steps == ()


def test_what_it_was_made_from(tmp_path: Path) -> None:
    about = {"he": "a/ü.tif", "backend": "ours", "correlation": 0.1 + 0.2, "seed": 2**40}
    save_transform(tmp_path / "t.h5", chain(0), {**about, "long": "x" * 100_000})
    found = read_about(tmp_path / "t.h5")
    assert found == {**about, "long": "x" * 100_000}
    assert {name: type(value) for name, value in found.items()} == {
        "he": str, "backend": str, "correlation": float, "seed": int, "long": str,
    }  # fmt: skip


def test_the_documented_layout(tmp_path: Path) -> None:
    transform = chain(3)
    save_transform(tmp_path / "t.h5", transform, {"he": "a.tif"})
    step = transform.steps[1]
    with h5py.File(tmp_path / "t.h5") as file:
        assert dict(file.attrs) == {
            "format": "regdata transform", "schema": SCHEMA, "unit": "um", "count": 3,
        }  # fmt: skip
        assert file["steps/0"].attrs["kind"] == "affine"
        assert np.array_equal(file["steps/0/matrix"][()], transform.steps[0].matrix)
        assert file["steps/1"].attrs["kind"] == "displacement"
        assert file["steps/1"].attrs["spacing_um"] == step.field.spacing_um
        assert np.array_equal(file["steps/1"].attrs["origin_um"], step.field.origin_um)
        assert file["steps/1"].attrs["inverted"] == int(step.inverted)
        assert np.array_equal(file["steps/1/coefficients"][()], step.field.coefficients)
        assert file["about/he"].asstr()[()] == "a.tif"


@pytest.mark.parametrize("read", [load_transform, read_about])
def test_other_files_are_refused_in_one_line(tmp_path: Path, read: object) -> None:
    (tmp_path / "text.h5").write_text("no")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["X"] = 1
    save_transform(tmp_path / "newer.h5", chain(0), {})
    with h5py.File(tmp_path / "newer.h5", "a") as file:
        file.attrs["schema"] = SCHEMA + 1
        del file["steps"]  # what a newer one holds is not looked at
    messages = {
        "missing.h5": "no such file",
        "text.h5": "no HDF5",
        "other.h5": "another kind of HDF5",
        "newer.h5": "has schema 2, this regdata reads up to 1; update regdata",
    }
    for name, message in messages.items():
        with pytest.raises(RegdataError, match=message) as caught:
            read(tmp_path / name)  # type: ignore[operator]
        assert "\n" not in str(caught.value)
        assert str(tmp_path / name) in str(caught.value)


def spoil_kind(file: h5py.File) -> None:
    file["steps/1"].attrs["kind"] = "thin plate"


def spoil_count(file: h5py.File) -> None:
    del file["steps/2"]


def spoil_matrix(file: h5py.File) -> None:
    file["steps/0/matrix"][2] = 5


def spoil_spacing(file: h5py.File) -> None:
    file["steps/1"].attrs["spacing_um"] = -1.0


def spoil_schema(file: h5py.File) -> None:
    del file.attrs["schema"]


@pytest.mark.parametrize(
    "spoil", [spoil_kind, spoil_count, spoil_matrix, spoil_spacing, spoil_schema]
)
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "t.h5"
    save_transform(path, chain(0), {})
    with h5py.File(path, "a") as file:
        spoil(file)  # type: ignore[operator]
    with pytest.raises(RegdataError, match=r"t\.h5 is damaged") as caught:
        load_transform(path)
    assert "\n" not in str(caught.value)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    save_transform(path, chain(0), {})
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(RegdataError, match=r"damaged|no HDF5"):
            load_transform(path)


def test_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    noise = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint32).view(np.float32)
    control = noise[np.isfinite(noise)][:16_200].reshape(2, 90, 90)
    save_transform(path, Transform.displaced(Displacement(np.zeros(2), 9.0, control)), {})
    with h5py.File(path) as file:
        chunk = file["steps/0/coefficients"].id.get_chunk_info(0)
    whole = bytearray(path.read_bytes())
    whole[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(RegdataError, match="damaged"):
        load_transform(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "t.h5"
    save_transform(path, Transform.identity(), {"seed": 1})
    with pytest.raises(RegdataError, match="names without /"):
        save_transform(path, chain(0), {"a/b": 1})
    with pytest.raises(TypeError):
        save_transform(path, chain(0), {"a": object()})  # type: ignore[dict-item]
    assert read_about(path) == {"seed": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["t.h5"]
