from pathlib import Path
from typing import Any

import pytest
import torch
from networks import BACKBONE, TINY
from safetensors.torch import save_file
from timm import create_model
from torch import Tensor

from regdata.cellvit.networks.config import CellViTConfig, SamEncoder, VitEncoder
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.pretrained import load_encoder
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
    with pytest.raises(RegdataError, match=r"no entry of the encoder .* got something.else"):
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


def lite_weights() -> dict[str, Tensor]:
    """Of a whole EfficientNet-Lite0, its classes included, each entry told by its number."""
    whole = create_model("tf_efficientnet_lite0").state_dict()
    return {k: torch.full_like(v, i) for i, (k, v) in enumerate(whole.items())}


@pytest.mark.parametrize("names", ["timm's", "the packages'"])
def test_a_backbone_starts_from_its_classification_weights(names: str, tmp_path: Path) -> None:
    weights = lite_weights()
    in_file = weights
    if names == "the packages'":  # the same order under other names
        in_file = {f"_{i}": v for i, v in enumerate(weights.values())}
        in_file = {"_conv_stem.weight": in_file.pop("_0")} | in_file
    torch.save(in_file, tmp_path / "lite0.pth")
    taker = CellViT(BACKBONE)
    before = {k: v.clone() for k, v in taker.state_dict().items()}
    load_encoder(taker, tmp_path / "lite0.pth")
    for name, value in taker.state_dict().items():
        entry = name.removeprefix("encoder.backbone.")
        expected = before[name] if entry == name else weights[entry]
        assert torch.equal(value, expected), name


def test_another_backbones_weights_are_refused(tmp_path: Path) -> None:
    torch.save(create_model("tf_efficientnet_lite1").state_dict(), tmp_path / "lite1.pth")
    with pytest.raises(RegdataError, match="does not fit"):
        load_encoder(CellViT(BACKBONE), tmp_path / "lite1.pth")


def test_widths_beside_a_backbone_must_be_its_own() -> None:
    wrong = BACKBONE.encoder.model_copy(update={"stem_widths": (16, 24, 48)})
    with pytest.raises(RegdataError, match=r"expected stem_widths = \[16, 24, 40\]"):
        CellViT(BACKBONE.model_copy(update={"encoder": wrong}))
