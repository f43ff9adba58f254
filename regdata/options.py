"""What a build is asked to do."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regdata.errors import RegdataError

RESERVED = ("negative", "unknown")
"""Labels every file has."""


def parse_classes(definitions: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read NAME=MARKER[,MARKER] definitions.

    Examples
    --------
    >>> parse_classes(["lymphocyte=CD3,CD20"])
    {'lymphocyte': ('CD3', 'CD20')}
    """
    classes: dict[str, tuple[str, ...]] = {}
    for definition in definitions:
        name, _, markers = definition.partition("=")
        names = tuple(m.strip() for m in markers.split(",") if m.strip())
        if not name.strip() or not names:
            raise RegdataError(f"--class {definition}: expected NAME=MARKER[,MARKER]")
        if name.strip() in (*classes, *RESERVED):
            raise RegdataError(f"--class {definition}: the name {name.strip()} is taken")
        classes[name.strip()] = names
    return classes


class BuildOptions(BaseModel):
    """Options of `regdata build`; written in full into the file it makes.

    Attributes
    ----------
    he, if_
        The two slides.
    output
        The `.h5` to write.
    markers
        Channels of the IF slide, by name or index.
    classes
        Per class the markers any of which makes a nucleus positive; by default each marker is
        a class of its own name.
    he_mpp, if_mpp
        µm per pixel, where the file does not say or is wrong.
    dapi
        The nuclear channel; found by its name by default.
    channel_names
        New names for all channels of the IF slide, separated by commas.
    overlap
        A nucleus is positive when a larger share of it lies inside the mask.
    model
        File of network weights; the built-in model by default.
    device
        auto, cpu or cuda.
    patient
        Kept with every cell, so that training can split by patient.
    overwrite
        Replace an output that was made with other options.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    he: Path
    if_: Path
    output: Path
    markers: tuple[str, ...] = Field(min_length=1)
    classes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    he_mpp: float | None = Field(None, gt=0)
    if_mpp: float | None = Field(None, gt=0)
    dapi: str | None = None
    channel_names: str | None = None
    overlap: float = Field(0.15, ge=0, lt=1)
    model: Path | None = None
    device: str = "auto"
    patient: str | None = None
    overwrite: bool = False

    @model_validator(mode="after")
    def _classes_use_markers(self) -> "BuildOptions":
        for name, markers in self.classes.items():
            missing = [m for m in markers if m not in self.markers]
            if missing:
                raise RegdataError(
                    f"class {name} uses {missing[0]}, which is no --marker "
                    f"(there is: {', '.join(self.markers)})"
                )
        return self

    @property
    def rules(self) -> dict[str, tuple[str, ...]]:
        """Per class its markers."""
        return self.classes or {marker: (marker,) for marker in self.markers}

    @property
    def run_directory(self) -> Path:
        """Where the results of the stages are kept."""
        return self.output.with_suffix(".run")
