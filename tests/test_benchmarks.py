"""Every benchmark still runs, on its smallest input: `--tiny`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
PARTS = {  # of a script, or files that it writes
    "failures": ["out.png"],
    "labels": ["folder"],
    "real_pairs": ["folder"],
    "registration": ["cases"],
    "train_segmentation": [],
}
_STUCK = 1200  # seconds after which a script waits for something that never comes
NEED_DATA = ("real_pairs", "serial_sections")


def scripts() -> list[str]:
    """Those that are run; the others are modules of theirs."""
    return sorted(p.stem for p in FOLDER.glob("*.py") if "__main__" in p.read_text())


@pytest.mark.parametrize("name", scripts())
def test_tiny_run(name: str, tmp_path: Path) -> None:
    if name in NEED_DATA and "REGDATA_DATA" not in os.environ:
        pytest.skip("needs the real pairs of slides in REGDATA_DATA")
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--tiny", *PARTS.get(name, [])]
    # temporary files of the run lie in this folder, too, and go with it
    env = os.environ | {"MPLBACKEND": "agg", "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    out = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=env, check=False, timeout=_STUCK
    )
    assert out.returncode == 0, out.stderr[-3000:]
    assert out.stdout.strip()
