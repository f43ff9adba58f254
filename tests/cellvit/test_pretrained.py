from pathlib import Path
from typing import Any

import pytest
import torch
from networks import TINY
from safetensors.torch import save_file
from torch import Tensor

from regdata.cellvit.config import CellViTConfig, SamEncoder, VitEncoder
from regdata.cellvit.network import CellViT
from regdata.cellvit.pretrained import load_encoder
from regdata.errors import RegdataError

TAPS = (1, 2, 3, 4)
VIT = CellViTConfig(
    encoder=VitEncoder(width=12, depth=4, heads=2, image=32, taps=TAPS), decoder=TINY.decoder
)
SAM = CellViTConfig(
    encoder=SamEncoder(width=12, depth=4, heads=2, image=32, window=2, neck=6, taps=TAPS),
    decoder=TINY.decoder,
)


def network(config: CellViTConfig, seed: int) -> CellViT:
    torch.manual_seed(seed)
    # the decoder takes no part here: the built-in one's widths would not fit
    skips = ((4, 4, 4), (8, 8), (8,))
    return CellViT(
        config.model_copy(update={"decoder": TINY.decoder.model_copy(update={"skips": skips})})
    )


def hipt(state: dict[str, Tensor]) -> dict[str, Any]:
    named = {f"module.backbone.{k}": v for k, v in state.items()}
    return {"student": {}, "teacher": named | {"module.head.mlp.0.weight": torch.zeros(1)}}


def meta_sam(state: dict[str, Tensor]) -> dict[str, Any]:
    named = {k.replace("mlp.fc", "mlp.lin"): v for k, v in state.items()}
    return {f"image_encoder.{k}": v for k, v in named.items()} | {"mask_decoder.x": torch.zeros(1)}


def timm(state: dict[str, Tensor]) -> dict[str, Any]:
    return state | {"head.weight": torch.zeros(2, 2)}


@pytest.mark.parametrize(
    ("config", "style"), [(VIT, hipt), (SAM, meta_sam), (VIT, timm), (VIT, dict)]
)
def test_published_encoders_load_completely(
    config: CellViTConfig, style: Any, tmp_path: Path
) -> None:
    donor, taker = network(config, 1), network(config, 2)
    before = taker.decoder0[0].block[0].weight.clone()  # type: ignore[index,union-attr]
    torch.save(style(donor.encoder.state_dict()), tmp_path / "x.pth")
    load_encoder(taker, tmp_path / "x.pth")
    for name, value in donor.encoder.state_dict().items():
        assert torch.equal(taker.encoder.state_dict()[name], value), name
    assert torch.equal(taker.decoder0[0].block[0].weight, before)  # type: ignore[index,union-attr]


def test_safetensors_too(tmp_path: Path) -> None:
    donor, taker = network(VIT, 1), network(VIT, 2)
    save_file(donor.encoder.state_dict(), tmp_path / "x.safetensors")
    load_encoder(taker, tmp_path / "x.safetensors")
    assert torch.equal(taker.encoder.cls_token, donor.encoder.cls_token)  # type: ignore[arg-type]


def test_no_matching_entry_is_an_error(tmp_path: Path) -> None:
    """The published code loads nothing from Meta's file, and says nothing."""
    torch.save({"something.else": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(RegdataError, match=r"no entry of the encoder .* came something.else"):
        load_encoder(network(VIT, 1), tmp_path / "x.pth")


def test_half_an_encoder_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    donor, taker = network(VIT, 1), network(VIT, 2)
    state = donor.encoder.state_dict()
    del state["blocks.3.attn.qkv.weight"]
    torch.save(state, tmp_path / "x.pth")
    before = taker.encoder.cls_token.clone()  # type: ignore[operator,union-attr]
    with pytest.raises(RegdataError, match=r"1 entries differ, first blocks\.3\.attn\.qkv\.weight"):
        load_encoder(taker, tmp_path / "x.pth")
    assert torch.equal(taker.encoder.cls_token, before)  # type: ignore[arg-type]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RegdataError, match="no such file of encoder weights"):
        load_encoder(network(VIT, 1), tmp_path / "x.pth")
