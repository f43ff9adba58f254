"""What the nuclei of a slide depend on: the key of `regdata segment` and of the build alike."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from regdata.cellvit.networks import Classifier, Model
from regdata.cellvit.tiles import SegmentSettings
from regdata.files import file_identity, stage_key

_VERSION = 1  # raised when the same inputs give other cells


def nuclei_key(
    slide: Any,
    mpp: float | None,
    model: Model,
    classifier: Classifier | None,
    tissue: str,
    settings: SegmentSettings,
) -> str:
    """A hash of all that the nuclei depend on.

    Parameters
    ----------
    slide
        What tells it from others, see `file_identity`.
    mpp
        µm per level-0 pixel.
    tissue
        "auto", "all", or a GeoJSON file of polygons.
    """
    drawn = Path(tissue)
    return stage_key(
        slide=slide,
        mpp=mpp,
        model=model.sha256,
        precision=str(model.precision),
        classifier=classifier and classifier.info.model_dump_json(),
        tissue=file_identity(drawn) if drawn.is_file() else tissue,
        settings=asdict(settings),
        version=_VERSION,
    )
