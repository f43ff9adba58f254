"""Networks for tests: a tiny one, and published files made of known numbers."""

import itertools
import math
import zlib
from collections.abc import Callable

import numpy as np
import torch

from regdata.cellvit.networks.config import CellViTConfig, Decoder, StemEncoder

TINY = CellViTConfig(
    name="tiny",
    encoder=StemEncoder(width=32, depth=1, heads=2, stem_widths=(4, 4, 8)),
    decoder=Decoder(image=(4, 4), skips=((4,), (8,), (8,)), branch=(8, 8, 4, 4)),
)

BACKBONE = TINY.model_copy(
    update={
        "name": "tiny backbone",
        "encoder": StemEncoder(
            backbone="efficientnet_lite0", width=32, depth=1, heads=2, stem_widths=(16, 24, 40)
        ),
        "token_head": True,
    }
)
"""With an EfficientNet-Lite, which has no smaller sibling, and a token head."""

Shapes = dict[str, tuple[int, ...]]


def fill(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A value for an entry that depends on its name and shape alone."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    draw = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    if name.endswith("running_var"):
        return (0.5 + draw.random(shape)).astype(np.float32)
    value = draw.standard_normal(shape)
    if name.endswith("gamma"):
        return (0.1 + 0.02 * value).astype(np.float32)
    if any(part in name for part in ("pos_embed", "cls_token", "reg_token", "rel_pos")):
        return (0.02 * value).astype(np.float32)
    if len(shape) <= 1:
        return (0.1 * value + (1.0 if name.endswith("weight") else 0.0)).astype(np.float32)
    return (value / math.sqrt(math.prod(shape[1:]))).astype(np.float32)


def image(height: int, width: int) -> torch.Tensor:
    """One normalised image (1, 3, height, width)."""
    seed = zlib.crc32(f"image {height}x{width}".encode())
    draw = np.random.Generator(np.random.PCG64(seed))
    return torch.from_numpy((0.5 * draw.standard_normal((1, 3, height, width))).astype(np.float32))


def filled(shapes: Shapes) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(fill(name, s))) for name, s in shapes.items()}


def on_meta(shapes: Shapes) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def published(variant: str, classes: int = 6, tissues: int = 19, binary: int = 2) -> Shapes:
    """Entries and shapes of a published CellViT file, written down from its description."""
    width, depth, patch = {
        "vit256": (384, 12, 16),
        "sam_b": (768, 12, 16),
        "sam_l": (1024, 24, 16),
        "sam_h": (1280, 32, 16),
        "uni": (1024, 24, 16),
        "virchow": (1280, 32, 14),
        "virchow2": (1280, 32, 14),
    }[variant]
    out: Shapes = {}
    if variant.startswith("sam"):
        _sam(out, width, depth, tissues)
    else:
        gated = variant.startswith("virchow")
        _vit(out, width, depth, (patch, tissues, 4 if variant == "virchow2" else 0), gated)
    decoders = {"nuclei_binary_map": binary, "hv_map": 2, "nuclei_type_maps": classes}
    _decoder(out, width, lambda i: f"decoder{i}", {f"{k}_decoder": v for k, v in decoders.items()})
    return out


def histoplus(patches: int = 1024, prefix: str = "backbone.feature_extractor.model.") -> Shapes:
    """Entries and shapes of a HistoPLUS file; real files have a shorter prefix and a norm."""
    out: Shapes = {f"{prefix}{k}": (1, n, 768) for k, n in (("cls_token", 1), ("reg_token", 4))}
    out |= {f"{prefix}pos_embed": (1, patches, 768)}
    out |= _layer(f"{prefix}patch_embed.proj", 768, 3, 14, 14)
    for i in range(12):
        block = f"{prefix}blocks.{i}"
        _attention(out, block, 768)
        out |= {f"{block}.ls{k}.gamma": (768,) for k in (1, 2)}
        out |= _layer(f"{block}.mlp.w12", 4096, 768) | _layer(f"{block}.mlp.w3", 768, 2048)
    branches = {"np_branch": 2, "hv_branch": 2, "tp_branch": 15}
    _decoder(out, 768, lambda i: f"neck.necks.{i}", branches)
    return out


def _vit(out: Shapes, width: int, depth: int, sizes: tuple[int, int, int], gated: bool) -> None:
    patch, tissues, registers = sizes
    side = 224 // patch
    out |= {"encoder.cls_token": (1, 1, width)}
    if registers:
        out |= {"encoder.reg_token": (1, registers, width)}
    out |= {"encoder.pos_embed": (1, side * side + 1 + registers, width)}
    out |= _layer("encoder.patch_embed.proj", width, 3, patch, patch)
    hidden, inner = (6832, 3416) if gated else (4 * width, 4 * width)
    for i in range(depth):
        block = f"encoder.blocks.{i}"
        _attention(out, block, width)
        out |= _layer(f"{block}.mlp.fc1", hidden, width) | _layer(f"{block}.mlp.fc2", width, inner)
        if width > 384:
            out |= {f"{block}.ls{k}.gamma": (width,) for k in (1, 2)}
    out |= _layer("encoder.norm", width)
    if tissues:
        out |= _layer("encoder.head", tissues, width)


def _sam(out: Shapes, width: int, depth: int, tissues: int) -> None:
    head = 80 if width == 1280 else 64
    everywhere = {12: (2, 5, 8, 11), 24: (5, 11, 17, 23), 32: (7, 15, 23, 31)}[depth]
    out |= {"encoder.pos_embed": (1, 64, 64, width)}
    out |= _layer("encoder.patch_embed.proj", width, 3, 16, 16)
    for i in range(depth):
        block = f"encoder.blocks.{i}"
        _attention(out, block, width)
        reach = 127 if i in everywhere else 27
        out |= {f"{block}.attn.rel_pos_{axis}": (reach, head) for axis in "hw"}
        out |= _layer(f"{block}.mlp.lin1", 4 * width, width)
        out |= _layer(f"{block}.mlp.lin2", width, 4 * width)
    out |= {"encoder.neck.0.weight": (256, width, 1, 1), "encoder.neck.2.weight": (256, 256, 3, 3)}
    out |= _layer("encoder.neck.1", 256) | _layer("encoder.neck.3", 256)
    if tissues:
        out |= _layer("classifier_head", tissues, 256)


def _attention(out: Shapes, block: str, width: int) -> None:
    out |= _layer(f"{block}.norm1", width) | _layer(f"{block}.norm2", width)
    out |= _layer(f"{block}.attn.qkv", 3 * width, width) | _layer(
        f"{block}.attn.proj", width, width
    )


def _decoder(out: Shapes, width: int, skip: Callable[[int], str], branches: dict[str, int]) -> None:
    first, second, bottom = (256, 128, 312) if width < 512 else (512, 256, 512)
    for i, (a, b) in enumerate(((3, 32), (32, 64))):
        out |= _conv(f"{skip(0)}.{i}.block", a, b)
    ways = {1: (width, first, second, 128), 2: (width, first, 256), 3: (width, bottom)}
    for k, way in ways.items():
        for i, (a, b) in enumerate(itertools.pairwise(way)):
            out |= _up(f"{skip(k)}.{i}.block.0", a, b) | _conv(f"{skip(k)}.{i}.block", b, b, 1)
    for branch, channels in branches.items():
        out |= _up(f"{branch}.bottleneck_upsampler", width, bottom)
        levels = {"decoder3": (bottom, 256, 3), "decoder2": (256, 128, 2), "decoder1": (128, 64, 2)}
        for name, (a, b, count) in levels.items():
            for i in range(count):
                out |= _conv(f"{branch}.{name}_upsampler.{i}.block", a if i else 2 * a, a)
            out |= _up(f"{branch}.{name}_upsampler.{count}", a, b)
        for i, (a, b) in enumerate(((128, 64), (64, 64))):
            out |= _conv(f"{branch}.decoder0_header.{i}.block", a, b)
        out |= _layer(f"{branch}.decoder0_header.2", channels, 64, 1, 1)


def _layer(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _up(name: str, a: int, b: int) -> Shapes:
    return {f"{name}.weight": (a, b, 2, 2), f"{name}.bias": (b,)}


def _conv(name: str, a: int, b: int, at: int = 0) -> Shapes:
    out = _layer(f"{name}.{at}", b, a, 3, 3) | _layer(f"{name}.{at + 1}", b)
    out |= {f"{name}.{at + 1}.running_{k}": (b,) for k in ("mean", "var")}
    return out | {f"{name}.{at + 1}.num_batches_tracked": ()}
