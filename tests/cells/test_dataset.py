import os
import resource
import subprocess
import sys
import weakref
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from cell_tables import KINDS, table, write

from regdata.cells.dataset import count_cells, iterate_cells, read_dataset, write_dataset
from regdata.cells.table import CellTable, concatenate
from regdata.errors import RegdataError


def same(a: CellTable, b: CellTable) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in vars(a))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    first, second = table(5, 1), table(7, 2)
    write(tmp_path / "x.h5", first, second)
    dataset = read_dataset(tmp_path / "x.h5")
    assert same(dataset.cells, concatenate([first, second], 4))
    assert dataset.classes == ("negative", "CD3")
    assert dataset.labels[:4].tolist() == [0, 1, -1, 0]
    assert dataset.record.versions["regdata"]
    assert count_cells(tmp_path / "x.h5") == 12


def test_it_is_an_anndata_file(tmp_path: Path) -> None:
    cells = table(20)
    write(tmp_path / "x.h5", cells)
    data = anndata.read_h5ad(tmp_path / "x.h5")
    assert data.shape == (20, 4)
    assert data.X.dtype == np.float16
    assert np.array_equal(data.X, cells.tokens)
    assert np.array_equal(data.obsm["spatial"], cells.xy)
    assert list(data.obs["kind"].cat.categories) == list(KINDS)
    assert data.obs["label"].value_counts()["CD3"] == 7
    contours = data.uns["regdata"]["contours"]
    assert np.array_equal(contours["vertices"], cells.vertices)
    assert np.array_equal(contours["offsets"], cells.offsets)
    assert data.uns["regdata"]["schema"] == 2


def test_portions_add_up(tmp_path: Path) -> None:
    cells = table(50)
    write(tmp_path / "x.h5", cells)
    parts = list(iterate_cells(tmp_path / "x.h5", portion=7))
    assert [len(part) for part, _ in parts] == [7] * 7 + [1]
    assert same(concatenate([part for part, _ in parts], 4), cells)
    assert all(len(obs) == len(part) for part, obs in parts)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1024, 3000])
def test_many_small_portions_are_one_large_one(tmp_path: Path, count: int) -> None:
    cells = table(count)
    steps = np.random.default_rng(count).integers(0, 300, 50).cumsum()
    cuts = [0, *steps[steps < count].tolist(), count]
    parts = [cells.take(np.arange(a, b)) for a, b in pairwise(cuts)]
    write(tmp_path / "x.h5", *parts, label=False)
    write(tmp_path / "y.h5", cells, label=False)
    a, b = read_dataset(tmp_path / "x.h5"), read_dataset(tmp_path / "y.h5")
    assert same(a.cells, cells)
    assert same(b.cells, cells)
    assert a.obs.equals(b.obs)
    with h5py.File(tmp_path / "x.h5") as file:
        assert (file["X"].chunks, file["X"].compression) == ((256, 4), "lzf")
        assert file["X"].maxshape == (None, 4)


def test_the_writer_keeps_no_hold_of_what_cells_were_cut_from(tmp_path: Path) -> None:
    """Cells read from a larger block of memory would keep all of it."""
    block = np.zeros((1000, 2))
    held = weakref.ref(block)
    with write_dataset(tmp_path / "x.h5", 4) as out:
        out.append(replace(table(3), xy=block[:3], probability=block[:3, 0]))
        del block
        assert held() is None
        out.finish(KINDS)


def test_no_cells(tmp_path: Path) -> None:
    write(tmp_path / "x.h5", CellTable.empty(4), label=False)
    assert len(read_dataset(tmp_path / "x.h5").cells) == 0
    assert list(iterate_cells(tmp_path / "x.h5")) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with write_dataset(tmp_path / "x.h5", 4) as out:
            out.append(table(5))
            raise error

    with pytest.raises(error):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "x.h5", table(3))

    def interrupted() -> None:
        with write_dataset(tmp_path / "x.h5", 4):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert count_cells(tmp_path / "x.h5") == 3


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from cell_tables import table, write
from regdata.errors import RegdataError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    write(Path(sys.argv[1]) / "x.h5", table(20000, width=64))
except RegdataError as error:
    print(error.message)
"""


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    here = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", FULL, str(tmp_path), here]
    env = {**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE"}
    out = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert resource.RLIMIT_FSIZE is not None
    assert "cannot write" in out.stdout, out.stderr[-2000:]
    assert out.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"text", "no HDF5"), ("hdf5", "is not a regdata dataset")],
)
def test_other_files(tmp_path: Path, content: bytes | str | None, message: str) -> None:
    path = tmp_path / "x.h5"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        h5py.File(path, "w").close()
    with pytest.raises(RegdataError, match=message):
        read_dataset(path)


def test_a_file_of_the_future(tmp_path: Path) -> None:
    write(tmp_path / "x.h5", table(2))
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["uns/regdata/schema"][()] = 99
    with pytest.raises(RegdataError, match="schema 99"):
        read_dataset(tmp_path / "x.h5")
