"""Where and how the nuclei of a slide are looked for, as the options of a build say it."""

from pathlib import Path

from regdata.cellvit.tiles import Resources, SegmentSettings, Tiling
from regdata.chain.options import RunOptions, SlideOptions
from regdata.errors import RegdataError
from regdata.slides import parse_box


def settings_of(options: SlideOptions) -> SegmentSettings:
    """All that the nuclei depend on besides slide, tissue and network.

    Raises
    ------
    RegdataError
        The region is no box, or there is no such file of tissue.
    """
    if options.tissue not in ("auto", "all") and not Path(options.tissue).is_file():
        raise RegdataError(
            f"`tissue={options.tissue}`: expected auto, all, or a GeoJSON file that is there"
        )
    region = None if options.region is None else parse_box(options.region)
    return SegmentSettings(Tiling(region=region), skip_bad=options.skip_bad_tiles)


def resources_of(options: RunOptions) -> Resources:
    """What the run may use."""
    return Resources(options.batch_size, options.workers)
