"""Scores of a network on held-out images while it is trained."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from regdata.annotated import AnnotatedNuclei
from regdata.cells import MATCH_RADIUS_UM, centroids
from regdata.cellvit.networks import CellViT, Model, fast_precision
from regdata.cellvit.tiles import detect
from regdata.eval.metrics import (
    dice,
    match_points,
    overlaps,
    panoptic_quality,
    precision_recall_f1,
)


@torch.no_grad()
def scores_of(network: CellViT, images: Sequence[AnnotatedNuclei]) -> Mapping[str, float]:
    """Means over the images of Dice, bPQ and detection F1 (within `MATCH_RADIUS_UM`).

    Parameters
    ----------
    network
        In evaluation mode; on the device it is trained on.
    images
        At the network's resolution.
    """
    device = next(network.parameters()).device
    model = Model(network, "", device, fast_precision(device))
    rows = []
    for image in images:
        instances, cells = detect(model, image.rgb)
        pairs = overlaps(image.instances, instances)
        truth = centroids(image.instances)
        matched = len(match_points(truth, cells.xy, MATCH_RADIUS_UM / network.config.mpp))
        f1 = precision_recall_f1(matched, len(cells), len(truth), empty=0.0)[2].item()
        rows.append((dice(pairs) or 0.0, panoptic_quality(pairs).pq or 0.0, f1))
    means = np.mean(rows, axis=0).tolist()
    return dict(zip(("dice", "bpq", "f1"), means, strict=True))
