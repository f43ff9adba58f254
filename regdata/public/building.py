"""`regdata.build` and `regdata.relabel`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regdata.chain import BuildOptions, BuildSummary, LabelOptions, markers_of, options_of
from regdata.chain import build as build_pair
from regdata.chain import relabel as label_again
from regdata.labelling.rules import CERTAIN, OVERLAP
from regdata.paths import StrPath, path_of
from regdata.public.settings import per_marker, several, validated


def build(
    he: StrPath,
    if_: StrPath,
    output: StrPath,
    *,
    markers: str | Sequence[str],
    classes: Mapping[str, str | Sequence[str]] | None = None,
    thresholds: str | Mapping[str, str] | None = None,
    compartments: str | Mapping[str, str] | None = None,
    overlap: float = OVERLAP,
    ambiguous: float | None = None,
    certain: float = CERTAIN,
    legacy_overlap: bool = False,
    he_mpp: float | None = None,
    if_mpp: float | None = None,
    dapi: str | None = None,
    channel_names: str | Sequence[str] | None = None,
    autofluorescence: str | None = None,
    field_um: float | None = None,
    ring_um: float = 2.0,
    erode: int = 0,
    min_size_um2: float = 0.0,
    tissue: StrPath = "auto",
    region: str | None = None,
    skip_bad_tiles: bool = False,
    model: StrPath | None = None,
    device: str = "auto",
    workers: int = 2,
    batch_size: int | None = None,
    patient: str | None = None,
    overwrite: bool = False,
) -> BuildSummary:
    """Turn an H&E and an IF slide of one section into a file of labelled cells.

    `regdata.chain.build` does the same with masks that exist already: `MaskOptions` and
    `SegPathOptions` say which.

    Parameters
    ----------
    he, if_
        The two slides.
    output
        The `.h5` to write; pictures, a page and the results of the stages lie beside it.
    markers
        Channels of the IF slide, by name or index.
    classes
        Per class a rule over markers, as `{"lymphocyte": "CD3 | CD20"}`; each marker by default.
    thresholds
        A method for all markers or one per marker: auto (the default), otsu, li, triangle, gmm,
        mad, local, `fixed:VALUE`.
    compartments
        `nucleus` (the default) or `ring`, for all markers or per marker.
    overlap
        A nucleus is positive when a larger share of it is stained, 0 to 1.
    ambiguous
        Up to this share it is negative, in between unknown; 0.05 by default.
    certain
        Least probability of a label that is kept.
    legacy_overlap
        The published rule: positive from `overlap` on, nothing unknown.
    he_mpp, if_mpp
        µm per pixel, where the file does not say or is wrong.
    dapi
        The nuclear channel; found by its name by default.
    channel_names
        New names for all channels of the IF slide.
    autofluorescence
        CHANNEL or CHANNEL:RATIO, which is subtracted from the markers.
    field_um
        Side of a camera field, µm, whose shading is taken out.
    ring_um
        Width of the ring around a nucleus, µm.
    erode
        Pixels taken off the borders of the masks.
    min_size_um2
        Smaller pieces of the masks are dropped, µm².
    tissue
        Where nuclei are looked for: auto, all, or a GeoJSON file.
    region
        Only there: "x,y,w,h" in level-0 pixels of the H&E slide.
    skip_bad_tiles
        Leave out tiles that are blurred, folded or under a pen mark.
    model
        File of network weights; built-in by default.
    device
        auto, cpu or cuda.
    workers
        Threads that read tiles and finish them.
    batch_size
        Tiles at once; 1 on a CPU, 8 on a GPU by default.
    patient
        Kept with every cell, so that training can split by patient.
    overwrite
        Replace an output that was made with other options.

    Returns
    -------
    BuildSummary
        Cells per label, how well the slides were registered, and warnings.

    Raises
    ------
    RegdataError
        For everything a user can mend; nothing half-written is left under the output's name.

    Examples
    --------
    >>> import regdata
    >>> summary = regdata.build(
    ...     "he.svs", "if.ome.tif", "lymphocytes.h5", markers="CD3"
    ... )  # doctest: +SKIP
    >>> summary.counts  # doctest: +SKIP
    {'negative': 5321, 'CD3': 1210, 'unknown': 903}
    """
    given: dict[str, Any] = {name: value for name, value in locals().items() if value is not None}
    names = given["markers"] = several(markers)
    given["tissue"] = str(tissue)
    if channel_names is not None:
        given["channel_names"] = ",".join(several(channel_names))
    if classes is not None:
        given["classes"] = dict(classes)
    for name, values in (("thresholds", thresholds), ("compartments", compartments)):
        given[name] = per_marker(values, names) or {}
    return build_pair(validated(BuildOptions, given))


def relabel(
    dataset: StrPath,
    output: StrPath | None = None,
    *,
    classes: Mapping[str, str | Sequence[str]] | None = None,
    thresholds: str | Mapping[str, str] | None = None,
    compartments: str | Mapping[str, str] | None = None,
    overlap: float | None = None,
    ambiguous: float | None = None,
    certain: float | None = None,
    legacy_overlap: bool | None = None,
    overwrite: bool = False,
) -> dict[str, int]:
    """Label the cells of a file of `build` again, without its images; returns cells per label.

    What is not given stays as it was; the options are those of `build`.

    Parameters
    ----------
    dataset
        The `.h5` of a build from an IF slide.
    output
        The `.h5` to write; the file itself is replaced by default.
    overwrite
        Replace an `output` that is there.

    Raises
    ------
    RegdataError
        The options cannot be, need the images, or `output` exists.

    Examples
    --------
    >>> import regdata
    >>> regdata.relabel("lymphocytes.h5", thresholds="otsu", overlap=0.2)  # doctest: +SKIP
    {'negative': 5280, 'CD3': 1251, 'unknown': 903}
    """
    dataset = Path(dataset)
    markers = markers_of(dataset)
    before = options_of(dataset).model_dump()
    given: dict[str, Any] = {
        "classes": None if classes is None else dict(classes),
        "overlap": overlap,
        "ambiguous": ambiguous,
        "certain": certain,
        "legacy_overlap": legacy_overlap,
    }
    wanted = before | {name: value for name, value in given.items() if value is not None}
    # of one marker: the others keep theirs
    wanted["thresholds"] = before["thresholds"] | (per_marker(thresholds, markers) or {})
    wanted["compartments"] = before["compartments"] | (per_marker(compartments, markers) or {})
    return label_again(dataset, validated(LabelOptions, wanted), path_of(output), overwrite)
