"""The options of a build, and how labels follow from what it measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from regdata.errors import RegdataError
from regdata.labelling.rules import CERTAIN, OVERLAP, LabelRule
from regdata.names import RESERVED, quoted

_COMPARTMENTS = ("nucleus", "ring")
AUTO = "auto"


def parse_classes(definitions: Sequence[str]) -> dict[str, str]:
    """Read NAME=RULE definitions; rules are read later, when the markers are known.

    Examples
    --------
    >>> parse_classes(["lymphocyte = CD3 | CD20"])
    {'lymphocyte': 'CD3 | CD20'}
    """
    classes: dict[str, str] = {}
    for definition in definitions:
        name, equals, rule = (part.strip() for part in definition.partition("="))
        if not name or not equals or not rule:
            raise RegdataError(
                f"`classes={definition}`: expected NAME=RULE, as in lymphocyte=CD3|CD20"
            )
        if name in (*classes, *RESERVED):
            raise RegdataError(f"`classes={definition}`: the name {name} is taken")
        classes[name] = rule
    return classes


def parse_per_marker(
    values: Sequence[str], markers: Sequence[str], argument: str
) -> dict[str, str]:
    """Read MARKER=VALUE, or VALUE for every marker that has none of its own.

    Examples
    --------
    >>> parse_per_marker(["otsu", "CD3=mad:4"], ["CD3", "CD20"], "thresholds")
    {'CD3': 'mad:4', 'CD20': 'otsu'}
    """
    own: dict[str, str] = {}
    common: str | None = None
    for value in values:
        name, equals, rest = (part.strip() for part in value.partition("="))
        if not equals:
            common = name
        elif name not in markers:
            raise RegdataError(
                f"`{argument}={value}`: {name} is none of the markers "
                f"(there is: {', '.join(markers)})"
            )
        else:
            own[name] = rest
    if common is not None:
        own = {**dict.fromkeys(markers, common), **own}
    return {name: own[name] for name in markers if name in own}


class LabelOptions(BaseModel):
    """How labels follow from what was measured; `regdata relabel` changes them without images.

    Attributes
    ----------
    classes
        Per class a rule over markers; by default each marker is a class of its own name.
    thresholds
        Per marker a method, `auto` by default; see `labelling.methods`.
    compartments
        Per marker `nucleus` (default) or `ring`.
    overlap
        A nucleus is positive when a larger share of it lies inside the mask.
    ambiguous
        Up to this share it is negative, in between unknown; by default 0.05, or `overlap` where
        that is less.
    certain
        Least probability of a label that is kept.
    legacy_overlap
        The published rule: positive from `overlap` on, nothing ambiguous.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: dict[str, str] = Field(default_factory=dict)
    thresholds: dict[str, str] = Field(default_factory=dict)
    compartments: dict[str, str] = Field(default_factory=dict)
    overlap: float = Field(OVERLAP, ge=0, lt=1)
    ambiguous: float | None = Field(None, ge=0, lt=1)
    certain: float = Field(CERTAIN, ge=0.5, lt=1)
    legacy_overlap: bool = False

    @field_validator("classes", mode="before")
    @classmethod
    def _markers_of_a_class(cls, value: object) -> object:
        """A tuple of markers, any of which makes the class, as a rule."""
        if not isinstance(value, dict):
            return value
        return {
            k: v if isinstance(v, str) else " | ".join(map(quoted, v)) for k, v in value.items()
        }

    @model_validator(mode="after")
    def _consistent(self) -> "LabelOptions":
        if self.ambiguous is not None and self.ambiguous > self.overlap:
            raise RegdataError(
                f"the ambiguous band begins at {self.ambiguous:g}, above the overlap of "
                f"{self.overlap:g} that makes a nucleus positive; pass a smaller `ambiguous=`"
            )
        for marker, part in self.compartments.items():
            if part not in _COMPARTMENTS:
                raise RegdataError(
                    f"`compartments={marker}={part}`: expected {' or '.join(_COMPARTMENTS)}"
                )
        return self

    @property
    def rules(self) -> dict[str, Any]:
        """What labels depend on besides what was measured."""
        return self.model_dump(include=set(LabelOptions.model_fields))

    @property
    def rule(self) -> LabelRule:
        """The rule that these options make."""
        return LabelRule.with_defaults(
            self.overlap, self.ambiguous, self.certain, self.legacy_overlap
        )


class RunOptions(LabelOptions):
    """Options of every build; written in full into the file it makes.

    Attributes
    ----------
    output
        The `.h5` to write.
    model
        File of network weights; the built-in model by default.
    device
        auto, cpu or cuda.
    workers, batch_size
        Threads and tiles at once, see `Resources`; results do not depend on them.
    overwrite
        Replace an output that was made with other options.
    """

    output: Path
    model: Path | None = None
    device: str = "auto"
    workers: int = Field(2, ge=1)
    batch_size: int | None = Field(None, ge=1)
    overwrite: bool = False

    @property
    def run_directory(self) -> Path:
        """Where the results of the stages are kept."""
        return self.output.with_suffix(".run")


class SlideOptions(RunOptions):
    """Options of builds from an H&E slide and another image.

    Attributes
    ----------
    he
        The H&E slide.
    markers
        Channels of the other image, by name or index.
    he_mpp, if_mpp
        µm per pixel of the two, where the file does not say or is wrong.
    channel_names
        New names for all channels of the other image, separated by commas.
    ring_um
        Width of the ring around a nucleus.
    patient
        Kept with every cell, so that training can split by patient.
    tissue
        Where nuclei are looked for: "auto", "all", or a GeoJSON file of polygons.
    region
        Only in this box, x,y,w,h in level-0 pixels of the H&E.
    skip_bad_tiles
        Leave out blurred, folded or marked tiles.
    """

    he: Path
    markers: tuple[str, ...] = Field(min_length=1)
    he_mpp: float | None = Field(None, gt=0)
    if_mpp: float | None = Field(None, gt=0)
    channel_names: str | None = None
    ring_um: float = Field(2.0, gt=0, le=10)
    patient: str | None = None
    tissue: str = "auto"
    region: str | None = None
    skip_bad_tiles: bool = False


class BuildOptions(SlideOptions):
    """Options of `regdata build --if`.

    Attributes
    ----------
    if_
        The immunofluorescence slide.
    dapi
        The nuclear channel; found by its name by default.
    autofluorescence
        CHANNEL or CHANNEL:RATIO: a channel without antibody that is subtracted from the markers,
        times a ratio of exposures that is fitted by default.
    field_um
        Side of the scanner's camera fields, whose shading is then taken out.
    erode
        Pixels that are taken off the borders of the masks.
    min_size_um2
        Smaller pieces of the masks are dropped.
    """

    if_: Path
    dapi: str | None = None
    autofluorescence: str | None = None
    field_um: float | None = Field(None, gt=0)
    erode: int = Field(0, ge=0, le=10)
    min_size_um2: float = Field(0.0, ge=0)

    @property
    def shapes_masks(self) -> bool:
        """Whether a mask is more than a threshold, so that its pixels must be counted."""
        return self.erode > 0 or self.min_size_um2 > 0 or self.legacy_overlap
