"""Wall time and peak memory of `build`, per stage, on simulated pairs of growing size.

    python benchmarks/build.py [2048 4096 8192] [--tiny]

Each size runs in a process of its own; memory is the largest resident size while the stage ran,
less that of the process before the first stage. Times and memory are also given as ratios to the
first size of the same run. The thumbnail is what a stage may keep of the whole slide.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny import parsed

from regdata.chain import from_if, pipeline
from regdata.chain.options import BuildOptions
from regdata.simulate.restaining import restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import render_tissue
from regdata.slides.write_tiff import write_ome_tiff
from regdata.studies.demo import is_lymphocyte

STAGES = {
    "register_slides": from_if,
    "correct_channel": from_if,
    "find_nuclei": pipeline,
    "measure_nuclei": from_if,
    "write_labelled": pipeline,
    "publish": pipeline,
}


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def watched(stage: Callable[..., Any], notes: dict[str, Any], name: str) -> Callable[..., Any]:
    """The stage, with its wall time and peak memory noted."""

    def run(*arguments: Any, **named: Any) -> Any:
        peak, done = [resident_mb()], threading.Event()

        def sample() -> None:
            while not done.wait(0.02):
                peak[0] = max(peak[0], resident_mb())

        thread = threading.Thread(target=sample)
        thread.start()
        start = time.perf_counter()
        try:
            return stage(*arguments, **named)
        finally:
            spent = time.perf_counter() - start
            done.set()
            thread.join()
            # a stage may be called more than once, as one is per channel
            so_far = notes.get(name, {"s": 0.0, "mb": 0.0})
            above = peak[0] - notes["before_mb"]
            notes[name] = {"s": so_far["s"] + spent, "mb": max(so_far["mb"], above)}

    return run


def write_pair(size: int, folder: Path) -> None:
    """A simulated pair on disk."""
    tissue = render_tissue((size, size), 1)
    restained = restain(tissue.rgb, tissue.instances, is_lymphocyte(tissue), RestainSettings(), 1)
    write_ome_tiff(folder / "he.ome.tif", tissue.rgb, 0.25, jpeg=True)
    write_ome_tiff(folder / "if.ome.tif", restained.image, restained.mpp, restained.channels)


def measure(folder: Path) -> None:
    """Build once, print the notes as JSON."""
    from regdata.cellvit.networks.weights import load_model

    load_model()
    notes: dict[str, Any] = {"before_mb": resident_mb()}
    for name, module in STAGES.items():
        setattr(module, name, watched(getattr(module, name), notes, name))
    options = BuildOptions(
        he=folder / "he.ome.tif",
        if_=folder / "if.ome.tif",
        output=folder / "x.h5",
        markers=("CD3",),
    )
    notes["cells"] = sum(pipeline.build(options).counts.values())
    print(json.dumps(notes))


def main(sizes: list[int]) -> None:
    """Print the table."""
    first: dict[str, Any] = {}
    print("| px | cells | stage | s | ratio | peak MB | ratio |\n|---|---|---|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            write_pair(size, Path(name))
            command = [sys.executable, __file__, "--measure", name]
            out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        notes = json.loads(out.stdout.splitlines()[-1])
        first = first or notes
        for stage in STAGES:
            now, then = notes[stage], first[stage]
            print(
                f"| {size} | {notes['cells']} | {stage} | {now['s']:.1f} | "
                f"{now['s'] / then['s']:.1f} | {now['mb']:.0f} | {now['mb'] / then['mb']:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("sizes", nargs="*", type=int, default=[2048, 4096, 8192])
        main(parsed(parser, sizes=[768]).sizes)
