"""Labels of all nuclei of a dataset, when it is built and when it is labelled again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.chain.options import AUTO, LabelOptions
from regdata.errors import RegdataError
from regdata.labelling.rules import Marker, Nuclei, Rule, label_nuclei, parse_rules
from regdata.labelling.thresholds import Histogram, Threshold, find_threshold, parse_method
from regdata.labelling.thresholds import Nuclei as Pooled
from regdata.names import quoted


def class_rules(options: LabelOptions, markers: Sequence[str]) -> dict[str, Rule]:
    """The rule of every class.

    Raises
    ------
    RegdataError
        A rule cannot be read, names an unknown marker or goes round in a circle.
    """
    classes = options.classes or {name: quoted(name) for name in markers}
    return parse_rules([f"{quoted(name)} = {rule}" for name, rule in classes.items()], markers)


def check_options(options: LabelOptions, markers: Sequence[str]) -> None:
    """Refuse rules, methods and compartments that cannot be, before any work is done."""
    class_rules(options, markers)
    for name in markers:
        if "/" in name:
            raise RegdataError(
                f"marker {name}: a name with a slash cannot be kept in the file; give the "
                "channel's index, or rename the channels with `channel_names=`"
            )
    for argument, given in (
        ("thresholds", options.thresholds),
        ("compartments", options.compartments),
    ):
        for name in given:
            if name not in markers:
                raise RegdataError(
                    f"`{argument}={name}`: no such marker (there is: {', '.join(markers)})"
                )
    for method in options.thresholds.values():
        parse_method(method)


def thresholds(
    nuclei: Nuclei,
    pixels: Mapping[str, Histogram],
    options: LabelOptions,
    size_um: tuple[float, float],
) -> dict[str, Threshold]:
    """The threshold of every marker.

    Parameters
    ----------
    pixels
        Per marker the histogram of its tissue.
    size_um
        (w, h) of the H&E slide.
    """
    cuts = {}
    for name, histogram in pixels.items():
        part = options.compartments.get(name, "nucleus")
        pooled = Pooled(
            nuclei.xy_um, nuclei.radius_um**2, nuclei.measured.curves[f"{part}_{name}"], size_um
        )
        method = parse_method(options.thresholds.get(name, AUTO))
        try:
            cuts[name] = find_threshold(method, histogram, pooled)
        except RegdataError as error:
            raise RegdataError(f"marker {name}: {error.message}") from None
    return cuts


def label_columns(
    nuclei: Nuclei,
    cuts: Mapping[str, Threshold],
    options: LabelOptions,
    nuclear: str | None,
    overlaps: Mapping[str, NDArray[np.float32]] | None = None,
) -> dict[str, Any]:
    """Columns of obs that say what each nucleus is, and why.

    Parameters
    ----------
    cuts
        Per marker its threshold.
    nuclear
        Name of the nuclear channel.
    overlaps
        Per marker (N,) float32 overlaps, where they were counted in pixels.
    """
    markers = {
        name: Marker(
            threshold, options.compartments.get(name, "nucleus"), (overlaps or {}).get(name)
        )
        for name, threshold in cuts.items()
    }
    # as precise as the file keeps it, so that labelling again from the file gives the same
    nuclei = replace(nuclei, error_um=np.asarray(nuclei.error_um, np.float32))
    return label_nuclei(nuclei, markers, class_rules(options, list(cuts)), options.rule, nuclear)
