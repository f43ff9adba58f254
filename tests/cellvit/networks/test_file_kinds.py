import json
import shutil
from pathlib import Path

import pytest
import torch
from networks import TINY, Shapes, histoplus, published
from safetensors.torch import save_file
from torch import Tensor

from regdata.cellvit.networks import file_kinds as module
from regdata.cellvit.networks.classifier import (
    Classifier,
    ClassifierInfo,
    TokenClassifier,
    save_classifier,
)
from regdata.cellvit.networks.config import CellViTConfig, VitEncoder
from regdata.cellvit.networks.encoder_file import EncoderFacts
from regdata.cellvit.networks.file_kinds import Description, NetworkFacts, describe
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.pretrained import load_encoder
from regdata.cellvit.networks.variants import published_decoder
from regdata.cellvit.networks.weights import default_weights
from regdata.errors import RegdataError
from regdata.train.segmentation.training import export

COMMONS = "Apache-2.0 + Commons Clause, citation required"


def small(shapes: Shapes) -> dict[str, Tensor]:
    """Entries of these shapes that share one number each, so that files are small."""
    return {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}


def write(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def network(path: Path) -> tuple[Description, NetworkFacts]:
    found = describe(path)
    assert isinstance(found.about, NetworkFacts)
    return found, found.about


def encoder(path: Path) -> EncoderFacts:
    found = describe(path)
    assert found.kind == "encoder"
    assert isinstance(found.about, EncoderFacts)
    return found.about


VARIANTS = {
    "vit256": ("CellViT-256", 46_750_349, {"+ 0.1", "tissue head alone"}),
    "sam_b": ("CellViT-SAM-B", 146_094_557, {"cropped"}),
    "sam_l": ("CellViT-SAM-L", 367_847_645, {"cropped"}),
    "sam_h": ("CellViT-SAM-H", 699_741_149, {"cropped"}),
    "uni": ("CellViT-UNI", 362_934_749, {"never applied"}),
    "virchow": ("CellViT-Virchow", 693_963_741, {"never applied", "GELU", "1024 -> 1022"}),
    "virchow2": ("CellViT-Virchow2", 693_973_981, {"never applied", "GELU", "1024 -> 1022"}),
}
ALL = {"+ 0.1", "tissue head alone", "cropped", "never applied", "GELU", "1024 -> 1022", "16/14"}


def told(about: NetworkFacts) -> set[str]:
    """Which of the known differences a description tells; those of every network, too."""
    text = "; ".join(about.differences)
    assert "bounding box" in text
    assert "`normalise='tile'`" in text
    return {words for words in ALL if words in text}


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_networks(variant: str, tmp_path: Path) -> None:
    name, parameters, reproduced = VARIANTS[variant]
    path = write(tmp_path / "x.pth", {"model_state_dict": small(published(variant))})
    found, about = network(path)
    assert (found.kind, found.problem, found.built_in) == ("network", None, False)
    assert (about.config.name, about.parameters) == (name, parameters)
    assert (about.config.tissues, about.config.regression) == (19, False)
    assert found.licence == COMMONS
    assert "Hörst" in found.source
    assert told(about) == reproduced


@pytest.mark.parametrize(("patches", "name"), [(1024, "HistoPLUS-40x"), (256, "HistoPLUS-20x")])
def test_histoplus(patches: int, name: str, tmp_path: Path) -> None:
    found, about = network(write(tmp_path / "x.pt", small(histoplus(patches))))
    assert (about.config.name, found.problem) == (name, None)
    assert "NC-ND" in found.licence
    assert told(about) == {"16/14"}


def test_regression_branch_and_x20(tmp_path: Path) -> None:
    shapes = published("vit256", binary=4)
    settings = {"data": {"magnification": 20}}
    path = write(tmp_path / "x.pth", {"model_state_dict": small(shapes), "config": settings})
    found, about = network(path)
    assert about.config.regression
    assert (about.config.name, about.config.mpp) == ("CellViT-256-x20", 0.5)
    assert (found.licence, about.encoder) == (COMMONS, "HIPT ViT-S/16")


def test_generic_vit(tmp_path: Path) -> None:
    shapes = {k: v for k, v in published("vit256").items() if not k.startswith(DEEP)}
    settings = {"model.num_heads": 6, "model.extract_layers": [1, 2, 3, 4]}
    path = write(tmp_path / "x.pth", {"model_state_dict": small(shapes), "config": settings})
    found, about = network(path)
    assert about.config.name == "CellViT-generic"
    assert about.encoder == "VIT, 4 transformer blocks of width 384, 6 heads"
    assert found.licence == COMMONS


DEEP = tuple(f"encoder.blocks.{i}." for i in range(4, 12))


def test_the_built_in_network_is_known_by_its_content(tmp_path: Path) -> None:
    found, about = network(default_weights())
    assert found == describe()
    assert found.built_in
    assert found.licence.startswith("Apache-2.0")
    assert Path(found.source).is_file()
    assert about.differences == ()
    shutil.copy(default_weights(), tmp_path / "x.safetensors")
    assert describe(tmp_path / "x.safetensors").built_in


def test_ours_but_not_the_built_in(tmp_path: Path) -> None:
    export(CellViT(TINY), tmp_path / "x.safetensors")
    found, about = network(tmp_path / "x.safetensors")
    assert not found.built_in
    assert about.config == TINY
    assert found.licence == "that of its makers"


def test_weights_need_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the file's entries nor the network's are anything but shapes."""
    seen = []
    monkeypatch.setattr(
        module, "check_entries", lambda *states_and_path: seen.append(states_and_path)
    )
    describe(write(tmp_path / "x.pth", {"model_state_dict": small(published("vit256"))}))
    describe()
    assert len(seen) == 2
    for expected, found, _ in seen:
        assert {value.device.type for value in (*expected.values(), *found.values())} == {"meta"}


def test_missing_entries_are_told_beside_what_it_is(tmp_path: Path) -> None:
    state = small(published("vit256"))
    del state["decoder0.0.block.0.bias"]
    found, about = network(write(tmp_path / "x.pth", {"model_state_dict": state}))
    assert about.config.name == "CellViT-256"
    assert found.problem is not None
    assert "1 entries differ, first decoder0.0.block.0.bias" in found.problem
    assert "\n" not in found.problem


def head(hidden: int, classes: int) -> dict[str, Tensor]:
    first = {"fc1.weight": (hidden, 1280), "fc1.bias": (hidden,)}
    return small({**first, "fc2.weight": (classes, hidden), "fc2.bias": (classes,)})


@pytest.mark.parametrize("arch", ["LinearClassifier", None])
def test_published_head(arch: str | None, tmp_path: Path) -> None:
    named = {"data.label_map.0": "Mitotic", "data.label_map.1": "Hard-Negative"}
    content = {"arch": arch, "model_state_dict": head(512, 2), "config": named}
    content = {k: v for k, v in content.items() if v is not None}
    found = describe(write(tmp_path / "x.pth", content))
    assert isinstance(found.about, ClassifierInfo)
    assert found.about.classes == ("Mitotic", "Hard-Negative")
    assert (found.licence, found.problem) == (COMMONS, None)


def test_own_classifier(tmp_path: Path) -> None:
    info = ClassifierInfo(
        classes=("a", "b"),
        token_width=4,
        hidden=3,
        dropout=0.1,
        model_name="default",
        model_sha256="a" * 64,
        mean=(0.0,) * 4,
        std=(1.0,) * 4,
        training={"files": ["x.h5"]},
    )
    save_classifier(tmp_path / "x.pt", Classifier(TokenClassifier(4, 3, 2), info))
    found = describe(tmp_path / "x.pt")
    assert (found.kind, found.about) == ("classifier", info)
    assert found.licence == "that of its makers"
    assert "mean" not in found.to_dict()
    assert found.to_dict()["training"] == {"files": ["x.h5"]}


def of_encoder(variant: str) -> dict[str, Tensor]:
    """An encoder's entries under timm's names."""
    shapes = published(variant, tissues=0).items()
    return small({k.removeprefix("encoder."): v for k, v in shapes if k.startswith("encoder.")})


def hipt() -> dict[str, object]:
    named = {f"module.backbone.{k}": v for k, v in of_encoder("vit256").items()}
    return {"student": {}, "teacher": named | {"module.head.mlp.0.weight": torch.zeros(1)}}


def meta_sam(variant: str) -> dict[str, object]:
    named = {f"image_encoder.{k}": v for k, v in of_encoder(variant).items()}
    return named | {"mask_decoder.x": torch.zeros(1)}


def h0_mini() -> dict[str, Tensor]:
    prefix = "backbone.feature_extractor.model."
    names = {"mlp.w12": "mlp.fc1", "mlp.w3": "mlp.fc2"}
    shapes = {}
    for name, shape in histoplus(256, prefix).items():
        for old, new in names.items():
            name = name.replace(old, new)
        if name.startswith(prefix):
            shapes[name.removeprefix(prefix)] = shape
    return small({**shapes, "norm.weight": (768,), "norm.bias": (768,)})


@pytest.mark.parametrize(
    ("content", "stored", "networks"),
    [
        (hipt(), "teacher", ("CellViT-256",)),
        (meta_sam("sam_b"), "image encoder", ("CellViT-SAM-B",)),
        (meta_sam("sam_h"), "image encoder", ("CellViT-SAM-H",)),
        (of_encoder("uni"), "timm", ("CellViT-UNI",)),
        (of_encoder("virchow"), "timm", ("CellViT-Virchow",)),
        (of_encoder("virchow2"), "timm", ("CellViT-Virchow2",)),
        (h0_mini(), "timm", ("HistoPLUS-40x", "HistoPLUS-20x")),
    ],
)
def test_encoders_alone(
    content: dict[str, object], stored: str, networks: tuple[str, ...], tmp_path: Path
) -> None:
    about = encoder(write(tmp_path / "x.pth", content))
    assert stored in about.stored
    assert (about.networks, about.problem) == (networks, None)


def test_size_of_an_encoder(tmp_path: Path) -> None:
    about = encoder(write(tmp_path / "x.pth", hipt()))
    assert (about.width, about.depth, about.patch, about.parameters) == (384, 12, 16, 21_665_664)


def test_an_encoder_as_safetensors(tmp_path: Path) -> None:
    state = {k: v.contiguous() for k, v in shallow(of_encoder("vit256")).items()}
    save_file(state, tmp_path / "x.safetensors")
    about = encoder(tmp_path / "x.safetensors")
    assert (about.depth, about.networks, about.problem) == (2, ("CellViT-generic",), None)
    assert describe(tmp_path / "x.safetensors").licence == "that of its makers"


def shallow(state: dict[str, Tensor]) -> dict[str, Tensor]:
    gone = tuple(f"blocks.{i}." for i in range(2, 12))
    return {k: v for k, v in state.items() if not k.startswith(gone)}


def test_an_encoder_no_network_is_published_with(tmp_path: Path) -> None:
    state = shallow(of_encoder("vit256"))
    state |= small({f"blocks.{i}.ls{k}.gamma": (384,) for i in range(2) for k in (1, 2)})
    with pytest.raises(RegdataError, match=r"no network here has \(holds a ViT of depth 2"):
        describe(write(tmp_path / "x.pth", state))
    state = of_encoder("vit256") | small({f"blocks.{i}.ls1.gamma": (384,) for i in range(12)})
    about = encoder(write(tmp_path / "y.pth", state))
    assert (about.networks, about.problem) == ((), None)


def test_half_an_encoder_is_refused_as_load_encoder_refuses_it(tmp_path: Path) -> None:
    teacher = {f"backbone.{k}": v for k, v in of_encoder("vit256").items()}
    del teacher["backbone.blocks.3.attn.qkv.weight"]
    path = write(tmp_path / "x.pth", {"teacher": teacher})
    vit = VitEncoder(
        width=384, depth=12, heads=6, taps=(3, 6, 9, 12), resampling="dino", final_norm="applied"
    )
    with torch.device("meta"):
        started = CellViT(CellViTConfig(encoder=vit, decoder=published_decoder(384)))
    with pytest.raises(RegdataError, match=r"first blocks\.3\.attn\.qkv") as caught:
        load_encoder(started, path)
    assert encoder(path).problem == caught.value.message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.pth", b"", "it is empty"),
        ("x.txt", b"no weights", "no PyTorch file"),
        ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "no PyTorch file"),
        ("x.h5", b"\x89HDF\r\n\x1a\n" + bytes(40), "no PyTorch file"),
        ("x.pth", b"PK\x03\x04" + bytes(90), "cut short or damaged"),
        ("x.safetensors", b"", "damaged safetensors file"),
        ("x.safetensors", b"no weights at all", "damaged safetensors file"),
    ],
)
def test_no_weights_at_all(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, message)


def refused(path: Path, message: str) -> None:
    with pytest.raises(RegdataError, match=message) as caught:
        describe(path)
    assert "\n" not in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds nothing; expected a dictionary"),
        ([1], "holds a list"),
        ({"a": 1}, "its first entries: a"),
        ({"network": {}, "average": {}, "optimiser": {}}, "state of a training to resume"),
        ({"model_state_dict": 3}, "no entries"),
        ({"model_state_dict": {"fc1.weight": torch.zeros(1)}}, "lacks fc1.bias"),
        ({"teacher": 3}, "only an encoder"),
        ({"patch_embed.proj.weight": torch.zeros(4, 3, 2, 2)}, "no entry encoder.pos_embed"),
        (small({"patch_embed.proj.weight": (4, 3), "pos_embed": (1, 5, 4)}), "unusual shapes"),
        ({"backbone.feature_extractor.pos_embed": torch.zeros(3)}, "entries of other shapes"),
        (
            {"model_state_dict": small({"nuclei_binary_map_decoder.x": (1,)})},
            "lacks the entry encoder.patch_embed.proj.weight",
        ),
    ],
)
def test_dictionaries_of_something_else(content: object, message: str, tmp_path: Path) -> None:
    refused(write(tmp_path / "x.pth", content), message)


def test_a_folder_and_no_file(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder")
    refused(tmp_path / "no.pth", "no such file")


def test_all_of_it_is_json(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth", {"model_state_dict": small(published("vit256"))})
    said = json.loads(json.dumps(describe(path).to_dict()))
    assert (said["kind"], said["token_width"], said["path"]) == ("network", 384, str(path))
    assert CellViTConfig.model_validate(said["config"]) == network(path)[1].config
    said = json.loads(json.dumps(describe(write(tmp_path / "e.pth", hipt())).to_dict()))
    assert (said["kind"], said["networks"]) == ("encoder", ["CellViT-256"])
