"""What a file of cells says of how it was made: `uns/regdata` without the contours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.cells.migration import migrated
from regdata.cells.stored import JSON, from_stored, to_stored
from regdata.errors import RegdataError

SCHEMA = 2
"""Raised when files change so that an older regdata reads them wrongly."""


@dataclass(frozen=True, kw_only=True)
class SlideRecord:
    """A slide; of several images the folder they lie in.

    Attributes
    ----------
    sha256
        Of what tells it from others: content, pixel size, channels.
    mpp
        µm per level-0 pixel.
    size
        (w, h) of level 0.
    """

    path: str = ""
    sha256: str = ""
    mpp: float | None = None
    size: tuple[int, int] | None = None
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """The network that segmented the nuclei.

    Attributes
    ----------
    sha256
        Of its file of weights.
    mpp
        µm per pixel it was trained at.
    precision
        Type of its arithmetic; not known of older files.
    """

    name: str = ""
    sha256: str = ""
    mpp: float | None = None
    token_width: int | None = None
    precision: str = ""


@dataclass(frozen=True, kw_only=True)
class TransformRecord:
    """The map from µm on the H&E slide to µm on the IF slide.

    Attributes
    ----------
    steps
        Read by `Transform.from_dict`.
    matrix
        (3, 3) affine map nearest to it.
    """

    steps: dict[str, Any]
    matrix: NDArray[np.float64]
    maps: str = "he_to_if"
    unit: str = "um"


@dataclass(frozen=True, kw_only=True)
class HistogramRecord:
    """Intensities of the tissue: (n,) counts in equal bins from `low` to `high`."""

    counts: NDArray[np.float64]
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ChannelRecord:
    """A channel: what was done to it, and what its tissue shows then."""

    pixels: HistogramRecord
    correction: dict[str, Any] = field(default_factory=dict)

    @property
    def background(self) -> tuple[float, float] | None:
        """Least and largest background that was subtracted."""
        under = self.correction.get("background")
        return None if under is None else (float(under["min"]), float(under["max"]))


@dataclass(frozen=True, kw_only=True)
class ThresholdRecord:
    """The threshold of a marker.

    Attributes
    ----------
    value
        Over the whole slide.
    grid, grid_weight
        (rows, columns) float32 thresholds over the slide, `tile_um` apart, and their weights.
    """

    method: str
    value: float
    contrast: float
    bimodality: float
    separation: float
    grid: NDArray[np.float32]
    grid_weight: NDArray[np.float32]
    tile_um: float


@dataclass(frozen=True, kw_only=True)
class MaskRecord:
    """The mask of a marker: its channel, its one or two values, the share that is stained."""

    channel: str
    values: tuple[float, ...]
    share: float


@dataclass(frozen=True, kw_only=True)
class MasksRecord:
    """The image that masks are channels of; `ratio` H&E pixels are one of its pixels."""

    slide: SlideRecord
    ratio: int
    markers: dict[str, MaskRecord]


@dataclass(frozen=True, kw_only=True)
class SegPathRecord:
    """A folder of SegPath.

    Attributes
    ----------
    sha256
        Of what tells these images from others.
    splits
        Name of the published list of splits.
    leaks
        Per `slide NAME` the splits it is in, where these are several.
    """

    antigen: str
    cell_type: str
    images: int
    slides: tuple[str, ...]
    sha256: str
    splits: str = ""
    leaks: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class GridRecord:
    """How a slide was cut: side and overlap of tiles in pixels of `mpp`."""

    tile: int
    overlap: int
    mpp: float


@dataclass(frozen=True, kw_only=True)
class TilesRecord:
    """Every tile that was run, (T,) each: place, cells before merging, and quality."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    cells: NDArray[np.int64]
    focus: NDArray[np.float32]
    fold: NDArray[np.float32]
    pen: NDArray[np.float32]
    skipped: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RulesRecord:
    """How labels follow from overlaps; None where not given. See `chain.LabelOptions`."""

    classes: dict[str, str] = field(default_factory=dict)
    compartments: dict[str, str] = field(default_factory=dict)
    overlap: float | None = None
    ambiguous: float | None = None
    certain: float | None = None
    legacy_overlap: bool = False


@dataclass(frozen=True, kw_only=True)
class Record:
    """How a file was made; what does not apply to it is empty.

    Attributes
    ----------
    classes
        Names of the labels, negative first; empty in a file without labels.
    options
        Every option of the build, resolved.
    kinds
        What the network tells apart, background first.
    nuclear
        Name of the nuclear channel.
    registration
        Numbers that speak for the map.
    he
        The slide the cells lie on.
    key
        Of `regdata segment`: a hash of all that the cells depend on.
    settings, classifier
        Of `regdata segment`: how tiles became cells, and what named them.
    flags, reasons
        What the numbers and words of these columns mean.
    versions
        Of the packages that shape the numbers.
    """

    classes: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict, metadata=JSON)
    model: ModelRecord = ModelRecord()
    kinds: tuple[str, ...] = ()
    he: SlideRecord = SlideRecord()
    if_: SlideRecord | None = None
    transform: TransformRecord | None = None
    registration: dict[str, float] = field(default_factory=dict)
    nuclear: str = ""
    channels: dict[str, ChannelRecord] = field(default_factory=dict)
    thresholds: dict[str, ThresholdRecord] = field(default_factory=dict)
    masks: MasksRecord | None = None
    segpath: SegPathRecord | None = None
    key: str = ""
    grid: GridRecord | None = None
    tiles: TilesRecord | None = None
    settings: dict[str, Any] = field(default_factory=dict, metadata=JSON)
    classifier: dict[str, Any] = field(default_factory=dict, metadata=JSON)
    flags: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def rules(self) -> RulesRecord:
        """How its labels follow from overlaps, as its options have it."""
        return from_stored(RulesRecord, {k: v for k, v in self.options.items() if v is not None})

    @property
    def he_to_if(self) -> dict[str, Any]:
        """Steps of the map from the H&E to the IF slide, as `Transform.from_dict` reads them.

        Raises
        ------
        RegdataError
            Nothing was registered.
        """
        if self.transform is None:
            raise RegdataError("expected a file that was built from an IF slide, not from masks")
        return self.transform.steps

    def to_dict(self) -> dict[str, Any]:
        """As the file has it, its schema included."""
        return {"schema": SCHEMA, **to_stored(self)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Record":
        """Read what `to_dict` made, by this version or an earlier one."""
        return from_stored(cls, migrated(stored))
