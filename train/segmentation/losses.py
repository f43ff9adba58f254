"""Losses of the CellViT recipe, on logits, each a mean over the images that have the label."""

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own name for it)

from regdata.errors import RegdataError


class LossConfig(BaseModel):
    """Weights of the terms; the defaults made the built-in model.

    Attributes
    ----------
    np_focal_tversky, np_dice, np_cross_entropy
        Of the binary branch.
    hv_mse, hv_gradient
        Of the HV branch.
    nt_focal_tversky, nt_dice, nt_cross_entropy
        Of the type branch.
    nt_classes
        Weights of the classes, background first, in the cross-entropies of the type branch and
        of the token head; empty = all 1. Without, a class much rarer than the others is never
        predicted.
    tissue
        Cross-entropy of the tissue head, where the network has one.
    token
        Cross-entropy of the token head, where the network has one.
    regression
        Squared error of the second HV map, where the network has one.
    dice_sum
        Add Dice over the channels instead of taking the mean: the factor by which CellViT's
        Dice weighs more than the same weight here.
    double_softmax
        CellViT's Focal Tversky takes the softmax of what is a softmax already, so that no
        probability leaves 0.27..0.73 with two classes. Only for parity in training.
    transposed_gradient
        HoVer-Net and CellViT differentiate channel 0 (x) along y and channel 1 (y) along x. Only
        for parity in training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    np_focal_tversky: float = Field(1.0, ge=0)
    np_dice: float = Field(1.0, ge=0)
    np_cross_entropy: float = Field(0.0, ge=0)
    hv_mse: float = Field(2.5, ge=0)
    hv_gradient: float = Field(8.0, ge=0)
    nt_focal_tversky: float = Field(0.5, ge=0)
    nt_dice: float = Field(0.2, ge=0)
    nt_cross_entropy: float = Field(0.5, ge=0)
    nt_classes: tuple[Annotated[float, Field(ge=0)], ...] = ()
    tissue: float = Field(0.1, ge=0)
    token: float = Field(0.5, ge=0)
    regression: float = Field(1.0, ge=0)
    dice_sum: bool = False
    double_softmax: bool = False
    transposed_gradient: bool = False

    @classmethod
    def cellvit(cls, parity: bool = False) -> "LossConfig":
        """CellViT's published weights (Hörst et al., 2024), with `parity` its quirks as well."""
        return cls(dice_sum=True, double_softmax=parity, transposed_gradient=parity)


_DEFAULT = LossConfig()


def focal_tversky(probability: Tensor, target: Tensor) -> Tensor:
    """(B,) Focal Tversky loss (Abraham & Khan, 2019) with alpha 0.7, beta 0.3, gamma 4/3.

    Parameters
    ----------
    probability, target
        (B, C, H, W) float; target is one-hot.
    """
    hit, miss, false = _overlap(probability, target)
    tversky = (hit + 1e-6) / (hit + 0.7 * miss + 0.3 * false + 1e-6)
    # the power has an infinite slope at 0, where a class is absent and ruled out
    return ((1 - tversky).clamp_min(1e-6) ** 0.75).mean(1)  # exponent 1 / gamma


def dice(probability: Tensor, target: Tensor) -> Tensor:
    """(B,) soft Dice loss, mean over the channels, background included.

    Parameters
    ----------
    probability, target
        (B, C, H, W) float; target is one-hot.
    """
    hit, miss, false = _overlap(probability, target)
    return (1 - (2 * hit + 1e-3) / (2 * hit + miss + false + 1e-3)).mean(1)


def _overlap(probability: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Soft true positives, false negatives and false positives, each (B, C)."""
    hit = (probability * target).sum((2, 3))
    miss = (target * (1 - probability)).sum((2, 3))
    false = ((1 - target) * probability).sum((2, 3))
    return hit, miss, false


def gradient_kernels(device: torch.device) -> Tensor:
    """(2, 1, 5, 5) float32, HoVer-Net's derivative kernels along x, then along y."""
    steps = torch.arange(-2, 3, dtype=torch.float32, device=device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    squared = x**2 + y**2
    squared[2, 2] = 1e-15  # 0 / 1e-15: the centre weighs nothing
    return torch.stack([x / squared, y / squared])[:, None]


def gradient_error(
    hv: Tensor, target: Tensor, foreground: Tensor, transposed: bool = False
) -> Tensor:
    """(B,) mean squared error of the gradients of the HV maps inside nuclei.

    Channel 0 is differentiated along x and channel 1 along y; it is the gradient's jump between
    touching nuclei that separates them.

    Parameters
    ----------
    hv, target
        (B, 2, H, W) float.
    foreground
        (B, H, W) float, 1 inside nuclei.
    transposed
        Channel 0 along y and channel 1 along x instead, as HoVer-Net does.
    """
    kernels = gradient_kernels(hv.device)
    kernels = kernels.flip(0) if transposed else kernels
    difference = F.conv2d(hv - target, kernels, padding=2, groups=2)
    masked = difference**2 * foreground[:, None]
    return masked.sum((1, 2, 3)) / (2 * foreground.sum((1, 2)) + 1e-8)


def cellvit_loss(
    output: dict[str, Tensor], target: dict[str, Tensor], config: LossConfig = _DEFAULT
) -> dict[str, Tensor]:
    """The weighted terms of one batch, in float32 whatever the precision of the network.

    Parameters
    ----------
    output
        Logits of the network.
    target
        `foreground` (B, H, W) bool-like, `hv` (B, 2, H, W), `types` (B, H, W) int,
        `hv_weight` (B,) and `type_weight` (B,): 0 where an image has no such label; for a tissue
        head `tissue` (B,) int, -1 where it is not known.
    config
        Weights.

    Returns
    -------
    dict
        `np`, `hv`, `nt`, with a tissue head `tissue`, with a regression branch `regression`, with
        a token head `token`: scalars, their sum is the loss. Each is a sum over the images that
        have the label, divided by the number of all, so that few labels do not weigh more.
    """
    with torch.autocast(output["hv_map"].device.type, enabled=False):
        foreground = target["foreground"].float()
        np_target = torch.stack([1 - foreground, foreground], 1)
        weights = config.np_focal_tversky, config.np_dice, config.np_cross_entropy
        np_loss = _region_loss(output["nuclei_binary_map"], np_target, weights, config)
        classes = output["nuclei_type_map"].shape[1]
        nt_target = F.one_hot(target["types"], classes).permute(0, 3, 1, 2).float()
        weights = config.nt_focal_tversky, config.nt_dice, config.nt_cross_entropy
        of_classes = _class_weights(config, classes, output["nuclei_type_map"].device)
        nt_loss = _region_loss(output["nuclei_type_map"], nt_target, weights, config, of_classes)
        hv_loss = _hv_loss(output["hv_map"].float(), target["hv"], foreground, config)
        terms = {
            "np": np_loss.mean(),
            "hv": _weighted_mean(hv_loss, target["hv_weight"]),
            "nt": _weighted_mean(nt_loss, target["type_weight"]),
        }
        if "tissue_types" in output and "tissue" in target:
            terms["tissue"] = config.tissue * _tissue_loss(output["tissue_types"], target["tissue"])
        if "token_types" in output:
            entropy = token_entropy(output["token_types"], nt_target, of_classes)
            terms["token"] = config.token * _weighted_mean(entropy, target["type_weight"])
        if "regression_map" in output:
            squared = _squared_error(output["regression_map"].float(), target["hv"])
            terms["regression"] = config.regression * _weighted_mean(squared, target["hv_weight"])
    return terms


def token_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """(B,) cross-entropy of the token head with the classes of nuclei in each patch.

    A token is weighted by the pixels of nuclei in its patch; one without nuclei counts nothing.

    Parameters
    ----------
    logits
        (B, C, h, w) of the token head; background is never the right class.
    target
        (B, C, H, W) one-hot, background first.
    weights
        (C,) of the classes.
    """
    share = F.adaptive_avg_pool2d(target, (logits.shape[2], logits.shape[3]))[:, 1:]
    if weights is not None:
        share = share * weights[1:, None, None]
    entropy = -(share * logits.float().log_softmax(1)[:, 1:]).sum((1, 2, 3))
    return entropy / share.sum((1, 2, 3)).clamp_min(1e-6)


def _class_weights(config: LossConfig, classes: int, device: torch.device) -> Tensor | None:
    if not config.nt_classes:
        return None
    if len(config.nt_classes) != classes:
        raise RegdataError(
            f"expected loss.nt_classes with {classes} weights, one for each of the network's "
            f"classes, background first, got {len(config.nt_classes)}"
        )
    return torch.tensor(config.nt_classes, device=device)


def _region_loss(
    logits: Tensor,
    target: Tensor,
    weights: tuple[float, float, float],
    config: LossConfig,
    of_classes: Tensor | None = None,
) -> Tensor:
    """Weighted Focal Tversky, Dice and cross-entropy, (B,), of (B, C, H, W)."""
    logits = logits.float()
    probability = logits.softmax(1)
    loss = torch.zeros(len(logits), device=logits.device)
    if weights[0]:
        sharp = probability.softmax(1) if config.double_softmax else probability
        loss = loss + weights[0] * focal_tversky(sharp, target)
    if weights[1]:
        channels = logits.shape[1] if config.dice_sum else 1
        loss = loss + weights[1] * channels * dice(probability, target)
    if weights[2]:
        entropy = F.cross_entropy(logits, target.argmax(1), of_classes, reduction="none")
        loss = loss + weights[2] * entropy.mean((1, 2))
    return loss


def _hv_loss(hv: Tensor, target: Tensor, foreground: Tensor, config: LossConfig) -> Tensor:
    gradient = gradient_error(hv, target, foreground, config.transposed_gradient)
    return config.hv_mse * _squared_error(hv, target) + config.hv_gradient * gradient


def _squared_error(values: Tensor, target: Tensor) -> Tensor:
    return ((values - target) ** 2).mean((1, 2, 3))


def _tissue_loss(logits: Tensor, tissue: Tensor) -> Tensor:
    entropy = F.cross_entropy(logits.float(), tissue, ignore_index=-1, reduction="sum")
    return entropy / len(tissue)


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / len(weights)
