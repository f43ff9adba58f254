import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from regdata.cells.table import CellTable, concatenate
from regdata.cellvit.networks import classifier as module
from regdata.cellvit.networks.classifier import (
    Classifier,
    ClassifierInfo,
    TokenClassifier,
    apply_classifier,
    choose_classifier,
    kinds_of,
    load_classifier,
    naming,
    save_classifier,
)
from regdata.cellvit.networks.weights import load_model
from regdata.errors import RegdataError

SHA = "a" * 64


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    info = ClassifierInfo(
        classes=("negative", "lymphocyte", "plasma"),
        token_width=6,
        hidden=5,
        dropout=0.5,
        model_name="default",
        model_sha256=SHA,
        mean=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0),
        std=(1.0, 0.5, 0.25, 2.0, 4.0, 0.1),
        training={"auroc": 0.9, "warning": None},
    )
    return Classifier(TokenClassifier(6, 5, 3, 0.5), info)


def tokens(n, dtype=np.float16):
    return np.random.default_rng(0).normal(3, 2, (n, 6)).astype(dtype)


def twin(classifier, values):
    """The published formula in NumPy."""
    w = {k: v.numpy().astype(float) for k, v in classifier.network.state_dict().items()}
    x = (values.astype(float) - classifier.info.mean) / classifier.info.std
    logits = np.maximum(x @ w["fc1.weight"].T + w["fc1.bias"], 0) @ w["fc2.weight"].T
    exp = np.exp(logits + w["fc2.bias"])
    return exp / exp.sum(axis=1, keepdims=True)


def test_keys_are_the_published_ones():
    shapes = {k: tuple(v.shape) for k, v in TokenClassifier(384, 100, 4).state_dict().items()}
    assert shapes == {
        "fc1.weight": (100, 384),
        "fc1.bias": (100,),
        "fc2.weight": (4, 100),
        "fc2.bias": (4,),
    }


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_probabilities_agree_with_the_formula(classifier, dtype, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 4)
    found = classifier.predict(tokens(10, dtype))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, twin(classifier, tokens(10, dtype)), atol=1e-5)


def test_no_dropout_even_after_training(classifier):
    classifier.network.train()
    np.testing.assert_array_equal(classifier.predict(tokens(50)), classifier.predict(tokens(50)))


def test_no_cells(classifier):
    assert classifier.predict(tokens(0)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(4, 7), (6,), (0, 5)])
def test_tokens_of_another_width(classifier, shape):
    with pytest.raises(RegdataError, match=r"expected tokens of width 6 \(those of default\)"):
        classifier.predict(np.zeros(shape, np.float16))


def test_round_trip(classifier, tmp_path):
    path = tmp_path / "classifier.pt"
    save_classifier(path, classifier)
    read = load_classifier(path)
    assert read.info == classifier.info
    np.testing.assert_array_equal(read.predict(tokens(5)), classifier.predict(tokens(5)))
    assert os.listdir(tmp_path) == ["classifier.pt"]


def test_failed_write_leaves_the_old_file(classifier, tmp_path, monkeypatch):
    path = tmp_path / "classifier.pt"
    save_classifier(path, classifier)
    old = path.read_bytes()

    def full(content, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(RegdataError, match=r"cannot write .*classifier\.pt: No space left"):
        save_classifier(path, classifier)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["classifier.pt"]


def test_folder_is_made_unless_a_file_stands_there(classifier, tmp_path):
    save_classifier(tmp_path / "new" / "c.pt", classifier)
    assert load_classifier(tmp_path / "new" / "c.pt").info == classifier.info
    with pytest.raises(RegdataError, match="cannot write"):
        save_classifier(tmp_path / "new" / "c.pt" / "d.pt", classifier)


def test_tokens_of_another_model(classifier):
    classifier.require_model(SHA)
    with pytest.raises(RegdataError, match=r"default \(aaaaaaaaaaaa\), these are of x \(bbb") as e:
        classifier.require_model("b" * 64, "x")
    assert "\n" not in e.value.message


def test_without_a_hash_only_the_width_is_checked(classifier):
    info = classifier.info.model_copy(update={"model_sha256": ""})
    unknown = Classifier(classifier.network, info)
    unknown.require_model(SHA)
    unknown.require_model(SHA, "x", 6)
    for known in (unknown, classifier):
        with pytest.raises(RegdataError, match=r"width 6 \(those of default\), those of x have 7"):
            known.require_model(SHA, "x", 7)


def cells(values):
    count = len(values)
    table = CellTable(
        xy=np.arange(2.0 * count).reshape(count, 2),
        vertices=np.ones((3 * count, 2), np.float32),
        offsets=np.arange(0, 3 * count + 1, 3),
        tokens=values,
        kind=np.full(count, 9, np.uint8),
        kind_probability=np.full(count, 0.125, np.float32),
        probability=np.full(count, 0.75, np.float32),
        area_um2=np.full(count, 30, np.float32),
        flags=np.ones(count, np.uint8),
    )
    return concatenate([table], values.shape[1])


def test_kinds_and_their_probabilities_are_replaced(classifier):
    before = cells(tokens(40))
    after = apply_classifier(before, classifier)
    shares = twin(classifier, tokens(40))
    assert classifier.kinds == ("background", "negative", "lymphocyte", "plasma")
    assert set(after.kind) == {1, 2, 3}
    np.testing.assert_array_equal(after.kind, shares.argmax(axis=1) + 1)
    np.testing.assert_allclose(after.kind_probability, shares.max(axis=1), atol=1e-5)
    assert (after.kind.dtype, after.kind_probability.dtype) == (np.uint8, np.float32)
    rest = {"kind": before.kind, "kind_probability": before.kind_probability}
    assert vars(replace(after, **rest)) == vars(before)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_the_probability_of_a_kind_is_never_rounded_to_zero(classifier, scale):
    with torch.no_grad():
        for weight in classifier.network.parameters():
            weight.mul_(scale)
    found = apply_classifier(cells(tokens(40)), classifier).kind_probability
    assert found.min() >= np.float32(1 / 3)
    assert found.max() <= 1
    if scale == 1:
        assert len(np.unique(found)) > 10  # shares, neither 0 nor 1


def test_no_cells_to_classify(classifier):
    assert len(apply_classifier(CellTable.empty(6), classifier)) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"", "cannot be read as one"),
        (b"plain text, no classifier", "cannot be read as one"),
        (b"PK\x03\x04 a broken archive", "cannot be read as one"),
        ({"arch": "LinearClassifier", "config": {}}, "is not one"),
        ([1, 2], "is not one"),
        ({"format": "regdata classifier 1"}, "damaged"),
        ({"format": "regdata classifier 1", "info": "{}", "state_dict": {}}, "damaged"),
    ],
)
def test_files_that_are_no_classifier(tmp_path, content, message):
    path = tmp_path / "classifier.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(RegdataError, match=message) as error:
        load_classifier(path)
    assert "\n" not in error.value.message


def test_cut_file(classifier, tmp_path):
    path = tmp_path / "classifier.pt"
    save_classifier(path, classifier)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(RegdataError, match="cannot be read as one"):
        load_classifier(path)


@pytest.mark.parametrize("change", [{"hidden": 4}, {"mean": (0.0,)}, {"classes": ("a", "b")}])
def test_description_and_weights_must_agree(classifier, tmp_path, change):
    path = tmp_path / "classifier.pt"
    info = classifier.info.model_copy(update=change)
    save_classifier(path, Classifier(classifier.network, info))
    with pytest.raises(RegdataError, match="damaged"):
        load_classifier(path)


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("ran",))


def test_no_code_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": "regdata classifier 1", "info": Harmful()}, "classifier.pt")
    with pytest.raises(RegdataError, match="cannot be read as one"):
        load_classifier(tmp_path / "classifier.pt")
    assert os.listdir(tmp_path) == ["classifier.pt"]


def test_the_built_in_network_has_a_classifier_and_no_other_network_gets_it(classifier, tmp_path):
    model = load_model(device="cpu")
    built_in = choose_classifier(model)
    assert built_in is not None
    assert built_in.kinds == kinds_of(model) == model.config.classes
    assert choose_classifier(model, own_classes=True) is None
    assert naming(model) == built_in.info.model_dump_json()
    other = replace(model, sha256="b" * 64)
    assert choose_classifier(other) is None
    assert naming(other) == "type branch"
    assert kinds_of(other) == model.config.classes


def test_a_chosen_classifier_must_fit_the_network(classifier, tmp_path):
    path = tmp_path / "c.pt"
    save_classifier(path, classifier)
    model = load_model(device="cpu")
    with pytest.raises(RegdataError, match="tokens of width 6"):
        choose_classifier(model, path)
    with pytest.raises(RegdataError, match="either `classifier=` or `own_classes=True`"):
        choose_classifier(model, path, own_classes=True)
