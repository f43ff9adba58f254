import os

import numpy as np
import pytest
import torch

from regdata.cellvit.networks.classifier import load_classifier, save_classifier
from regdata.errors import RegdataError

MAIN = [
    "tumor_nonMitotic",
    "tumor_mitotic",
    "nonTILnonMQ_stromal",
    "macrophage",
    "lymphocyte",
    "plasma_cell",
    "other_nucleus",
]
SUPER = ["tumor_any", "nonTIL_stromal", "sTIL", "other_nucleus"]
PUBLISHED = {
    "consep": (128, ["Other", "Inflammatory", "Epithelial", "Spindle-Shaped"]),
    "lizard": (
        512,
        ["Neutrophil", "Epithelial", "Lymphocyte", "Plasma", "Eosinophil", "Connective"],
    ),
    "midog": (512, ["Mitotic", "Hard-Negative"]),
    "nucls_main": (512, MAIN),
    "nucls_super": (128, SUPER),
    "ocelot": (256, ["Other Cell", "Tumor Cell"]),
    "panoptils": (512, ["Other", "Epithelial", "Stromal", "TILs"]),
}


def state(width, hidden, count):
    rng = torch.Generator().manual_seed(0)
    shapes = {
        "fc1.weight": (hidden, width),
        "fc1.bias": (hidden,),
        "fc2.weight": (count, hidden),
        "fc2.bias": (count,),
    }
    return {name: torch.randn(shape, generator=rng) for name, shape in shapes.items()}


def checkpoint(width=4, hidden=3, classes=("A", "B"), named=True, **config):
    flat = {f"data.label_map.{i}": name for i, name in enumerate(classes)} if named else {}
    flat |= {"data.num_classes": len(classes), "model.hidden_dim": hidden}
    return {
        "arch": "LinearClassifier",
        "epoch": 7,
        "model_state_dict": state(width, hidden, len(classes)),
        "config": flat | {k.replace("__", "."): v for k, v in config.items()},
    }


def without(content, *keys, inside="config"):
    return content | {inside: {k: v for k, v in content[inside].items() if k not in keys}}


def changed(content, inside="config", **values):
    values = {k.replace("__", "."): v for k, v in values.items()}
    return content | {inside: content[inside] | values}


def nested(flat):
    tree = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(int(parent) if parent.isdigit() else parent, {})
        place[int(last) if last.isdigit() else last] = value
    return tree


@pytest.fixture
def save(tmp_path):
    def to_file(content):
        torch.save(content, tmp_path / "head.pth")
        return tmp_path / "head.pth"

    return to_file


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_heads(save, name):
    hidden, classes = PUBLISHED[name]
    path = save(checkpoint(1280, hidden, classes, named=not name.startswith("nucls")))
    info = load_classifier(path).info
    assert info.classes == tuple(classes)
    assert (info.token_width, info.hidden, info.model_sha256) == (1280, hidden, "")
    assert set(info.mean) == {0.0}
    assert set(info.std) == {1.0}
    assert len(info.mean) == len(info.std) == 1280


def test_probabilities_are_those_of_the_published_formula(save):
    content = checkpoint(5, 3, ("A", "B", "C"))
    tokens = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float16)
    w = {k: v.numpy().astype(float) for k, v in content["model_state_dict"].items()}
    hidden = np.maximum(tokens.astype(float) @ w["fc1.weight"].T + w["fc1.bias"], 0)
    exp = np.exp(hidden @ w["fc2.weight"].T + w["fc2.bias"])
    found = load_classifier(save(content)).predict(tokens)
    np.testing.assert_allclose(found, exp / exp.sum(axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize(
    "variant",
    [
        lambda c: c | {"config": {k: str(v) for k, v in c["config"].items()}},
        lambda c: c | {"config": nested(c["config"])},
        lambda c: without(c, "data.num_classes", "model.hidden_dim"),
        lambda c: c | {"optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(2)}}}},
        lambda c: c | {"scaler_state_dict": None, "best_metric": 0.5, "logdir": "x"},
        lambda c: {k: v for k, v in c.items() if k not in ("arch", "epoch")},
        lambda c: c | {"model_state_dict": {k: v.half() for k, v in c["model_state_dict"].items()}},
        lambda c: (
            without(c, "data.label_map.0", "data.label_map.1")
            | {"config": {"data": {"label_map": ["A", "B"]}}}
        ),
    ],
)
def test_ways_to_write_the_same_head(save, variant):
    head = load_classifier(save(variant(checkpoint())))
    assert head.info.classes == ("A", "B")
    assert all(value.dtype == torch.float32 for value in head.network.state_dict().values())


@pytest.mark.parametrize(
    ("config", "classes"),
    [
        ({}, SUPER),
        ({}, MAIN),
        ({"data__dataset": "nucls", "data__classification_level": "super"}, SUPER),
        ({"data__dataset": "nucls_label"}, MAIN),
        ({"data__dataset": "NuCLS", "data__classification_level": "main_classification"}, MAIN),
    ],
)
def test_heads_without_a_label_map(save, config, classes):
    path = save(checkpoint(4, 3, classes, named=False, **config))
    assert load_classifier(path).info.classes == tuple(classes)


@pytest.mark.parametrize(
    ("count", "config"),
    [
        (4, {"data__dataset": "panoptils"}),
        (7, {"data__dataset": "detectiondataset"}),
        (4, {"data__classification_level": "main"}),
        (7, {"data__classification_level": "raw_classification"}),
        (5, {"data__dataset": "nucls"}),
        (3, {}),
    ],
)
def test_classes_are_not_guessed(save, count, config):
    path = save(checkpoint(4, 3, ["x"] * count, named=False, **config))
    with pytest.raises(RegdataError, match=f"does not name its {count} classes"):
        load_classifier(path)


def test_the_network_it_names(save):
    path = save(checkpoint(cellvit_path="/models/CellViT-SAM-H-x40-AMP.pth"))
    assert load_classifier(path).info.model_name == "CellViT-SAM-H-x40-AMP"
    assert "unnamed" in load_classifier(save(checkpoint())).info.model_name


def test_any_network_of_its_width_will_do(save):
    head = load_classifier(save(checkpoint()))
    head.require_model("a" * 64, "x", 4)
    with pytest.raises(RegdataError, match="expects tokens of width 4"):
        head.require_model("a" * 64, "x", 5)


def test_a_head_can_be_saved_as_ours(save, tmp_path):
    head = load_classifier(save(checkpoint()))
    save_classifier(tmp_path / "ours.pt", head)
    assert load_classifier(tmp_path / "ours.pt").info == head.info


WEIGHTS = "model_state_dict"
BAD = {
    "no fc1": (lambda c: without(c, "fc1.weight", inside=WEIGHTS), "lacks fc1.weight"),
    "no bias": (lambda c: without(c, "fc2.bias", inside=WEIGHTS), "lacks fc2.bias"),
    "nothing": (lambda c: c | {WEIGHTS: {}}, "lacks fc1.bias"),
    "more": (lambda c: changed(c, WEIGHTS, fc3__bias=torch.ones(2)), "unknown fc3.bias"),
    "widths": (lambda c: changed(c, WEIGHTS, fc1__bias=torch.ones(9)), r"fc1.bias \(9,\)"),
    "layers": (lambda c: changed(c, WEIGHTS, fc2__weight=torch.ones(2, 9)), "do not fit"),
    "axes": (lambda c: changed(c, WEIGHTS, fc1__weight=torch.ones(3)), "do not fit"),
    "empty": (lambda c: changed(c, WEIGHTS, fc1__weight=torch.ones(3, 0)), "do not fit"),
    "no tensors": (lambda c: c | {WEIGHTS: {"fc1.weight": 1}}, "no tensors"),
    "no state": (lambda c: c | {WEIGHTS: None}, "no tensors"),
    "gap": (lambda c: without(c, "data.label_map.0"), "names {'1': 'B'}; expected"),
    "from one": (
        lambda c: changed(without(c, "data.label_map.0"), data__label_map__2="C"),
        "for each of 0 to 1",
    ),
    "more names": (lambda c: changed(c, data__label_map__2="C"), "has 2 outputs, but"),
    "same name": (lambda c: changed(c, data__label_map__1="A"), "a different name"),
    "count": (lambda c: changed(c, data__num_classes=5), "num_classes = 5, its weights have 2"),
    "no count": (lambda c: changed(c, data__num_classes="two"), "num_classes = two"),
    "hidden": (lambda c: changed(c, model__hidden_dim="128"), "hidden_dim = 128"),
    "no config": (lambda c: c | {"config": None}, "does not name its 2 classes"),
    "text": (lambda c: c | {"config": "x"}, "does not name its 2 classes"),
    "network": (
        lambda c: c | {"arch": "CellViTSAM", WEIGHTS: {"encoder.pos_embed": torch.ones(1)}},
        "a CellViTSAM network; one that segments goes to `model=`",
    ),
    "nameless network": (
        lambda c: {WEIGHTS: {"encoder.pos_embed": torch.ones(1)}},
        "a CellViT network",
    ),
    "numpy": (lambda c: c | {"best_metric": np.float64(0.5)}, "save it without them"),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_heads(save, name):
    change, message = BAD[name]
    with pytest.raises(RegdataError, match=message) as error:
        load_classifier(save(change(checkpoint())))
    assert "\n" not in error.value.message
    assert "head.pth" in error.value.message


def test_no_classes_are_guessed_without_a_configuration(save):
    content = checkpoint(4, 3, SUPER, named=False) | {"config": {}}
    with pytest.raises(RegdataError, match="does not name its 4 classes"):
        load_classifier(save(content))


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("ran",))


def test_no_code_is_run(save, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegdataError, match="cannot be read as one"):
        load_classifier(save(checkpoint() | {"wandb_id": Harmful()}))
    assert os.listdir(tmp_path) == ["head.pth"]
