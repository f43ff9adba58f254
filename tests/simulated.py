"""A simulated section on disk, as tests pass it around."""

from dataclasses import dataclass
from pathlib import Path

from regdata.simulate.tissue import Tissue
from regdata.studies.demo import DemoTruth

SIDE = 1024


@dataclass(frozen=True)
class SimulatedPair:
    """Two slides on disk and everything known of them."""

    he: Path
    if_: Path
    tissue: Tissue
    truth: DemoTruth
