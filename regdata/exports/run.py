"""A file of cells in the formats that other tools read: `regdata export`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from regdata.errors import RegdataError
from regdata.exports.cellvit import write_cellvit
from regdata.exports.coco import write_coco_crops, write_coco_slide
from regdata.exports.crops import TEST, CropPlan, plan_crops
from regdata.exports.files import NOTE, refuse, replacing_folder
from regdata.exports.geojson import write_qupath
from regdata.exports.pannuke import write_pannuke
from regdata.exports.slide import RecordedSlide, recorded_slide
from regdata.exports.source import Source, open_source
from regdata.exports.spatialdata import write_spatialdata
from regdata.exports.tables import write_clam, write_parquet
from regdata.files import Progress, silent

_FORMATS = ("geojson", "coco", "cellvit", "pannuke", "parquet", "spatialdata", "clam")
_TRAINING = ("coco", "cellvit", "pannuke")
_SUFFIXES = {
    "geojson": (".geojson", ".geojson.gz"),
    "parquet": (".parquet",),
    "spatialdata": (".zarr",),
    "clam": (".h5",),
}
_CROP = 256


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is exported, and how.

    Attributes
    ----------
    file
        Of `regdata build`, `label-images` or `segment`.
    output
        The file or folder to write.
    format
        One of `_FORMATS`.
    crop
        Pixels of a crop; None: 256, and for COCO the whole slide.
    crop_mpp
        µm per pixel of a crop.
    he
        Where the H&E slide is now; as recorded by default.
    slide
        Only the cells of this slide.
    keep_unknown
        Whether coco, cellvit and pannuke keep cells of unknown label; the others always do.
    tokens
        Whether parquet holds the tokens.
    test_share
        About this share of the nuclei goes to `test/`, by whole patients or slides.
    tissue_type
        What PanNuke's types.npy says.
    overwrite
        Whether an export at `output` is replaced.
    """

    file: Path
    output: Path
    format: str
    crop: int | None = None
    crop_mpp: float = 0.25
    he: Path | None = None
    slide: str | None = None
    keep_unknown: bool = False
    tokens: bool = False
    test_share: float = 0.2
    tissue_type: str = "unknown"
    overwrite: bool = False

    def check(self) -> None:
        """Refuse what does not fit together.

        Raises
        ------
        RegdataError
            An unknown format, a name that does not end as the format's do, or a bad number.
        """
        if self.format not in _FORMATS:
            raise RegdataError(f"expected a format of {', '.join(_FORMATS)}, got {self.format}")
        whole = self.format == "coco" and not self.crops
        endings = _SUFFIXES.get(self.format, (".json",) if whole else ())
        if endings and not self.output.name.endswith(endings):
            raise RegdataError(
                f"expected a name that ends in {' or '.join(endings)} for `format={self.format!r}`"
                f"{' without `crop=`' if whole else ''}, got {self.output}"
            )
        if (self.crop or _CROP) < 32 or not 0 < self.crop_mpp < 100:
            raise RegdataError(
                "expected crops of 32 pixels or more at a positive µm per pixel, "
                f"got {self.crop} at {self.crop_mpp}"
            )
        if not 0 <= self.test_share < 1:
            raise RegdataError(f"expected a test share from 0, below 1, got {self.test_share}")
        if self.crop and self.format not in _TRAINING:
            raise RegdataError(f"`crop=` belongs to {', '.join(_TRAINING)}, not to {self.format}")
        if self.tokens and self.format != "parquet":
            raise RegdataError(f"`tokens=True` belongs to `format='parquet'`, not to {self.format}")

    @property
    def crops(self) -> bool:
        """Whether crops are written."""
        return self.format in ("cellvit", "pannuke") or self.crop is not None

    @property
    def folder(self) -> bool:
        """Whether a folder is written."""
        return self.crops or self.format == "spatialdata"


@dataclass(frozen=True)
class ExportSummary:
    """What an export wrote.

    Attributes
    ----------
    output
        The file or folder.
    counts
        Number of cells per class.
    left_out
        Cells of the file that are not in it.
    crops
        Number of crops per part; empty without crops.
    warning
        What the user should know of the parts, if anything.
    """

    output: Path
    counts: dict[str, int]
    left_out: int
    crops: dict[str, int]
    warning: str | None = None


def export_cells(options: ExportOptions, progress: Progress = silent) -> ExportSummary:
    """Write the cells of a file in another format.

    Raises
    ------
    RegdataError
        The options do not fit, the output is taken, a library or the H&E slide is missing, or
        nothing is left to export.
    """
    options.check()
    if options.output.exists() and options.file.exists() and options.output.samefile(options.file):
        raise RegdataError(f"{options.output} is the file to export; choose another `output=`")
    refuse(options.output, options.overwrite, options.folder)
    keep = options.keep_unknown or options.format not in _TRAINING
    source = open_source(options.file, keep, options.slide)
    he = recorded_slide(source.record).moved(options.he)
    if options.crops:
        return _export_crops(options, source, he, progress)
    if options.format == "spatialdata":
        with replacing_folder(options.output) as part:
            part.rmdir()  # SpatialData wants to make it
            write_spatialdata(part, source, he, progress)
    elif options.format == "geojson":
        write_qupath(options.output, source, progress)
    elif options.format == "parquet":
        write_parquet(options.output, source, options.tokens, progress)
    elif options.format == "clam":
        write_clam(options.output, source, he, progress)
    else:
        write_coco_slide(options.output, source, he, progress)
    return ExportSummary(options.output, source.counts, source.left_out, {})


def _export_crops(
    options: ExportOptions, source: Source, he: RecordedSlide, progress: Progress
) -> ExportSummary:
    plan = plan_crops(source, he, options.crop or _CROP, options.crop_mpp, options.test_share)
    parts = plan.parts()
    crops = {part: parts.count(part) for part in sorted(set(parts), reverse=True)}
    warning = None
    if options.test_share and TEST not in crops:
        warning = "all cells are of one patient or slide, so all crops are in train/, none in test/"
    summary = ExportSummary(options.output, source.counts, source.left_out, crops, warning)
    with replacing_folder(options.output) as part:
        _write_crops(part, plan, options, progress)
        note = {**asdict(options), **asdict(summary), "classes": source.classes}
        (part / NOTE).write_text(json.dumps(note, indent=2, default=str))
    return summary


def _write_crops(folder: Path, plan: CropPlan, options: ExportOptions, progress: Progress) -> None:
    if options.format == "pannuke":
        write_pannuke(folder, plan, options.tissue_type, progress)
    elif options.format == "cellvit":
        write_cellvit(folder, plan, progress)
    else:
        write_coco_crops(folder, plan, progress)
