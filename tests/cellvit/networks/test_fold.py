import copy

import pytest
import torch
from networks import BACKBONE, TINY
from torch import nn

from regdata.cellvit.networks.config import CellViTConfig, Decoder, SamEncoder, VitEncoder
from regdata.cellvit.networks.fold import UpConv, fold
from regdata.cellvit.networks.network import CellViT

DECODER = Decoder(
    image=(4, 8), skips=((8, 6, 8), (8, 12), (10,)), branch=(10, 12, 8, 8), depths=(3, 2, 2)
)
VIT = VitEncoder(width=12, depth=4, heads=2, image=32, taps=(1, 2, 3, 4))
NETWORKS = {
    "stem": TINY,
    "backbone": BACKBONE,
    "vit": CellViTConfig(encoder=VIT, decoder=DECODER, tissues=3, regression=True),
    "patches of 14": CellViTConfig(
        encoder=VIT.model_copy(update={"patch": 14, "image": 28, "mlp": "swiglu", "registers": 2}),
        decoder=DECODER,
    ),
    "whole patches": CellViTConfig(
        encoder=VIT.model_copy(update={"patch": 14, "image": 28, "whole_patches": True}),
        decoder=DECODER,
    ),
    "sam": CellViTConfig(
        encoder=SamEncoder(
            width=12, depth=4, heads=2, image=64, window=2, neck=6, taps=(1, 2, 3, 4)
        ),
        decoder=DECODER,
        tissues=3,
    ),
}


def with_statistics(network: CellViT) -> CellViT:
    """With batch norms that do something, biases included."""
    torch.manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.running_mean, module.weight, module.bias):
                nn.init.normal_(value, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.bias is not None:
            nn.init.normal_(module.bias)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_network_is_the_same_function(name: str) -> None:
    network = with_statistics(CellViT(NETWORKS[name]))
    folded = fold(copy.deepcopy(network))
    side = 56 if name == "patches of 14" else 64
    image = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        expected, found = network(image), folded(image)
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert (value - found[key]).abs().max() < 2e-5 * value.abs().max(), key


@pytest.mark.parametrize("name", ["vit", "backbone"])
def test_no_batch_norm_and_no_lone_upsampling_stays(name: str) -> None:
    folded = fold(with_statistics(CellViT(NETWORKS[name])))
    left = [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d | nn.ConvTranspose2d)]
    assert left == []


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (6, 3)])
def test_up_and_convolution_in_one_also_at_the_border(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    up, conv = nn.ConvTranspose2d(5, 4, 2, 2), nn.Conv2d(4, 3, 3, padding=1)
    nn.init.normal_(up.bias, 3.0)
    x = torch.randn(2, 5, *size)
    with torch.inference_mode():
        assert torch.allclose(UpConv(up, conv)(x), conv(up(x)), atol=1e-5)
