"""A simulated section on disk, as tests pass it around."""

from dataclasses import dataclass
from pathlib import Path

from regdata.demo import DemoTruth
from regdata.simulate.tissue import Tissue

SIDE = 1024


@dataclass(frozen=True)
class SimulatedPair:
    """Two slides on disk and everything known of them."""

    he: Path
    if_: Path
    tissue: Tissue
    truth: DemoTruth
