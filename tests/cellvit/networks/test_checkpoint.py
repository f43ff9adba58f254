import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import TINY, Shapes, histoplus, on_meta, published
from safetensors.torch import load_file, save_file

from regdata.cellvit.networks.checkpoint import check_entries, identify, load_checkpoint
from regdata.cellvit.networks.config import CellViTConfig, VitEncoder
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.variants import PUBLISHED
from regdata.errors import RegdataError
from regdata.train.segmentation.training import export

ARCHS = {
    "vit256": ("CellViT256", "CellViT-256"),
    "sam_b": ("CellViTSAM", "CellViT-SAM-B"),
    "sam_l": ("CellViTSAM", "CellViT-SAM-L"),
    "sam_h": ("CellViTSAM", "CellViT-SAM-H"),
    "uni": ("CellViTUNI", "CellViT-UNI"),
    "virchow": ("CellViTVirchow", "CellViT-Virchow"),
    "virchow2": ("CellViTVirchow2", "CellViT-Virchow2"),
}
SHAPES = {name: published(name) for name in ARCHS}


def build(content: dict[str, Any]) -> tuple[CellViTConfig, CellViT]:
    """The network a file's content describes, without memory for its weights; entries checked."""
    config, state = identify(content)
    with torch.device("meta"):
        network = CellViT(config)
    check_entries(network.state_dict(), state, Path("file"))
    return config, network


@pytest.mark.parametrize("variant", ARCHS)
def test_every_published_cellvit_is_recognised(variant: str) -> None:
    arch, name = ARCHS[variant]
    config, network = build({"arch": arch, "model_state_dict": on_meta(SHAPES[variant])})
    known = next(v for v in PUBLISHED if v.name == name)
    assert config.name == name
    assert sum(p.numel() for p in network.parameters()) == known.parameters
    assert (config.encoder.patch, config.token_width) == (known.patch, known.token_width)
    assert (config.mpp, config.tile, config.pooling) == (0.25, 1024, "box")
    assert config.classes[0] == "Background"
    assert len(config.classes) == 6


@pytest.mark.parametrize("variant", ["vit256", "sam_b", "virchow"])
def test_regression_branch_other_classes_and_no_tissue_head(variant: str) -> None:
    shapes = published(variant, classes=4, tissues=0, binary=4)
    config, _ = build({"model_state_dict": on_meta(shapes)})
    assert config.regression
    assert config.tissues == 0
    assert config.classes == ("Background", "class 1", "class 2", "class 3")


@pytest.mark.parametrize(
    ("patches", "prefix", "name", "mpp"),
    [
        (1024, "backbone.feature_extractor.model.", "HistoPLUS-40x", 0.25),
        (1024, "backbone.feature_extractor.", "HistoPLUS-40x", 0.25),
        (256, "backbone.feature_extractor.", "HistoPLUS-20x", 0.5),
    ],
)
def test_histoplus_old_and_new_names(patches: int, prefix: str, name: str, mpp: float) -> None:
    shapes = histoplus(patches, prefix) | {
        f"{prefix}norm.weight": (768,),
        f"{prefix}norm.bias": (768,),
    }
    config, network = build({"state_dict": on_meta(shapes)})
    assert (config.name, config.mpp, config.tile) == (name, mpp, 784)
    assert len(config.classes) == 15
    known = next(v for v in PUBLISHED if v.name == name)
    assert sum(p.numel() for p in network.parameters()) == known.parameters


def test_settings_of_a_file_are_used() -> None:
    nuclei = {f"dataset_config.nuclei_types.{n}": i for i, n in enumerate(["Background", *"ABCDE"])}
    settings = {
        **nuclei,
        "transformations": {"normalize": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}},
        "data.magnification": 20,
    }
    config, _ = build({"model_state_dict": on_meta(SHAPES["vit256"]), "config": settings})
    assert config.classes == ("Background", "A", "B", "C", "D", "E")
    assert config.mean == (0.1, 0.2, 0.3)
    assert config.std == (0.4, 0.5, 0.6)
    assert (config.name, config.mpp) == ("CellViT-256-x20", 0.5)


def test_generic_vit_needs_settings_for_what_shapes_do_not_tell() -> None:
    shapes = shallow(SHAPES["vit256"], 4)
    content = {"arch": "CellViT", "model_state_dict": on_meta(shapes)}
    with pytest.raises(RegdataError, match=r"lack model\.num_heads"):
        identify(content)
    settings = {"model.num_heads": 4, "model.extract_layers": [1, 2, 3, 4]}
    config, _ = build({**content, "config": settings})
    assert isinstance(config.encoder, VitEncoder)
    assert (config.encoder.heads, config.encoder.taps) == (4, (1, 2, 3, 4))
    assert config.name == "CellViT-generic"


def shallow(shapes: Shapes, depth: int) -> Shapes:
    gone = [f"encoder.blocks.{i}." for i in range(depth, 12)]
    return {k: v for k, v in shapes.items() if not k.startswith(tuple(gone))}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"arch": "CellViTUNI", "model_state_dict": on_meta(SHAPES["vit256"])}, "says it is a"),
        ({"fc1.weight": torch.zeros(2, 2)}, "no CellViT or HistoPLUS"),
        ({"model_state_dict": {"fc1.weight": torch.zeros(2, 2)}}, "is a token classifier"),
        ({"teacher": {"backbone.cls_token": torch.zeros(1)}}, "only an encoder"),
        ({"image_encoder.pos_embed": torch.zeros(1)}, "only an encoder"),
        ({"model_state_dict": 3}, "no entries"),
        ({"a": 1, "b": 2}, "its first entries: a, b"),
    ],
)
def test_what_is_no_network_says_what_it_is(content: dict[str, Any], message: str) -> None:
    if "fc1.weight" in content:
        message = "is a token classifier"
    with pytest.raises(RegdataError, match=message):
        identify(content)


def test_missing_and_misshapen_entries_are_named(tmp_path: Path) -> None:
    state = on_meta(SHAPES["vit256"])
    del state["decoder0.0.block.0.bias"]
    state["encoder.head.bias"] = torch.empty(7, device="meta")
    config, renamed = identify({"model_state_dict": state})
    with torch.device("meta"):
        network = CellViT(config)
    with pytest.raises(RegdataError, match=r"2 entries differ, first decoder0\.0\.block\.0\.bias"):
        check_entries(network.state_dict(), renamed, tmp_path)


def test_a_file_without_decoders_head_names_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"model_state_dict": {"nuclei_binary_map_decoder.x": torch.zeros(1)}}, path)
    with pytest.raises(RegdataError, match=r"lacks the entry encoder\.patch_embed"):
        load_checkpoint(path)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("ran",))


@pytest.mark.parametrize(
    "content",
    [b"", b"no weights", pickle.dumps({"a": 1}), pickle.dumps(Evil()), b"PK\x03\x04" + b"\0" * 90],
    ids=["empty", "text", "pickle", "code", "zip"],
)
def test_bad_files_get_one_line_and_run_nothing(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(RegdataError) as caught:
        load_checkpoint(path)
    assert "\n" not in caught.value.message
    assert str(path) in caught.value.message
    assert capsys.readouterr().out == ""


def test_objects_in_a_file_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"config": random.Random(1), "model_state_dict": {}}, path)
    with pytest.raises(RegdataError, match=r"it holds a random\.Random object"):
        load_checkpoint(path)


def test_missing_file() -> None:
    with pytest.raises(RegdataError, match=r"nowhere.pth: no such file"):
        load_checkpoint("nowhere.pth")


def test_ours_comes_back_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = CellViT(TINY)
    export(network, tmp_path / "tiny.safetensors")
    loaded = load_checkpoint(tmp_path / "tiny.safetensors")
    assert loaded.config == TINY
    assert not loaded.training
    for name, value in loaded.state_dict().items():
        assert value.dtype in (torch.float32, torch.int64)
        assert torch.allclose(value, network.state_dict()[name], atol=1e-2), name


def test_the_names_of_ours_are_checked_too(tmp_path: Path) -> None:
    export(CellViT(TINY), tmp_path / "tiny.safetensors")
    state = load_file(tmp_path / "tiny.safetensors")
    state["more"] = torch.zeros(1)
    save_file(state, tmp_path / "x.safetensors", metadata={"regdata": TINY.model_dump_json()})
    with pytest.raises(RegdataError, match=r"1 entries differ, first more \(expected nothing"):
        load_checkpoint(tmp_path / "x.safetensors")
