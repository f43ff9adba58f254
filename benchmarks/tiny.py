"""The tiny run of every benchmark: all of a script on the smallest input, in seconds.

Its numbers mean nothing; it shows that the script still works.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from regdata.train.segmentation.recipe import Recipe

SIDE = 544  # px, of every picture


def parsed(
    parser: argparse.ArgumentParser, real_data: bool = False, **tiny: Any
) -> argparse.Namespace:
    """The arguments of a script; with --tiny those named here have these values.

    Pictures are simulated, unless the script needs `real_data`: slides of one section, for example.
    """
    parser.add_argument("--tiny", action="store_true", help="the smallest input, in seconds")
    arguments = parser.parse_args()
    if arguments.tiny:
        for name, value in tiny.items():
            setattr(arguments, name, value)
        if not real_data:
            simulated_data()
    return arguments


def shortened_recipe(recipe: "Recipe") -> "Recipe":
    """A recipe with the smallest steps, and without weights whose file need not be there."""
    network = recipe.network.model_copy(update={"encoder": None})
    return recipe.model_copy(update={"network": network, "batch": 1, "crop": 64})


def simulated_data() -> Path:
    """A data folder of two simulated pictures a set, which takes the place of REGDATA_DATA."""
    folder = Path(tempfile.mkdtemp(prefix="tiny"))
    os.environ["REGDATA_DATA"] = str(folder)
    for k, (name, stems) in enumerate(_STEMS.items()):
        for number, stem in enumerate(stems):
            _write(folder / name, stem, 10 * k + number)
    return folder


# one picture of each set of the recipe is held out, by the names that the recipe gives
_STEMS = {
    "consep/train": ("train_1", "train_2"),
    "consep/test": ("test_1", "test_2"),
    "nuinsseg": ("7", "8"),
    "tnbc": ("01_1", "11_1"),
}


def _write(folder: Path, stem: str, seed: int) -> None:
    """An annotated picture of simulated tissue."""
    from regdata.simulate.tissue import render_tissue

    tissue = render_tissue((SIDE, SIDE), seed)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / f"{stem}.png"), tissue.rgb[..., ::-1])
    kinds = np.concatenate([[0], tissue.kinds + 1])[tissue.instances]
    path = folder / "labels" / f"{stem}.npz"
    np.savez_compressed(path, inst_map=tissue.instances, type_map=kinds.astype(np.uint8))
