"""What a build is made from: the chain asks this of slides, masks and sets of images alike."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from regdata.cells import CellTable, Record
from regdata.cellvit.networks import Model
from regdata.cellvit.tiles import Journal
from regdata.chain.options import RunOptions
from regdata.chain.registering import Registered
from regdata.files import Progress, RunDirectory, StageResult
from regdata.labelling.measuring import Measured
from regdata.labelling.thresholds import Surface


@dataclass(frozen=True)
class Labels:
    """What N nuclei are, and why.

    Attributes
    ----------
    columns
        (N,) each, or one value for all.
    flags
        (N,) uint8, see `regdata.cells.FLAGS`.
    record
        How they were made.
    surfaces
        Per marker its threshold over the slide; none where masks say what is stained.
    """

    columns: dict[str, Any]
    flags: NDArray[np.uint8]
    record: Record
    surfaces: dict[str, Surface] = field(default_factory=dict)


class Evidence(Protocol):
    """What says which nuclei are stained: corrected channels in place, or masks."""

    @property
    def stages(self) -> tuple[StageResult[Any], ...]:
        """The stages it comes from."""
        ...

    @property
    def registered(self) -> Registered | None:
        """The map between two slides, if there are two."""
        ...

    def measure(self, nuclei: Path, run: RunDirectory) -> StageResult[Measured]:
        """Intensities or overlaps of the nuclei of a file."""
        ...

    def label(self, nuclei: Path, measured: Measured) -> Labels:
        """Labels of the nuclei."""
        ...

    def doubts(self, counts: dict[str, int]) -> list[str]:
        """What a person should know before trusting the labels; `counts` has nuclei per label."""
        ...

    def show(self, labelled: Path, labels: Labels, counts: dict[str, int]) -> None:
        """Write what lies beside the output for people."""
        ...


class Source(Protocol):
    """Opened slides or images, and a network."""

    @property
    def options(self) -> RunOptions:
        """The options of the build."""
        ...

    @property
    def model(self) -> Model:
        """The network."""
        ...

    @property
    def keys(self) -> dict[str, str]:
        """Per stage a hash of all that its result depends on."""
        ...

    @property
    def he(self) -> tuple[Path, float | None]:
        """Where the H&E lies, and its µm per pixel."""
        ...

    def nuclei(
        self, journal: Journal, progress: Progress
    ) -> Iterator[tuple[CellTable, dict[str, Any]]]:
        """The nuclei in portions, as the network has them, with further columns."""
        ...

    def examine(self, run: RunDirectory) -> Evidence:
        """What says which nuclei are stained."""
        ...
