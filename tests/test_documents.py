"""What README.md and docs/*.md show runs, block by block, beside files called as they say.

Shell blocks run in this process, command by command. A block that cannot run here has the reason
before it, as `<!-- not run: ... -->`: its imports and options are looked at all the same.
"""

import ast
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
import set_files
from click.testing import CliRunner

from regdata.commands.cli import main
from regdata.simulate.restaining import restain
from regdata.simulate.settings import RestainSettings
from regdata.simulate.tissue import Tissue, render_tissue
from regdata.slides.write_tiff import write_ome_tiff
from regdata.studies.demo import centroids, is_lymphocyte, write_test_images

ROOT = Path(__file__).parents[1]
MPP, SIDE = 0.25, 768
MOST_NOT_RUN = 8
_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A piece of code in a document; `reason` says why it cannot run here."""

    line: int
    language: str
    text: str
    reason: str | None


def blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, m.start("text")), m["language"], m["text"], m["reason"])
        for m in _BLOCK.finditer(text)
    ]


DOCUMENTS = {p.name: blocks(p) for p in (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))}


FIRST = next(block for block in DOCUMENTS["README.md"] if "regdata build" in block.text)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a shell block."""
    for line in text.replace("\\\n", " ").splitlines():
        for command in line.split("&&"):
            words = shlex.split(command, comments=True)
            if words:
                yield words


def run(words: list[str]) -> None:
    assert words[0] == "regdata", f"no command of this project: {shlex.join(words)}"
    result = CliRunner().invoke(main, words[1:], catch_exceptions=False)
    assert result.exit_code == 0, f"{shlex.join(words)}\n{result.output}"


def look_at(block: Block) -> None:
    """Imports and options of a block that cannot run."""
    if block.language == "python":
        for node in ast.parse(block.text).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(ast.unparse(node), {})
        return
    for words in commands(block.text):
        if words[0] == "regdata":
            command = main.get_command(click.Context(main), words[1])
            assert command is not None, words
            command.make_parser(click.Context(command)).parse_args(words[2:])


def write_slides(folder: Path) -> Tissue:
    """The pair of slides, whose channels are called as in the documents, masks and landmarks."""
    tissue = render_tissue((SIDE, SIDE), seed=5)
    lymphocytes = is_lymphocyte(tissue)
    settings = RestainSettings(rotation_deg=100, mirror=True)
    restained = restain(tissue.rgb, tissue.instances, lymphocytes, settings, seed=5)
    others = restain(tissue.rgb, tissue.instances, ~lymphocytes, settings, seed=5)
    planes = np.stack([*restained.image[:2], others.image[1], restained.image[1], others.image[1]])
    names = ("DAPI", "CD3", "CD20", "MIST1", "panCK")
    write_ome_tiff(folder / "if.ome.tif", planes, restained.mpp, names)
    for name in ("he.svs", "slide.svs"):
        write_ome_tiff(folder / "x.ome.tif", tissue.rgb, MPP)
        (folder / "x.ome.tif").rename(folder / name)
    masks = np.stack(
        [
            np.isin(tissue.instances, np.flatnonzero(chosen) + 1)
            for chosen in (lymphocytes, ~lymphocytes)
        ]
    ).astype(np.uint8)
    write_ome_tiff(folder / "mask.tif", masks[:1], MPP, ("CD3",))
    write_ome_tiff(folder / "masks.ome.tif", masks, MPP, ("CD3", "CD20"))
    xy = centroids(tissue.instances)[:30]
    write_points(folder / "he.csv", xy)
    write_points(folder / "if.csv", restained.he_to_if.points(xy * MPP) / restained.mpp)
    return tissue


def write_points(path: Path, xy: np.ndarray) -> None:
    path.write_text("x,y\n" + "".join(f"{x:.2f},{y:.2f}\n" for x, y in xy))


def write_outlines(path: Path, tissue: Tissue) -> None:
    """Every nucleus as a point with its class, as one expert sees it."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [x, y]},
            "properties": {"classification": {"name": "CD3" if positive else "other"}},
        }
        for (x, y), positive in zip(
            centroids(tissue.instances).tolist(), is_lymphocyte(tissue), strict=True
        )
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_sets(folder: Path) -> None:
    """DIR: NuCLS as CellViT++ has it, and CoNSeP's layout of ours, each of one picture a slide."""
    for k, part in enumerate(("train", "train", "train", "test", "test")):
        tissue = render_tissue((512, 512), seed=20 + k)
        for kind in ("images", "labels"):
            (folder / part / kind).mkdir(parents=True, exist_ok=True)
            (folder / "consep" / part / kind).mkdir(parents=True, exist_ok=True)
        name, bgr = f"TCGA-A{k}-A0SP-DX1_1", tissue.rgb[..., ::-1]
        kinds = np.where(is_lymphocyte(tissue), "sTIL", "tumor_any")
        rows = ["x,y,super_classification\n"]
        for (x, y), kind in zip(centroids(tissue.instances), kinds, strict=True):
            rows.append(f"{x:.1f},{y:.1f},{kind}\n")
        (folder / part / "labels" / f"{name}.csv").write_text("".join(rows))
        kinds = np.concatenate([[0], np.where(is_lymphocyte(tissue), 2, 3)])
        kinds[1::4] = 1  # a set has cells of every class
        np.savez(
            folder / "consep" / part / "labels" / f"{part}_{k}.npz",
            inst_map=tissue.instances,
            type_map=kinds[tissue.instances],
        )
        cv2.imwrite(str(folder / part / "images" / f"{name}.png"), bgr)
        cv2.imwrite(str(folder / "consep" / part / "images" / f"{part}_{k}.png"), bgr)


def write_segpath(folder: Path, tissue: Tissue) -> None:
    folder.mkdir()
    stained = np.isin(tissue.instances, np.flatnonzero(is_lymphocyte(tissue)) + 1)
    for k in range(2):
        stem, rows = f"CD3CD20_Lymphocyte_{38 + k:03d}_001024_049152", slice(384 * k, 384 * k + 384)
        cv2.imwrite(str(folder / f"{stem}_HE.png"), tissue.rgb[rows, :, ::-1])
        cv2.imwrite(str(folder / f"{stem}_mask.png"), stained[rows].astype(np.uint8))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the documents name and do not make themselves."""
    folder = tmp_path_factory.mktemp("inputs")
    tissue = write_slides(folder)
    for name in ("expert_a", "expert_b", "ann", "bob", "nuclei"):
        write_outlines(folder / f"{name}.geojson", tissue)
    for name in ("images", "points"):
        (folder / name).mkdir()
    write_test_images(folder, seed=1005)
    (folder / "images").rename(folder / "fields")
    write_sets(folder / "DIR")
    write_segpath(folder / "CD3CD20_Lymphocyte", tissue)
    ocelot = set_files.write_ocelot(folder / "data/ocelot2023")
    (ocelot / "annotations/val/cell/401.csv").write_text("3,1,1\n8,5,2\n")
    return folder


@pytest.fixture(scope="module")
def made(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with what README.md's commands on slides make of it, for all that follows them."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(inputs, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MPLBACKEND", "agg")
        for words in commands(FIRST.text):
            run(words)
        shutil.copy("lymphocytes.h5", "more.h5")
        run([*words, "-o", "a/"])  # the evaluation again
        shutil.copytree("a", "b")
    return folder


def names_in(document: str) -> dict[str, Any]:
    """What the blocks of a document take for granted."""
    if document == "registration.md":
        return {"xy_um": np.array([[50.0, 60.0]])}
    if document == "metrics.md":
        rng = np.random.default_rng(0)
        points = np.c_[np.repeat([0, 1], 20), rng.uniform(0, 900, (40, 2)), rng.integers(1, 3, 40)]
        maps = np.zeros((2, 256, 256), np.int32)
        maps[:, 10:30, 10:30], maps[:, 60:90, 60:80] = 1, 2
        boxes = np.array([[0.0, 0.0, 20.0, 20.0], [50.0, 50.0, 70.0, 80.0]])
        return {
            "gt": points,
            "pred": np.c_[points, rng.random(40)],
            "gt_inst": maps,
            "gt_type": maps,
            "pred_inst": maps,
            "pred_type": maps,
            "tissues": ["Breast", "Colon"],
            "b1": boxes,
            "b2": boxes,
        }
    return {}


@pytest.mark.parametrize("name", [name for name, found in DOCUMENTS.items() if found])
def test_blocks_run(name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "x"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = names_in(name)
    for block in DOCUMENTS[name]:
        if block.language == "text" or block is FIRST:  # `made` has run that
            continue
        assert block.language in ("python", "sh"), f"{name}:{block.line} says no language"
        if block.reason:
            look_at(block)
        elif block.language == "python":
            exec(compile(block.text, f"{name}:{block.line}", "exec"), names)
        else:
            for words in commands(block.text):
                run(words)


def test_few_blocks_do_not_run() -> None:
    reasons = [
        f"{name}:{block.line}: {block.reason}"
        for name, found in DOCUMENTS.items()
        for block in found
        if block.reason
    ]
    assert len(reasons) <= MOST_NOT_RUN, reasons
