"""Giving unused memory back to the system."""

import ctypes
import sys


def give_back() -> None:
    """Let the C library return what it holds but does not use, where it can (glibc).

    Work on tiles makes and drops arrays of megabytes all the time. glibc serves them from its heap
    once it has seen some, and keeps the holes between them: resident memory would grow with
    every tile although nothing is held.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
