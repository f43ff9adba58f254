"""`regdata models` as a person meets it, and the page that says the same at length."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from networks import TINY, Shapes, histoplus, published

from regdata.cellvit.networks.catalogue import HEADS, has_regression
from regdata.cellvit.networks.config import CellViTConfig
from regdata.cellvit.networks.file_kinds import NetworkFacts, describe
from regdata.cellvit.networks.network import CellViT
from regdata.cellvit.networks.pretrained import load_encoder
from regdata.cellvit.networks.variants import PUBLISHED, published_decoder
from regdata.commands.cli import main
from regdata.train.segmentation.training import export

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
CLASSES = "Background, Neoplastic, Inflammatory, Connective, Dead, Epithelial"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["models", *map(str, words)])


def write(path: Path, shapes: Shapes, **more: object) -> Path:
    """A published file whose entries share one number each."""
    state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    torch.save({"model_state_dict": state, **more}, path)
    return path


def test_the_list_names_everything_and_fits_a_terminal() -> None:
    result = run()
    assert result.exit_code == 0
    assert max(len(line) for line in result.output.splitlines() if "/default.md" not in line) <= 80
    for variant in PUBLISHED:
        size = f"{variant.parameters / 1e6:.1f} M"
        regression = "either" if variant.name in HAVE_REGRESSION else "without"
        row = rf"{variant.name} +{variant.encoder} +{size} +{variant.patch} .*{regression}"
        assert re.search(row, result.output), variant.name
        assert variant.licence in unwrapped(result.output)
    for head in HEADS:
        assert f"{head.name} {', '.join(head.classes)} (hidden {head.hidden})" in unwrapped(
            result.output
        )
    for words in ("default 10.0 M", "20.4 MB", "CellViT-generic", "H0-mini", "image_encoder."):
        assert words in unwrapped(result.output), words
    assert "not downloaded" in result.output
    assert "15094831" in result.output


HAVE_REGRESSION = {"CellViT-256", "CellViT-SAM-B", "CellViT-SAM-L", "CellViT-SAM-H"}


def unwrapped(text: str) -> str:
    return " ".join(text.split())


def test_the_list_for_machines() -> None:
    listed = json.loads(run("--json").output)
    assert [network["name"] for network in listed["networks"]] == [v.name for v in PUBLISHED]
    assert {n["name"] for n in listed["networks"] if n["regression"]} == HAVE_REGRESSION
    assert listed["built_in"]["config"]["name"] == "default"
    assert listed["token_heads"][0]["classes"][0] == "Other"
    assert listed["encoders"]
    assert "15094831" in listed["weights"]["token heads"]


def facts(result: Result) -> dict[str, str]:
    """Label to text, as printed in two columns."""
    return in_columns(result.stdout)


def in_columns(text: str) -> dict[str, str]:
    width = next(line.index(line.split()[1]) for line in text.splitlines())
    told: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        label = line[:width].strip() or label
        told[label] = f"{told.get(label, '')} {line[width:]}".strip()
    return told


def test_show_a_published_network(tmp_path: Path) -> None:
    result = run("show", write(tmp_path / "x.pth", published("vit256", binary=4)))
    assert result.exit_code == 0
    told = facts(result)
    assert told["file"] == str(tmp_path / "x.pth")
    assert told["is"] == "the network CellViT-256 (use it as --model)"
    assert told["entries"] == "complete"
    assert told["parameters"] == "46,750,479"
    assert (told["encoder"], told["classes"]) == ("HIPT ViT-S/16", CLASSES)
    assert (told["tissues"], told["regression"]) == ("19", "with that branch")
    assert told["resolution"] == "0.25 µm/px"
    assert told["normalised"] == "mean 0.5, 0.5, 0.5; std 0.5, 0.5, 0.5"
    assert told["tiles"] == "1024 px, 64 px overlap"
    assert told["tokens"] == "384 wide, one for 16 x 16 px"
    assert "+ 0.1" in told["reproduced"]
    assert told["licence"] == "Apache-2.0 + Commons Clause, citation required"
    assert "CellViT++ (2025)" in told["to cite"]


def test_show_the_built_in_network() -> None:
    result = run("show")
    assert run("show", "default").output == result.output
    assert result.exit_code == 0
    described, card = result.output.split("\n\n# Model card", 1)
    assert describe().sha256 in card
    assert "Known failures" in card
    told = in_columns(described)
    assert told["file"].endswith("default.safetensors (built in)")
    assert told["sha256"] == describe().sha256
    assert told["card"].endswith("default.md")
    assert "reproduced" not in told


def test_show_for_machines(tmp_path: Path) -> None:
    said = json.loads(run("show", "--json", write(tmp_path / "x.pth", published("uni"))).output)
    assert (said["kind"], said["config"]["name"]) == ("network", "CellViT-UNI")
    assert len(said["differences"]) == 3


def test_missing_entries_are_told_and_exit_with_1(tmp_path: Path) -> None:
    shapes = published("vit256")
    del shapes["decoder0.0.block.0.bias"]
    path = write(tmp_path / "x.pth", shapes)
    result = run("show", path)
    assert result.exit_code == 1
    told = facts(result)
    assert told["is"] == "the network CellViT-256"
    assert told["entries"] == "see the error below"
    one_line(result, "1 entries differ, first decoder0.0.block.0.bias")
    result = run("show", path, "--json")
    assert result.exit_code == 1
    assert "1 entries differ" in json.loads(result.stdout)["problem"]


def one_line(result: Result, *words: str) -> None:
    assert result.exit_code == 1, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word in lines[0], lines[0]


def test_show_a_token_classifier(tmp_path: Path) -> None:
    layers = {
        "fc1.weight": (512, 1280),
        "fc1.bias": (512,),
        "fc2.weight": (2, 512),
        "fc2.bias": (2,),
    }
    names = {"data.label_map": ["Mitotic", "Hard-Negative"], "cellvit_path": "/x/CellViT-SAM-H.pth"}
    path = write(tmp_path / "x.pth", layers, arch="LinearClassifier", config=names)
    told = facts(run("show", path))
    assert told["is"] == "a token classifier (use it as --classifier)"
    assert told["classes"] == "Mitotic, Hard-Negative"
    assert told["tokens"] == "1280 wide, of CellViT-SAM-H (it does not say which)"
    assert (told["hidden"], told["trained on"]) == ("512 wide", "it does not say")


def test_show_an_encoder(tmp_path: Path) -> None:
    shapes = {k: v for k, v in published("sam_b", tissues=0).items() if k.startswith("encoder.")}
    state = {f"image_{k}": torch.zeros(()).expand(v) for k, v in shapes.items()}
    torch.save(state, tmp_path / "x.pth")
    told = facts(run("show", tmp_path / "x.pth"))
    assert "an encoder alone" in told["is"]
    assert (told["entries"], told["fits"]) == ("complete", "CellViT-SAM-B")
    assert told["encoder"] == "12 blocks of width 768, patches of 16 px"
    assert told["licence"] == "Apache-2.0 if it is Segment Anything"


def picture(path: Path) -> None:
    cv2.imwrite(str(path), np.zeros((9, 9, 3), np.uint8))


def table(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["X"] = np.zeros(3)


MISTAKES: dict[str, Any] = {
    "x.png": picture,
    "x.tif": picture,
    "x.h5": table,
    "empty.pth": lambda path: path.write_bytes(b""),
    "empty.safetensors": lambda path: path.write_bytes(b""),
    "x.txt": lambda path: path.write_text("hello"),
    "x.npz": lambda path: np.savez(path, a=np.zeros(3)),
    "folder": lambda path: path.mkdir(),
    "nowhere.pth": lambda path: None,
    "a module.pt": lambda path: torch.save(torch.nn.Linear(2, 2), path),
    "a number.pt": lambda path: torch.save(torch.zeros(2), path),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_other_files_get_one_line(name: str, tmp_path: Path) -> None:
    MISTAKES[name](tmp_path / name)
    result = run("show", tmp_path / name)
    one_line(result, str(tmp_path / name))
    assert result.stdout == ""
    for jargon in ("PyTorch 2.6", "weights_only", "UnpicklingError", "Traceback"):
        assert jargon not in result.output


def test_a_cut_file(tmp_path: Path) -> None:
    export(CellViT(TINY), tmp_path / "x.safetensors")
    for path in (tmp_path / "x.safetensors", write(tmp_path / "x.pth", published("vit256"))):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        one_line(run("show", path), "damaged")


def test_wrong_usage() -> None:
    assert run("nonsense").exit_code == 2
    assert run("show", "a", "b").exit_code == 2


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom regdata.commands.cli import main\n"
        "CliRunner().invoke(main, ['models', 'show', '--help'])\n"
        "print([m for m in ('torch', 'numpy', 'pydantic') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def cells(name: str) -> list[str]:
    """The first row of the page's tables that begins with `name`."""
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_page_has_the_table_of_networks() -> None:
    for v in PUBLISHED:
        name, encoder, parameters, patch, tokens, mpp, regression, *_ = cells(v.name)
        assert (name, encoder) == (v.name, v.encoder)
        assert (parameters, patch, tokens) == (
            f"{v.parameters:,}",
            str(v.patch),
            str(v.token_width),
        )
        assert mpp.split(",")[0] == v.mpp.split()[0]
        assert (regression == "with or without") is has_regression(v)
    built_in = describe().about
    assert isinstance(built_in, NetworkFacts)
    assert cells("default (built in)")[2] == f"{built_in.parameters:,}"
    for head in HEADS:
        _, hidden, classes = cells(head.name)
        assert (hidden, classes) == (str(head.hidden), ", ".join(head.classes))


VARIANTS = {
    "HIPT": "vit256",
    "SAM-B": "sam_b",
    "SAM-L": "sam_l",
    "SAM-H": "sam_h",
    "UNI": "uni",
    "Virchow": "virchow",
    "Virchow2": "virchow2",
    "H0-mini": None,
}


@pytest.fixture(scope="module")
def encoders() -> dict[str, Any]:
    """The encoders that the page's example describes."""
    block = next(b for b in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "encoders = {" in b)
    names: dict[str, Any] = {}
    exec(block, names)
    found: dict[str, Any] = names["encoders"]
    return found


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter:UserWarning")
def test_encoders_of_the_page_load(name: str, encoders: dict[str, Any], tmp_path: Path) -> None:
    assert encoders.keys() == VARIANTS.keys()
    variant = VARIANTS[name]
    if variant:
        shapes = published(variant, tissues=0)
    else:
        renamed = {"w12": "fc1", "w3": "fc2"}
        shapes = {
            re.sub("w12|w3", lambda m: renamed[m[0]], k): v
            for k, v in histoplus(256, "encoder.").items()
        }
    entries = {k.removeprefix("encoder."): v for k, v in shapes.items() if k.startswith("encoder.")}
    torch.save({k: torch.zeros(()).expand(v) for k, v in entries.items()}, tmp_path / "x.pth")
    encoder = encoders[name]
    with torch.device("meta"):
        config = CellViTConfig(encoder=encoder, decoder=published_decoder(encoder.width))
        network = CellViT(config)
    load_encoder(network, tmp_path / "x.pth")
