import errno
from pathlib import Path

import pytest

from regdata.errors import RegdataError
from regdata.files.atomic import replacing


def test_nothing_stands_there_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.txt"
    with replacing(path) as part:
        part.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fails() -> None:
        with replacing(path) as part:
            part.write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    def full() -> None:
        with replacing(tmp_path / "x.txt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RegdataError, match=r"cannot write .*x\.txt: No space left on device"):
        full()


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RegdataError, match="cannot write"), replacing(tmp_path / "file" / "x"):
        pass
