"""Conventions of published evaluation code, each as a small description with a name.

docs/metrics.md shows them side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from regdata.cells import MATCH_RADIUS_UM
from regdata.errors import RegdataError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
P = TypeVar("P", bound="DataclassInstance")
S = TypeVar("S", bound="DataclassInstance")

Layout = Literal["regdata", "ocelot", "hovernet", "cellvitpp", "midog"]


@dataclass(frozen=True, kw_only=True)
class PointPreset:
    """How points are matched and counted.

    Attributes
    ----------
    layout
        The published code whose names the results have.
    matcher
        `optimal`: most pairs, then least distance; `assigned`: least total distance over all
        points, then the cut-off; `by score`: predictions by falling score take the nearest free
        annotated point; `by truth`: annotated points in their order take the nearest free
        prediction.
    radius
        Largest distance of a pair, inclusive, in `unit`.
    scope
        Points of one image are matched, or those of one slide as if they lay in one image.
    class_aware
        Each class is matched by itself; otherwise all together.
    empty
        Rates without a denominator: None, or 0; `phantom` puts a point of class 0 at (0, 0)
        where an image has no point on one side.
    wrong
        Weight of a pair of different classes as false positive and false negative of F1.
    epsilon
        Added to denominators.
    decimals
        Rates are rounded to so many before their mean.
    single
        Distances are compared in float32.
    tie
        What decides between equal choices: positions, or the order of the rows.
    warning
        Why the numbers should not be trusted.
    """

    layout: Layout
    matcher: Literal["optimal", "assigned", "by score", "by truth"] = "optimal"
    radius: float = MATCH_RADIUS_UM
    unit: Literal["um", "px"] = "um"
    scope: Literal["image", "slide"] = "image"
    class_aware: bool = False
    empty: Literal["undefined", "zero", "phantom"] = "undefined"
    wrong: int = 1
    epsilon: float = 0.0
    decimals: int | None = None
    single: bool = False
    tie: Literal["position", "file order"] = "file order"
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class InstancePreset:
    """How instance maps are matched and counted.

    Attributes
    ----------
    layout
        The published code whose names the results have.
    gated
        The class of every pixel counts: an instance of mixed classes is one of each. Otherwise
        an instance has the class of most of its pixels.
    gated_binary
        The same without regard to the class, as where classes are kept in separate maps.
    detection_epsilon, segmentation_epsilon
        Added to the denominators of DQ and of SQ.
    empty
        A score of an image (or a class in it) without annotation: None and left out of means,
        or 0; `both` is None only where nothing was predicted either.
    n_types
        Number of classes, 1..n; None: the highest that occurs.
    """

    layout: Literal["regdata", "hovernet", "conic", "cellvitpp", "pannuke", "histoplus"]
    gated: bool = True
    gated_binary: bool = False
    detection_epsilon: float = 0.0
    segmentation_epsilon: float = 0.0
    empty: Literal["both", "truth", "zero"] = "both"
    n_types: int | None = None


@dataclass(frozen=True)
class BoxPreset:
    """How boxes are matched: most pairs, then the highest total IoU.

    Attributes
    ----------
    min_iou
        Inclusive.
    pixel
        Added to the sides of a box: 1 where the right and bottom pixel belong to it.
    """

    min_iou: float = 0.5
    pixel: float = 0.0


_OVERLAY = (
    "all images of a slide are overlaid in one frame and matched there, as in the published "
    "evaluation scripts of CellViT++; points match by chance, see `chance`; use the preset regdata"
)
_OCELOT = PointPreset(
    layout="ocelot",
    matcher="by score",
    radius=15,
    unit="px",
    class_aware=True,
    empty="zero",
    epsilon=1e-7,
    decimals=4,
    single=True,
)
_HOVERNET = PointPreset(
    layout="hovernet", matcher="assigned", radius=12, unit="px", empty="phantom", wrong=2
)

POINTS: Mapping[str, PointPreset] = {
    "regdata": PointPreset(layout="regdata", tie="position"),
    "ocelot": _OCELOT,
    "hovernet": _HOVERNET,
    "cellvitpp": replace(_HOVERNET, layout="cellvitpp"),
    "midog": PointPreset(layout="midog", matcher="by truth", radius=7.5, class_aware=True),
    "legacy-overlay": replace(_OCELOT, scope="slide", warning=_OVERLAY),
}
INSTANCES: Mapping[str, InstancePreset] = {
    "regdata": InstancePreset(layout="regdata", gated=False),
    "hovernet": InstancePreset(layout="hovernet", gated=False, segmentation_epsilon=1e-6),
    "conic": InstancePreset(
        layout="conic",
        gated=True,
        gated_binary=False,
        detection_epsilon=1e-6,
        segmentation_epsilon=1e-6,
        empty="zero",
        n_types=6,
    ),
    "cellvitpp": InstancePreset(
        layout="cellvitpp",
        gated=True,
        gated_binary=False,
        detection_epsilon=1e-6,
        segmentation_epsilon=1e-6,
        empty="truth",
    ),
    "pannuke": InstancePreset(
        layout="pannuke",
        gated=True,
        gated_binary=True,
        detection_epsilon=0.0,
        segmentation_epsilon=1e-6,
        empty="truth",
        n_types=5,
    ),
    "histoplus": InstancePreset(layout="histoplus", gated=False),
}
BOXES: Mapping[str, BoxPreset] = {"regdata": BoxPreset(), "nucls": BoxPreset(pixel=1.0)}


def find_preset(presets: Mapping[str, T], name: str, kind: str) -> T:
    """The preset of that name, or an error that says which there are."""
    if name in presets:
        return presets[name]
    scores = {"points": POINTS, "instances": INSTANCES, "boxes": BOXES}
    others = [other for other, table in scores.items() if name in table]
    hint = f"; {name} scores {' and '.join(others)}" if others else ""
    raise RegdataError(
        f"expected a preset for {kind}, one of {', '.join(presets)}, got {name!r}{hint}"
    )


def with_conventions(preset: P, options: S, conventions: Mapping[str, Any]) -> tuple[P, S]:
    """A preset and options with some of their fields replaced by name."""
    own, other = ({f.name for f in fields(part)} for part in (preset, options))
    unknown = sorted(set(conventions) - own - other)
    if unknown:
        raise RegdataError(
            f"unknown convention {', '.join(unknown)}; there are "
            f"{', '.join(sorted((own | other) - {'layout', 'warning'}))}"
        )
    mine = {name: value for name, value in conventions.items() if name in own}
    rest = {name: value for name, value in conventions.items() if name in other}
    return replace(preset, **mine), replace(options, **rest)
