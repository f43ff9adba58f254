"""A network's maps of one tile, and how they are read."""

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError

Float = NDArray[np.float32]
Labels = NDArray[np.int32]
Normalise = Literal["tile", "fixed"]

if TYPE_CHECKING:  # torch takes seconds to load, and maps may be numpy's
    import torch

    Image = Float | torch.Tensor


@dataclass(frozen=True, kw_only=True)
class PostprocessSettings:
    """Sizes in pixels at the resolution the network works at; defaults for 0.25 µm/px.

    Attributes
    ----------
    min_marker
        Smaller markers are dropped.
    sobel
        Side of the Sobel kernel on the HV maps, odd, 3 to 31.
    edge
        Normalised HV gradient above which a pixel separates nuclei.
    min_area
        Smaller nuclei are dropped.
    normalise
        How gradients become 0..1. `tile`: by the smallest and the largest of the tile, as
        HoVer-Net does; a nucleus's outline then depends on what else the tile shows. `fixed`:
        by constants, so that neighbouring tiles agree on the nuclei they share.
    kinds
        `probability`: the class, other than background, of the highest mean probability.
        `votes`: the class most pixels vote for, or the runner-up where that is background;
        a nucleus with no vote but background is dropped.
    tokens
        What a nucleus's token is the mean of: `nucleus`, the tokens below it, each weighing as
        many pixels as they share; `box`, all tokens its bounding box touches.
    """

    min_marker: int = 10
    sobel: int = 21
    edge: float = 0.4
    min_area: int = 30
    normalise: Normalise = "tile"
    kinds: Literal["probability", "votes"] = "probability"
    tokens: Literal["nucleus", "box"] = "nucleus"

    def __post_init__(self) -> None:
        """Refuse a kernel that has no centre."""
        if self.sobel not in range(3, 32, 2):
            raise RegdataError(
                f"expected an odd side of 3 to 31 px for the Sobel kernel, got {self.sobel}; "
                "use 21 at 0.25 µm/px and 11 at 0.5 µm/px"
            )

    @classmethod
    def published(cls, mpp: float) -> "PostprocessSettings":
        """What the published CellViT weights were evaluated with (Hörst et al., 2024).

        Parameters
        ----------
        mpp
            Micrometres per pixel the network works at; from 0.4 on the sizes for x20 hold.
        """
        marker, sobel = (3, 11) if mpp >= 0.4 else (10, 21)
        return cls(
            min_marker=marker,
            sobel=sobel,
            edge=0.4,
            min_area=0,
            normalise="tile",
            kinds="votes",
            tokens="box",
        )


@dataclass(frozen=True)
class Maps:
    """What the network says of one tile, as probabilities.

    All arrays are numpy's, or all are torch's and lie on one device.

    Attributes
    ----------
    nucleus
        (H, W) probability of a nucleus.
    hv
        (2, H, W) horizontal, vertical offset from the nucleus's centre, -1..1.
    kinds
        (C, H, W) class probabilities, background first.
    tokens
        (D, h, w); token (i, j) covers the pixels from (i, j) * patch on.
    patch
        Side of a token in pixels; no whole number where the network resizes its input.
    """

    nucleus: "Image"
    hv: "Image"
    kinds: "Image"
    tokens: "Image"
    patch: float


@dataclass(frozen=True)
class Edges:
    """Where nuclei are in a tile, and where one ends and the next begins.

    Attributes
    ----------
    binary
        (H, W) uint8, 1 = nucleus.
    edge
        (n,) strength of the border at the n pixels of nuclei, row by row; 0 in the middle of a
        nucleus, about 1 between two that touch.
    """

    binary: NDArray[np.uint8]
    edge: Float


@dataclass(frozen=True)
class TokenShares:
    """How much of each token belongs to each nucleus.

    Attributes
    ----------
    starts
        (N + 1,) int64; nucleus i owns the entries starts[i]:starts[i + 1] of the other two.
    place
        (n,) int64, index into the tokens, row by row.
    weight
        (n,) float32, share of the nucleus's mean; the weights of a nucleus add up to 1.
    """

    starts: NDArray[np.int64]
    place: NDArray[np.int64]
    weight: Float


class MapReader(Protocol):
    """Reads maps where they lie, in the host's memory or on a device."""

    def edges(self, settings: PostprocessSettings) -> Edges:
        """The pixels of nuclei and the borders between them."""
        ...

    def sums(
        self, instances: Labels, count: int, votes: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sums over each of `count` nuclei: (count + 1,) nucleus probability, (count + 1, C) kinds.

        Row 0 is unused. With `votes`, kinds are numbers of pixels whose likeliest class it is.

        Parameters
        ----------
        instances
            (H, W) int32, 0 = background.
        """
        ...

    def mean_tokens(self, shares: TokenShares) -> NDArray[np.float16]:
        """(N, D) mean token of each nucleus."""
        ...


def fixed_limits(sobel: int) -> tuple[float, float]:
    """The gradients that count as 0 and as 1 whatever the tile shows.

    Means over real tiles of their smallest and largest gradient (benchmarks/normalisation.py), in
    units of what the kernel answers to a step from 0 to 1: they then hold for kernels of any side.
    """
    unit = step_response(sobel)
    return -1.33 * unit, 1.04 * unit


def step_response(sobel: int) -> float:
    """What a Sobel kernel of `sobel` px a side answers to a straight edge from 0 to 1."""
    # binomials along the edge, differences of binomials across it: half of those telescopes
    return float(2 ** (sobel - 1) * comb(sobel - 2, (sobel - 3) // 2))


def rescaling(low: float, high: float) -> tuple[float, float]:
    """Factor and shift that map low..high to 0..1, rounded to float32; 0, 0 for low = high."""
    if high - low <= np.finfo(np.float64).eps:
        return 0.0, 0.0
    factor = 1 / (high - low)
    return float(np.float32(factor)), float(np.float32(-low * factor))
