from pathlib import Path

import pytest
import torch
from networks import TINY
from safetensors.torch import load_file, save_file

from regdata.cellvit.networks.checkpoint import load_checkpoint
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.weights import default_weights, load_model, pick_device
from regdata.errors import RegdataError
from regdata.train.segmentation.training import export


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    export(CellViT(TINY), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_what_is_exported_is_loaded(tiny: Path) -> None:
    torch.manual_seed(1)
    written = CellViT(TINY).eval()
    model = load_model(tiny, "cpu")
    assert model.config == TINY
    assert not model.network.training
    image = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        first, second = written(image), model.network(image)
    for name in first:
        assert torch.allclose(first[name], second[name], atol=0.05), name
    assert model.describe().token_width == 32


def test_large_variances_survive(tmp_path: Path) -> None:
    network = CellViT(TINY)
    network.decoder1[0].block[1].running_var.fill_(1e6)  # type: ignore[union-attr,operator]
    export(network, tmp_path / "x.safetensors")
    stored = load_checkpoint(tmp_path / "x.safetensors").state_dict()
    assert (stored["decoder1.0.block.1.running_var"] == 1e6).all()


def test_another_file_has_another_hash(tiny: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    export(CellViT(TINY), tmp_path / "other.safetensors")
    assert load_model(tiny).sha256 != load_model(tmp_path / "other.safetensors").sha256


def test_the_built_in_model_is_small_and_loads() -> None:
    assert default_weights().stat().st_size < 30e6
    model = load_model(device="cpu")
    assert 5e6 < sum(p.numel() for p in model.network.parameters()) < 12e6
    assert model.config.classes[0] == "background"


def test_missing_file() -> None:
    with pytest.raises(RegdataError, match=r"nowhere.safetensors: no such file"):
        load_model(Path("nowhere.safetensors"))


def test_not_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"no weights at all, but long enough to have a header")
    with pytest.raises(RegdataError, match="is a damaged safetensors file"):
        load_model(path)


def test_weights_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(RegdataError, match="does not say which network"):
        load_model(path)


def test_description_of_an_unknown_network(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(load_file(tiny), path, metadata={"regdata": '{"invented": 1}'})
    with pytest.raises(RegdataError, match="invented"):
        load_model(path)


def test_wrong_shape_names_the_first_difference(tiny: Path, tmp_path: Path) -> None:
    state = load_file(tiny)
    state["encoder.pos_embed"] = torch.zeros(1, 4, 32)
    del state["encoder.patches.bias"]
    path = tmp_path / "x.safetensors"
    save_file(state, path, metadata={"regdata": TINY.model_dump_json()})
    with pytest.raises(
        RegdataError, match=r"2 entries differ, first encoder\.patches\.bias \(expected"
    ):
        load_model(path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_no_gpu() -> None:
    assert pick_device("auto").type == "cpu"
    with pytest.raises(RegdataError, match="no CUDA device"):
        pick_device("cuda")
