"""Running a function in a fresh process to see what it costs."""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

_MB = 1e6


@dataclass(frozen=True)
class Measured:
    """What a function returned and what it cost.

    Attributes
    ----------
    cpu_s
        Of all threads.
    peak_mb
        Memory of the whole process, libraries included.
    """

    result: Any
    wall_s: float
    cpu_s: float
    peak_mb: float


def measured(function: Callable[..., Any], *arguments: Any) -> Measured:
    """Call a function of a module in a process of its own.

    What it raises is raised here. Imports are not in the seconds, as they are made to find the
    function.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_called, function, arguments).result()


def _called(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Measured:
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Measured(result, wall, cpu, peak_mb())


def peak_mb() -> float:
    """The most memory this process had; not by getrusage, which counts its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024 / _MB
