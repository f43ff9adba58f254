from .atomic import replacing
from .memory import give_back
from .progress import Progress, bar, counter, silent
from .rundir import RunDirectory, StageResult, file_identity, read_json, stage_key, write_json

__all__ = [
    "Progress",
    "RunDirectory",
    "StageResult",
    "bar",
    "counter",
    "file_identity",
    "give_back",
    "read_json",
    "replacing",
    "silent",
    "stage_key",
    "write_json",
]
