"""The contents of the report of a build, and its columns in the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from regdata.cells import CellTable, Record, colour
from regdata.labelling.rules import LabelRule
from regdata.names import NEGATIVE, UNKNOWN
from regdata.report.qc import Aligned, Look

_UNKNOWN_COLOUR = (30, 30, 30)


class Judgement(Protocol):
    """The verdict on a registration."""

    @property
    def status(self) -> str:
        """accept, warn or refuse."""
        ...

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons why it is not accepted."""
        ...

    @property
    def accepted(self) -> float:
        """Share of accepted tiles."""
        ...

    @property
    def median_um(self) -> float:
        """Median of the expected errors, µm."""
        ...

    @property
    def p90_um(self) -> float:
        """90th percentile of the expected errors, µm."""
        ...

    @property
    def tiles(self) -> int:
        """Number of tiles with nuclei."""
        ...


@dataclass(frozen=True)
class ClassOf:
    """A class of labels.

    Attributes
    ----------
    markers
        Markers of its rule.
    rule
        The rule as text.
    chance
        (N,) float32, probability that a nucleus is of the class, unknown ones too; NaN where it
        is not known.
    """

    markers: tuple[str, ...]
    rule: str
    chance: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Build:
    """A build to report on.

    Attributes
    ----------
    name
        Name of the file.
    cells
        The N nuclei, level-0 pixels; tokens are not needed.
    obs
        Columns of the N nuclei.
    record
        The record of the file.
    aligned
        The slides.
    look
        Pictures of the alignment.
    classes
        Per class its markers and probabilities.
    reasons
        Code and meaning of why nuclei are unknown.
    verdict
        On the registration, if there was one.
    warnings
        A sentence each.
    """

    name: str
    cells: CellTable
    obs: pd.DataFrame
    record: Record
    aligned: Aligned
    look: Look
    classes: Mapping[str, ClassOf]
    reasons: Mapping[str, str]
    verdict: Judgement | None = None
    warnings: Sequence[str] = field(default=())

    @property
    def labels(self) -> NDArray[np.str_]:
        """(N,) str, label of each nucleus."""
        return np.asarray(self.obs["label"].to_numpy(str))

    @property
    def mpp(self) -> float:
        """µm per level-0 pixel of the H&E."""
        return self.aligned.he.known_mpp("he_mpp")

    @property
    def xy_um(self) -> NDArray[np.float64]:
        """(N, 2) float64, centroids of the nuclei, µm."""
        return self.cells.xy * self.mpp

    @property
    def size_um(self) -> tuple[float, float]:
        """Width and height of the H&E slide, µm."""
        w, h = self.aligned.he.size
        return w * self.mpp, h * self.mpp

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(N,) float64, the values of a column; NaN if the file has no such column."""
        if column not in self.obs:
            return np.full(len(self.obs), np.nan)
        return np.asarray(self.obs[column].to_numpy(np.float64))

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """(N,) bool, nuclei without a label."""
        return np.asarray(self.labels == UNKNOWN)

    @property
    def rule(self) -> LabelRule:
        """The rule by which nuclei were labelled."""
        rules = self.record.rules
        return LabelRule.with_defaults(
            rules.overlap, rules.ambiguous, rules.certain, rules.legacy_overlap
        )

    def positive(self, marker: str) -> NDArray[np.bool_]:
        """(N,) bool, nuclei that are positive for a marker."""
        return np.asarray(self.rule.state(self.obs[f"overlap_{marker}"].to_numpy()) == 1)

    def colour_of(self, label: str) -> tuple[int, int, int]:
        """RGB colour of a label, as in the pictures."""
        names = [NEGATIVE, *self.classes]
        return colour(names.index(label)) if label in names else _UNKNOWN_COLOUR
