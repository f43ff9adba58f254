"""What backbone and decoder widths are worth: short trainings of several networks.

    python benchmarks/widths.py [NAME ...] --backbones DIR [--steps 130] [--data DIR] [--list]

Every network is trained by docs/recipes/default.toml with fewer steps, and scored on images held
out of training, none of them of CoNSeP test. DIR holds the ImageNet weights that the recipe names,
and those of Lite0. CPU seconds are those of one 1024 px tile in bf16, all threads together.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from data import data_folder
from tiny import parsed, shortened_recipe

from regdata.annotated.sources import load_images, split_held_out
from regdata.cellvit.networks.config import CellViTConfig, Decoder, StemEncoder
from regdata.cellvit.networks.fold import fold
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.weights import Model, fast_precision, load_model
from regdata.cellvit.tiles.inference import predict_batch
from regdata.studies.watch import scores_of
from regdata.train.segmentation.recipe import Recipe, read_recipe
from regdata.train.segmentation.training import train_segmentation

RECIPE = Path(__file__).parents[1] / "docs" / "recipes" / "default.toml"
FILES = {
    "efficientnet_lite0": "efficientnet-lite0-57934424.pth",
    "efficientnet_lite2": "efficientnet-lite2-9656183e.pth",
}
HELD_OUT = {"train": ("train_1.", "train_12.", "train_27.")}
WIDE = Decoder()
NARROW = Decoder(image=(8, 8), branch=(128, 64, 32, 8), depths=(1, 1, 1))
LITE0 = StemEncoder(backbone="efficientnet_lite0", stem_widths=(16, 24, 40), depth=4)
LITE2 = StemEncoder(backbone="efficientnet_lite2", stem_widths=(16, 24, 48), depth=4)
NETWORKS = {
    "plain, wide": (StemEncoder(), WIDE),
    "lite0, narrow": (LITE0, NARROW),
    "lite2, narrow": (LITE2, NARROW),
    "lite2, wide": (LITE2, WIDE),
}


def recipe_of(name: str, base: Recipe, backbones: Path, steps: int) -> Recipe:
    """The recipe of one network of the study."""
    encoder, decoder = NETWORKS[name]
    start = FILES.get(encoder.backbone)
    network = base.network.model_copy(
        update={
            "encoder": backbones / start if start else None,
            "settings": {
                "encoder": encoder.model_dump(),
                "decoder": decoder.model_dump(),
                "token_head": False,
            },
        }
    )
    schedule = base.schedule.model_copy(update={"steps": steps, "warm_up": 25, "decay": 0.6})
    sources = tuple(
        s.model_copy(update={"held_out": HELD_OUT.get(s.path.name, s.held_out)})
        for s in base.sources
    )
    return base.model_copy(
        update={
            "network": network,
            "schedule": schedule,
            "sources": sources,
            "optimiser": base.optimiser.model_copy(update={"ema": 0.97}),
            "augment": base.augment.model_copy(update={"scale": (0.75, 1.35)}),
        }
    )


def cpu_seconds(config: CellViTConfig) -> float:
    """Of one 1024 px tile, best of three."""
    device = torch.device("cpu")
    network = fold(CellViT(config).eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = Model(network, "", device, fast_precision(device))
    image = np.full((1024, 1024, 3), 200, np.uint8)
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        predict_batch(model, [image])
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks of the study; all by default")
    parser.add_argument("--backbones", type=Path, default=RECIPE.parent)
    parser.add_argument("--steps", type=int, default=130)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--list", action="store_true", help="print the names alone")
    arguments = parsed(parser, steps=2, names=["plain, wide"])
    if arguments.list:
        print("\n".join(NETWORKS))
        return
    base = read_recipe(RECIPE, arguments.data or data_folder())
    if arguments.tiny:
        base = shortened_recipe(base)
    print("network          parameters  CPU s  s/step   Dice    bPQ     F1", flush=True)
    for name in arguments.names or NETWORKS:
        recipe = recipe_of(name, base, arguments.backbones, arguments.steps)
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            path = train_segmentation(recipe, Path(folder), torch.device("cpu"))
            step = (time.perf_counter() - start) / arguments.steps
            model = load_model(path, "cpu")
        held_out = [
            image for s in recipe.sources for image in split_held_out(load_images(s), s.held_out)[1]
        ]
        scores = scores_of(model.network, held_out)
        parameters = sum(p.numel() for p in CellViT(model.config).parameters())
        spent = cpu_seconds(model.config)
        row = f"{name:15s} {parameters:11,d} {spent:6.2f} {step:7.2f}"
        print(row, *(f"{value:6.3f}" for value in scores.values()), flush=True)


if __name__ == "__main__":
    main()
