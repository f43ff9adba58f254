"""A marker's mask over the IF slide, kept as what makes it: a background and a threshold."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regdata.atomic import replacing
from regdata.labelling.background import Background
from regdata.labelling.threshold import METHOD, Threshold


@dataclass(frozen=True)
class Mask:
    """Stained is what exceeds `background` by more than `threshold`.

    Attributes
    ----------
    channel
        Index of the marker's channel in the IF slide.
    """

    channel: int
    background: Background
    threshold: Threshold

    def describe(self) -> dict[str, Any]:
        """What a dataset keeps of how the mask was made."""
        return {
            "method": METHOD,
            "value": self.threshold.value,
            "share_of_tissue": self.threshold.share,
            "contrast": self.threshold.contrast,
            "background_min": float(self.background.grid.min()),
            "background_max": float(self.background.grid.max()),
        }


def save_mask(path: Path, mask: Mask) -> None:
    """Write to `.npz`, whole or not at all."""
    t, b = mask.threshold, mask.background
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            channel=mask.channel,
            grid=b.grid,
            block=b.block,
            counts=t.counts,
            scalars=np.array([t.value, t.share, t.contrast, t.low, t.high]),
        )


def load_mask(path: Path) -> Mask:
    """Read back what `save_mask` wrote."""
    with np.load(path) as stored:
        value, share, contrast, low, high = stored["scalars"].tolist()
        return Mask(
            int(stored["channel"]),
            Background(stored["grid"], float(stored["block"])),
            Threshold(value, share, contrast, stored["counts"], low, high),
        )
