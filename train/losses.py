"""Losses of the CellViT recipe, on logits, each a mean over the images that have the label."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)


def focal_tversky(probability: Tensor, target: Tensor) -> Tensor:
    """Focal Tversky loss (Abraham & Khan, 2019) with alpha 0.7, beta 0.3, gamma 4/3.

    Parameters
    ----------
    probability, target
        (B, C, H, W); target is one-hot.
    """
    hit, miss, false = _overlap(probability, target)
    tversky = (hit + 1e-6) / (hit + 0.7 * miss + 0.3 * false + 1e-6)
    # the power has an infinite slope at 0, where a class is absent and ruled out
    return ((1 - tversky).clamp_min(1e-6) ** 0.75).mean(1)  # (B,), exponent 1 / gamma


def dice(probability: Tensor, target: Tensor) -> Tensor:
    """Soft Dice loss, mean over the channels, background included: (B,)."""
    hit, miss, false = _overlap(probability, target)
    return (1 - (2 * hit + 1e-3) / (2 * hit + miss + false + 1e-3)).mean(1)


def _overlap(probability: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Soft true positives, false negatives and false positives, each (B, C)."""
    hit = (probability * target).sum((2, 3))
    miss = (target * (1 - probability)).sum((2, 3))
    false = ((1 - target) * probability).sum((2, 3))
    return hit, miss, false


def gradient_kernels(device: torch.device) -> Tensor:
    """HoVer-Net's 5x5 derivative kernels, (2, 1, 5, 5): along x, then along y."""
    steps = torch.arange(-2, 3, dtype=torch.float32, device=device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    squared = x**2 + y**2
    squared[2, 2] = 1e-15  # 0 / 1e-15: the centre weighs nothing
    return torch.stack([x / squared, y / squared])[:, None]


def gradient_error(hv: Tensor, target: Tensor, foreground: Tensor) -> Tensor:
    """Mean squared error of the gradients of the HV maps inside nuclei: (B,).

    Channel 0 is differentiated along x and channel 1 along y; it is the gradient's jump between
    touching nuclei that separates them.

    Parameters
    ----------
    hv, target
        (B, 2, H, W).
    foreground
        (B, H, W), 1 inside nuclei.
    """
    kernels = gradient_kernels(hv.device)
    difference = F.conv2d(hv - target, kernels, padding=2, groups=2)
    masked = difference**2 * foreground[:, None]
    return masked.sum((1, 2, 3)) / (2 * foreground.sum((1, 2)) + 1e-8)


def cellvit_loss(output: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weighted terms of one batch.

    Parameters
    ----------
    output
        Logits of the network.
    target
        `instances` (B, H, W) bool-like, `hv` (B, 2, H, W), `types` (B, H, W) int,
        `hv_weight` (B,) and `type_weight` (B,): 0 where an image has no such label.

    Returns
    -------
    dict
        `np`, `hv`, `nt`: scalars; their sum is the loss.
    """
    foreground = target["foreground"].float()
    np_target = torch.stack([1 - foreground, foreground], 1)
    np_prob = output["nuclei_binary_map"].float().softmax(1)
    hv = output["hv_map"].float()
    squared = ((hv - target["hv"]) ** 2).mean((1, 2, 3))
    hv_loss = 2.5 * squared + 8.0 * gradient_error(hv, target["hv"], foreground)
    logits = output["nuclei_type_map"].float()
    nt_prob = logits.softmax(1)
    nt_target = F.one_hot(target["types"], logits.shape[1]).permute(0, 3, 1, 2).float()
    nt_loss = (
        0.5 * F.cross_entropy(logits, target["types"], reduction="none").mean((1, 2))
        + 0.2 * dice(nt_prob, nt_target)
        + 0.5 * focal_tversky(nt_prob, nt_target)
    )
    return {
        "np": (focal_tversky(np_prob, np_target) + dice(np_prob, np_target)).mean(),
        "hv": _weighted_mean(hv_loss, target["hv_weight"]),
        "nt": _weighted_mean(nt_loss, target["type_weight"]),
    }


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / len(weights)
