"""What a build from masks that exist already is asked to do."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from regdata.chain.options import LabelOptions
from regdata.errors import RegdataError
from regdata.names import RESERVED

_SEGPATH_MPP = 0.22
"""µm per pixel of SegPath's images."""
_NO_INTENSITIES = ("thresholds", "certain")


class MaskedOptions(LabelOptions):
    """What all builds from masks share; there are no thresholds and no probabilities.

    Attributes
    ----------
    output
        The `.h5` to write.
    model
        File of network weights; the built-in model by default.
    device
        auto, cpu or cuda.
    overwrite
        Replace an output that was made with other options.
    """

    output: Path
    model: Path | None = None
    device: str = "auto"
    overwrite: bool = False

    @model_validator(mode="after")
    def _no_intensities(self) -> "MaskedOptions":
        for name in _NO_INTENSITIES:
            if name in self.model_fields_set:
                option = name.removesuffix("s")
                raise RegdataError(
                    f"--{option} is about intensities, and masks have none: leave it out"
                )
        return self

    @property
    def run_directory(self) -> Path:
        """Where the results of the stages are kept."""
        return self.output.with_suffix(".run")

    def rules(self) -> dict[str, Any]:
        """What labels depend on besides masks and nuclei."""
        return self.model_dump(include=set(LabelOptions.model_fields) - set(_NO_INTENSITIES))

    def to_json(self) -> str:
        """All options as a file keeps them."""
        return self.model_dump_json(exclude=set(_NO_INTENSITIES))


class MaskOptions(MaskedOptions):
    """Options of `regdata build --masks`.

    Attributes
    ----------
    he
        The H&E slide.
    masks
        An image in its frame, one channel a marker; what is above 0 is stained.
    markers
        Channels of the masks, by name or index; any name where there is one channel.
    he_mpp, if_mpp
        µm per pixel of the two, where the file does not say or is wrong.
    channel_names
        New names for all channels of the masks, separated by commas.
    ring_um
        Width of the ring around a nucleus.
    patient
        Kept with every cell, so that training can split by patient.
    """

    he: Path
    masks: Path
    markers: tuple[str, ...] = Field(min_length=1)
    he_mpp: float | None = Field(None, gt=0)
    if_mpp: float | None = Field(None, gt=0)
    channel_names: str | None = None
    ring_um: float = Field(2.0, gt=0, le=10)
    patient: str | None = None


class SegPathOptions(MaskedOptions):
    """Options of `regdata build --segpath`.

    Attributes
    ----------
    segpath
        Folder of `<antigen>_<cell type>_<slide>_<x>_<y>_HE.png` and `_mask.png`.
    antigen
        Which one; not needed where the folder has one.
    positive
        Name of the positive class; the antigen's cell type by default.
    he_mpp
        µm per pixel of all images.
    """

    segpath: Path
    antigen: str | None = None
    positive: str | None = None
    he_mpp: float = Field(_SEGPATH_MPP, gt=0)

    @field_validator("positive")
    @classmethod
    def _not_taken(cls, value: str | None) -> str | None:
        if value in RESERVED or value == "":
            raise RegdataError(f"--class {value}: expected a name other than {', '.join(RESERVED)}")
        return value

    @model_validator(mode="after")
    def _one_class(self) -> "SegPathOptions":
        if self.classes or self.compartments:
            raise RegdataError(
                "a SegPath folder has one mask an image: name its class by `positive`, and leave "
                "classes and compartments out"
            )
        return self
