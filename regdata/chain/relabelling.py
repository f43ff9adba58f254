"""Labelling the cells of a file again: other thresholds, rules and bands, without the images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem, write_elem

from regdata.cells import (
    CellDataset,
    Record,
    ThresholdRecord,
    read_measured,
    read_pixels,
    read_record,
    write_cells_geojson,
    write_record,
)
from regdata.chain.labelled import check_options, class_rules, label_columns, thresholds
from regdata.chain.options import LabelOptions
from regdata.errors import RegdataError
from regdata.files import replacing
from regdata.labelling.measuring import Measured, PixelValues, decides
from regdata.labelling.rules import Nuclei
from regdata.labelling.thresholds import Histogram
from regdata.names import NEGATIVE, UNKNOWN


def markers_of(path: Path) -> tuple[str, ...]:
    """Names of the markers of a file of `regdata build`.

    Raises
    ------
    RegdataError
        It is another kind of file, or one of before intensities were kept.
    """
    return tuple(_build_options(path)["markers"])


def options_of(path: Path) -> LabelOptions:
    """The options its labels were made with."""
    built = _build_options(path)
    return LabelOptions(**{name: built[name] for name in LabelOptions.model_fields})


def _build_options(path: Path) -> dict[str, Any]:
    record = read_record(path)
    if not record.channels:
        raise RegdataError(
            f"{path} holds no intensities to label from; expected a file that this version of "
            "`regdata build` made from an IF slide"
        )
    return record.options


def relabel(
    path: Path, options: LabelOptions, output: Path | None = None, overwrite: bool = False
) -> dict[str, int]:
    """Label all cells of a file again; returns the number per label.

    Parameters
    ----------
    output
        Another file; by default the file itself is replaced. A GeoJSON beside it is made again;
        pictures and report need the images and stay those of the build.

    Raises
    ------
    RegdataError
        The options cannot be, need the images, or `output` exists.
    """
    built = _build_options(path)
    check_options(options, built["markers"])
    if output is not None and output.is_dir():
        raise RegdataError(f"{output} is a folder; `output=` takes the name of the .h5 to write")
    if output is not None and output.exists() and not overwrite:
        raise RegdataError(
            f"{output} exists; pass `overwrite=True` to replace it, or another `output=`"
        )
    dataset, curves = read_measured(path)
    record = dataset.record
    packed = {name: PixelValues.from_arrays(own) for name, own in read_pixels(path).items()}
    nuclei = _nuclei(dataset, Measured(_measured_columns(dataset.obs), curves, packed))
    pixels = {name: _pixels(record, name) for name in built["markers"]}
    cuts = thresholds(nuclei, pixels, options, _size_um(dataset))
    counted = _counted(dataset, built, options, cuts)
    if not counted and not packed:
        _check_curves_decide(path, options)
    columns = label_columns(nuclei, cuts, options, record.nuclear, counted)
    changed = replace(
        record,
        options={**built, **options.model_dump()},
        thresholds={name: ThresholdRecord(**cut.describe()) for name, cut in cuts.items()},
        classes=(NEGATIVE, *class_rules(options, built["markers"])),
    )
    written = output or path
    _write(path, written, columns, changed)
    names = (*changed.classes, UNKNOWN)
    beside = written.parent / f"{written.stem}.cells.geojson.gz"
    if beside.exists():
        write_cells_geojson(beside, written, "label", names)
    return {name: int((columns["label"] == name).sum()) for name in names}


def _nuclei(dataset: CellDataset, measured: Measured) -> Nuclei:
    obs = dataset.obs
    return Nuclei(
        dataset.cells.xy * _mpp(dataset),
        np.sqrt(obs["area_um2"].to_numpy() / np.pi),
        obs["flags"].to_numpy(np.uint8),
        obs["registration_error_um"].to_numpy(float),
        measured,
    )


def _mpp(dataset: CellDataset) -> float:
    """µm per level-0 pixel of the H&E.

    Raises
    ------
    RegdataError
        The file does not say it.
    """
    if dataset.record.he.mpp is None:
        raise RegdataError(f"{dataset.path} does not say the pixel size of its H&E; build it again")
    return dataset.record.he.mpp


def _size_um(dataset: CellDataset) -> tuple[float, float]:
    """(w, h) of the H&E slide."""
    w, h = (side * _mpp(dataset) for side in dataset.record.he.size or (0, 0))
    return w, h


def _measured_columns(obs: pd.DataFrame) -> dict[str, Any]:
    return {name: column.to_numpy() for name, column in obs.items() if column.dtype == np.float32}


def _pixels(record: Record, name: str) -> Histogram:
    stored = record.channels[name].pixels
    return Histogram(stored.counts, stored.low, stored.high)


def _counted(
    dataset: CellDataset, built: dict[str, Any], options: LabelOptions, cuts: dict[str, Any]
) -> dict[str, Any]:
    """Overlaps that were counted in pixels, if they still hold.

    Raises
    ------
    RegdataError
        They do not, and only the images could give new ones.
    """
    shaped = built["erode"] > 0 or built["min_size_um2"] > 0
    if not shaped and not options.legacy_overlap:
        return {}
    same = all(
        np.array_equal(threshold.surface.grid, dataset.record.thresholds[name].grid)
        and built["compartments"].get(name, "nucleus") == options.compartments.get(name, "nucleus")
        for name, threshold in cuts.items()
    )
    counted = shaped or built["legacy_overlap"]
    if counted and same:
        return {name: dataset.obs[f"overlap_{name}"].to_numpy(np.float32) for name in cuts}
    why = "`erode=`, `min_size_um2=`" if shaped else "`legacy_overlap=True`"
    raise RegdataError(
        f"{dataset.path}: with {why} overlaps are counted in the pixels of the mask, which needs "
        "the images; run `regdata build` again with these options"
    )


def _check_curves_decide(path: Path, options: LabelOptions) -> None:
    """Refuse cut-offs that files of before pixels were kept cannot tell."""
    rule = options.rule
    for name, share in (("overlap", rule.overlap), ("ambiguous", rule.ambiguous)):
        if not decides(share):
            raise RegdataError(
                f"{path}: made by an older version, which kept shares in steps of 0.05 alone, not "
                f"`{name}={share:g}`; run `regdata build` again, which needs the images"
            )


def _write(path: Path, output: Path, columns: dict[str, Any], record: Record) -> None:
    """A copy of the file with other columns and entries, whole or not at all."""
    with replacing(output) as part:
        # not a copy of all: what is taken out of a file of HDF5 leaves a hole in it
        with h5py.File(path, "r") as old, h5py.File(part, "w") as file:
            file.attrs.update(old.attrs)
            for name in old.keys() - {"obs"}:
                old.copy(name, file)
            obs = read_elem(old["obs"])
            for name in [n for n in obs if n.startswith(("overlap_", "threshold_"))]:
                del obs[name]
            for name, values in columns.items():
                text = isinstance(values, np.ndarray) and values.dtype.kind == "U"
                obs[name] = pd.Categorical(values) if text else values
            write_elem(file, "obs", obs)
            write_record(file, record)
        # the file is no longer what a build made: a rerun must not take it for that
        (output.with_suffix(".run") / "output.key").unlink(missing_ok=True)
