"""The options of a build from masks that exist already."""

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from regdata.chain.options import LabelOptions, RunOptions, SlideOptions
from regdata.errors import RegdataError
from regdata.names import RESERVED

_SEGPATH_MPP = 0.22
"""µm per pixel of SegPath's images."""
NO_INTENSITIES = ("thresholds", "certain")
"""Options that builds from masks do not have."""


class MaskedOptions(RunOptions):
    """Options of every build from masks; there are no thresholds and no probabilities."""

    @model_validator(mode="after")
    def _no_intensities(self) -> "MaskedOptions":
        for name in NO_INTENSITIES:
            if name in self.model_fields_set:
                raise RegdataError(
                    f"`{name}=` is about intensities, and masks have none: leave it out"
                )
        return self

    @property
    def rules(self) -> dict[str, Any]:
        """What labels depend on besides masks and nuclei."""
        return self.model_dump(include=set(LabelOptions.model_fields) - set(NO_INTENSITIES))


class MaskOptions(MaskedOptions, SlideOptions):
    """Options of `regdata build --masks`.

    Attributes
    ----------
    masks
        An image in the frame of the H&E slide, one channel a marker; what is above 0 is stained.
    """

    masks: Path


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
            raise RegdataError(
                f"`classes={value}`: expected a name other than {', '.join(RESERVED)}"
            )
        return value

    @model_validator(mode="after")
    def _one_class(self) -> "SegPathOptions":
        if self.classes or self.compartments:
            raise RegdataError(
                "a SegPath folder has one mask an image: name its class by `positive`, and leave "
                "classes and compartments out"
            )
        return self
