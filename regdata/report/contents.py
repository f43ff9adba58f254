"""What the report of a build is made from, and where its numbers are found in a file."""

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
    """What is said of a registration."""

    @property
    def status(self) -> str:
        """accept, warn or refuse."""
        ...

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not accepted."""
        ...

    @property
    def accepted(self) -> float:
        """Share of the tiles."""
        ...

    @property
    def median_um(self) -> float:
        """Of the expected errors."""
        ...

    @property
    def p90_um(self) -> float:
        """Of the expected errors."""
        ...

    @property
    def tiles(self) -> int:
        """How many show something."""
        ...


@dataclass(frozen=True)
class ClassOf:
    """A class of labels.

    Attributes
    ----------
    markers
        Those that its rule asks for.
    rule
        As text.
    chance
        (N,) probability that a nucleus is of it, unknown ones too; NaN where nothing tells.
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
        Of the file.
    cells
        N nuclei, level-0 pixels; tokens are not needed.
    obs
        Their N rows of columns.
    record
        How the file was made.
    aligned
        The slides.
    look
        Pictures of the alignment.
    classes
        Per class its markers and probabilities.
    reasons
        Code and meaning of why nuclei are unknown.
    verdict
        Of the registration, if there was one.
    warnings
        What a person should know, a sentence each.
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
        """(N,) names."""
        return np.asarray(self.obs["label"].to_numpy(str))

    @property
    def mpp(self) -> float:
        """µm per level-0 pixel of the H&E."""
        return self.aligned.he.known_mpp("he_mpp")

    @property
    def xy_um(self) -> NDArray[np.float64]:
        """(N, 2) places of the nuclei."""
        return self.cells.xy * self.mpp

    @property
    def size_um(self) -> tuple[float, float]:
        """(w, h) of the H&E slide."""
        w, h = self.aligned.he.size
        return w * self.mpp, h * self.mpp

    def numbers(self, column: str) -> NDArray[np.float64]:
        """(N,) a column, NaN if there is none."""
        if column not in self.obs:
            return np.full(len(self.obs), np.nan)
        return np.asarray(self.obs[column].to_numpy(np.float64))

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """(N,) nuclei without a label."""
        return np.asarray(self.labels == UNKNOWN)

    @property
    def rule(self) -> LabelRule:
        """By which nuclei were labelled."""
        asked = self.record.rules
        return LabelRule.with_defaults(
            asked.overlap, asked.ambiguous, asked.certain, asked.legacy_overlap
        )

    def positive(self, marker: str) -> NDArray[np.bool_]:
        """(N,) nuclei of which so much is stained that they are positive."""
        return np.asarray(self.rule.state(self.obs[f"overlap_{marker}"].to_numpy()) == 1)

    def colour_of(self, label: str) -> tuple[int, int, int]:
        """RGB, as the pictures have it."""
        names = [NEGATIVE, *self.classes]
        return colour(names.index(label)) if label in names else _UNKNOWN_COLOUR
