"""Forward passes: ViT-256 in the order of work of the published implementation, and ours.

The straightforward way is float32 on NCHW maps; batch norm stands on its own; the skips are worked
out anew for each of the three branches; attention is a product, a softmax and a product. The
network is of the published shape with made-up weights, which find no nuclei: how far bf16 moves
nuclei is therefore measured with the built-in model on real images.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from data import data_folder, load_annotated
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from regdata.cellvit.networks.checkpoint import load_checkpoint
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.weights import Model, load_model
from regdata.cellvit.tiles.inference import detect, predict_batch
from regdata.eval.metrics.rates import precision_recall_f1

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from networks import filled, published

ARCHS = {"vit256": "CellViT256", "sam_h": "CellViTSAM"}
PRECISIONS = {"vit256": torch.float32, "vit256-bf16": torch.bfloat16}
MUST = {"vit256": "45 CPU-s, ratio 0.6", "vit256-bf16": "18 CPU-s, ratio 0.24"}
MAPS = ("nuclei_binary_map", "hv_map", "nuclei_type_map")
Row = tuple[str, str, str]
"""What, what it must be, what was measured."""
Outputs = dict[str, Tensor]


def made_up_file(folder: Path, variant: str) -> Path:
    """A file as published, of known numbers."""
    path = folder / f"{variant}.pth"
    torch.save({"arch": ARCHS[variant], "model_state_dict": filled(published(variant))}, path)
    return path


def tile(side: int) -> Tensor:
    """One normalised image of noise, (1, 3, side, side)."""
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def straightforward(network: CellViT, image: Tensor) -> Outputs:
    """What `network(image)` gives, the skips worked out once per branch."""
    encoded = network.encoder(image)
    z1, z2, z3, z4 = (z.contiguous() for z in (*encoded.maps, encoded.tokens))
    out = {"tokens": z4}
    for name, branch in (
        ("nuclei_binary_map", network.nuclei_binary_map_decoder),
        ("hv_map", network.hv_map_decoder),
        ("nuclei_type_map", network.nuclei_type_maps_decoder),
    ):
        skips = [
            network.decoder0(image),
            network.decoder1(z1),
            network.decoder2(z2),
            network.decoder3(z3),
        ]
        out[name] = branch(z4, skips)
    out["tissue_types"] = network.tissue_head(encoded.pooled)
    return out


def plain_network(path: Path) -> CellViT:
    """The network as it was trained, with attention in plain products."""
    network = load_checkpoint(path)
    for block in network.encoder.blocks:
        block.attn.fused_attn = False
    return network


def ways(path: Path, wanted: list[str]) -> dict[str, Callable[[Tensor], Outputs]]:
    """The straightforward run of an image, and ours in each wanted precision."""
    model, plain = load_model(path, device="cpu", exact=True), plain_network(path)

    def ours(image: Tensor, precision: torch.dtype) -> Outputs:
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            out: Outputs = model.network(image.contiguous(memory_format=torch.channels_last))
        return out

    runs = {name: partial(ours, precision=PRECISIONS[name]) for name in wanted}
    return {"plain": partial(straightforward, plain), **runs}


def differences(reference: Outputs, ours: Outputs) -> str:
    """Largest and mean difference of the maps, relative to each map's largest value."""
    told = []
    for name in MAPS:
        expected = reference[name]
        off = (ours[name].float() - expected).abs() / expected.abs().max()
        told.append((float(off.max()), float(off.mean())))
    largest, mean = (max(column) for column in zip(*told, strict=True))
    return f"maps differ by at most {largest:.1e}, {mean:.1e} on average, of their maximum"


@torch.inference_mode()
def vit256_rows(names: list[str], side: int, repeat: int) -> list[Row]:
    """CPU seconds of one tile, all ways alternating in one run; medians."""
    with tempfile.TemporaryDirectory() as folder:
        runs = ways(made_up_file(Path(folder), "vit256"), names)
    for run in runs.values():
        run(tile(256))
    spent: dict[str, list[float]] = {name: [] for name in runs}
    outputs = {}
    for _ in range(repeat):
        for name, run in runs.items():
            start = time.process_time()
            outputs[name] = run(tile(side))
            spent[name].append(time.process_time() - start)
    seconds = {name: statistics.median(times) for name, times in spent.items()}
    return [
        (
            f"ViT-256, one {side} tile, {str(PRECISIONS[name]).removeprefix('torch.')}",
            MUST[name],
            f"{seconds[name]:.1f} CPU-s, straightforward {seconds['plain']:.1f}, ratio "
            f"{seconds[name] / seconds['plain']:.2f}; "
            f"{differences(outputs['plain'], outputs[name])}",
        )
        for name in names
    ]


def same_nuclei(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int64]:
    """Nuclei in `a`, in `b`, and pairs of them with IoU > 0.5, which are one to one."""
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    joint = np.bincount(a.ravel() * np.int64(columns) + b.ravel(), minlength=rows * columns)
    joint = joint.reshape(rows, columns)
    union = joint.sum(1, keepdims=True) + joint.sum(0, keepdims=True) - joint
    pairs = (joint > 0.5 * union)[1:, 1:].sum()
    return np.array([rows - 1, columns - 1, pairs])


def bf16_row() -> Row:
    """F1 of the built-in model's nuclei in bf16 against float32 on real images."""
    what, must = "built-in model, nuclei of bf16 against float32, CoNSeP test", "F1 0.99"
    if "REGDATA_DATA" not in os.environ:
        return what, must, "not measured (set REGDATA_DATA to the folder of real images)"
    exact = load_model(device="cpu", exact=True)
    quick = replace(exact, precision=torch.bfloat16)
    counts = [
        same_nuclei(detect(exact, image.rgb)[0], detect(quick, image.rgb)[0])
        for image in load_annotated(data_folder() / "consep/test")
    ]
    ours, theirs, pairs = np.sum(counts, 0).tolist()
    f1 = precision_recall_f1(pairs, ours, theirs, empty=0.0)[2]
    worst = min(precision_recall_f1(c[2], c[0], c[1], empty=0.0)[2] for c in counts)
    return what, must, f"F1 {f1:.4f} ({ours:,} and {theirs:,} nuclei), worst image {worst:.4f}"


def model_with_made_up_weights(variant: str) -> Model:
    """A published network on the fastest device, in its usual precision there."""
    with tempfile.TemporaryDirectory() as folder:
        return load_model(made_up_file(Path(folder), variant))


def default_rows(side: int, repeat: int) -> list[Row]:
    """The built-in model, from the pixels of a tile to its maps."""
    exact = load_model(device="cpu", exact=True)
    rgb = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    rows = []
    for precision in (torch.float32, torch.bfloat16):
        model, spent = replace(exact, precision=precision), []
        for _ in range(repeat + 1):
            start = time.process_time()
            predict_batch(model, [rgb])
            spent.append(time.process_time() - start)
        name = str(precision).removeprefix("torch.")
        told = f"{statistics.median(spent[1:]):.2f} CPU-s"
        rows.append((f"built-in model, one {side} tile, {name}", "4 CPU-s", told))
    return rows


@torch.inference_mode()
def share_of_matrix_rate(model: Model, side: int, tiles_per_second: float) -> str:
    """The forward pass's arithmetic per second against that of large bf16 products, on a GPU."""
    image = torch.zeros(1, 3, side, side, device=model.device)
    with FlopCounterMode(display=False) as counter, torch.autocast("cuda", model.precision):
        model.network(image)
    done = counter.get_total_flops() * tiles_per_second
    a = torch.randn(8192, 8192, device=model.device, dtype=torch.bfloat16)
    (a @ a).sum().item()
    start = time.perf_counter()
    for _ in range(50):
        b = a @ a
    b.sum().item()
    rate = 50 * 2 * 8192**3 / (time.perf_counter() - start)
    return f"; forward {done / 1e12:.0f} TFLOP/s, {done / rate:.0%} of {rate / 1e12:.0f}"
