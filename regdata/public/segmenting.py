"""`regdata.segment`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from regdata.cellvit.networks import load_model, terms
from regdata.cellvit.tiles import Resources, SegmentSettings, Tiling
from regdata.errors import RegdataError
from regdata.paths import StrPath, path_of, paths_of
from regdata.segmenting import (
    SegmentOptions,
    SegmentSummary,
    find_slides,
    outputs_of,
    segment_slides,
)
from regdata.slides import parse_box

Region = tuple[int, int, int, int]


def segment(
    slides: StrPath | Sequence[StrPath],
    output: StrPath,
    *,
    model: StrPath | None = None,
    classifier: StrPath | None = None,
    own_classes: bool = False,
    geojson: bool = False,
    cellvit_files: bool = False,
    he_mpp: float | None = None,
    region: str | Region | None = None,
    tissue: StrPath = "auto",
    skip_bad_tiles: bool = False,
    normalise: Literal["tile", "fixed"] | None = None,
    device: str = "auto",
    exact: bool = False,
    batch_size: int | None = None,
    workers: int = 2,
    resume: bool = False,
    overwrite: bool = False,
) -> tuple[SegmentSummary, ...]:
    """Find the nuclei of H&E slides or pictures, each with a class, contour and token.

    `regdata.cellvit.segment` gives the cells of one slide in a stream instead.

    Parameters
    ----------
    slides
        Slides, pictures, or folders of them.
    output
        The `.h5` to write, or a folder for several slides.
    model
        File of network weights; built-in by default.
    classifier
        Token classifier that names the cells.
    own_classes
        Let the network's type branch name them.
    geojson
        Also write `<name>.cells.geojson.gz` for QuPath.
    cellvit_files
        Also write the files of the published code.
    he_mpp
        µm per pixel, where the files do not say or are wrong.
    region
        Only x, y, w, h, level-0 pixels.
    tissue
        auto, all, or a GeoJSON file of polygons.
    skip_bad_tiles
        Leave out blurred, folded or marked tiles.
    normalise
        HV gradients by the tile's extremes, or the same everywhere; as usual for the model.
    device
        auto, cpu or cuda.
    exact
        Calculate in float32 throughout.
    batch_size
        Tiles at once; 1 on a CPU, 8 on a GPU by default.
    workers
        Threads that read and find contours.
    resume
        Go on with the unfinished, keep the finished.
    overwrite
        Replace what is there.

    Returns
    -------
    tuple of SegmentSummary
        One per slide: its file, and how many cells and tiles.

    Raises
    ------
    RegdataError
        A slide cannot be segmented; the others are, first.

    Examples
    --------
    >>> import regdata
    >>> (made,) = regdata.segment("slide.svs", "cells.h5", geojson=True)  # doctest: +SKIP
    >>> made.cells  # doctest: +SKIP
    48213
    """
    options: dict[str, Any] = {k: v for k, v in locals().items() if k not in ("slides", "output")}
    results = list(segment_each(paths_of(slides), Path(output), **options))
    failed = [f"{slide}: {e.message}" for slide, e in results if isinstance(e, RegdataError)]
    if failed:
        raise RegdataError(f"{len(failed)} of {len(results)} slides failed; {'; '.join(failed)}")
    return tuple(result for _, result in results if isinstance(result, SegmentSummary))


def segment_each(
    slides: Sequence[Path],
    output: Path,
    *,
    model: StrPath | None = None,
    device: str = "auto",
    exact: bool = False,
    licence: Callable[[str], None] | None = None,
    **options: Any,
) -> Iterator[tuple[Path, SegmentSummary | RegdataError]]:
    """Slides with what became of them, one after the other; options are those of `segment`.

    Parameters
    ----------
    licence
        Is given the terms of the network, if its licence has any to mind.

    Raises
    ------
    RegdataError
        Nothing can be segmented: options do not fit, a slide is missing, the model does not load,
        or the only slide fails.
    """
    settings = _options(**options)
    paths = find_slides(slides)
    one_file = len(slides) == 1 and paths == list(slides)
    outputs = outputs_of(paths, output, one_file)
    network = load_model(path_of(model), device, exact)
    if licence is not None and (text := terms(network.config)):
        licence(text)
    results = segment_slides(paths, outputs, network, settings)
    for slide, result in zip(paths, results, strict=True):
        if isinstance(result, RegdataError) and len(paths) == 1:
            raise result
        yield slide, result


def _options(
    region: str | Region | None,
    skip_bad_tiles: bool,
    normalise: Literal["tile", "fixed"] | None,
    batch_size: int | None,
    workers: int,
    he_mpp: float | None,
    tissue: StrPath,
    classifier: StrPath | None,
    **rest: Any,
) -> SegmentOptions:
    """The options as one object."""
    if region is not None and not isinstance(region, str):
        region = ",".join(map(str, region))
    box = parse_box(region) if region else None
    settings = SegmentSettings(Tiling(region=box), skip_bad=skip_bad_tiles, normalise=normalise)
    return SegmentOptions(
        settings=settings,
        resources=Resources(batch_size, workers),
        mpp=he_mpp,
        tissue=str(tissue),
        classifier=path_of(classifier),
        **rest,
    )
