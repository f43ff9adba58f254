"""The networks give the numbers that the published implementations give."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import Shapes, filled, histoplus, image, published

from regdata.cellvit.networks.checkpoint import load_checkpoint

GOLDEN = os.environ.get("REGDATA_GOLDEN")
OUTPUTS = {"np": "nuclei_binary_map", "hv": "hv_map", "tp": "nuclei_type_map"}
CASES = ["vit256_256x256", "vit256_192x320", "sam_b_256x256", "uni_224x224", "virchow_256x256"]
CASES += ["histoplus_40x_448x448"]

# ViT-256 on a 32 x 48 px image: entries filled by name, so that every number is known. The same
# code gives the recorded outputs of the published implementation (the test above) on larger ones.
SMALL = {
    "nuclei_binary_map": (-0.097533, 0.078443, 0.382051),
    "hv_map": (0.000977, 0.110661, 0.370688),
    "nuclei_type_map": (0.085163, 0.123809, 0.482461),
    "tokens": (-0.060044, 4.024699, 15.152772),
    "tissue_types": (-0.110935, 1.008451, 2.032362),
}
"""Mean, standard deviation and largest absolute value of each output."""


@pytest.mark.skipif(GOLDEN is None, reason="REGDATA_GOLDEN names no folder of recorded outputs")
@pytest.mark.parametrize("case", CASES)
def test_outputs_of_the_published_networks(case: str, tmp_path: Path) -> None:
    recorded = np.load(Path(str(GOLDEN)) / f"{case}.npz")
    variant, size = case.replace("_40x", "").rsplit("_", 1)
    shapes = histoplus() if variant == "histoplus" else published(variant)
    height, width = map(int, size.split("x"))
    out = outputs(shapes, tmp_path, (height, width))
    for name in (n for n in recorded if "__" not in n):
        stride = int(recorded[f"{name}__stride"])
        ours = out[OUTPUTS.get(name, name)]
        if name == "tokens":
            ours = ours[:, ::stride]
        elif ours.ndim == 4:
            ours = ours[..., ::stride, ::stride]
        assert ours.shape == recorded[name].shape
        assert np.abs(ours - recorded[name]).max() < 1e-4 * recorded[f"{name}__stats"][2], name


def test_outputs_of_a_small_image(tmp_path: Path) -> None:
    out = outputs(published("vit256"), tmp_path, (32, 48))
    assert out.keys() == SMALL.keys()
    for name, expected in SMALL.items():
        value = out[name]
        assert np.allclose((value.mean(), value.std(), np.abs(value).max()), expected, atol=1e-5)


def outputs(shapes: Shapes, folder: Path, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """What a file of these entries gives on the image of that size."""
    file = folder / "published.pth"
    state = filled(shapes)
    torch.save({"model_state_dict": state} if "decoder0.0.block.0.weight" in state else state, file)
    del state
    network = load_checkpoint(file)
    file.unlink()
    with torch.inference_mode():
        return {name: value.numpy() for name, value in network(image(*size)).items()}
