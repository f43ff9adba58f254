"""`regdata build --segpath` on a folder whose nuclei are discs of known place."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from coloured import HEMATOXYLIN, MODEL
from numpy.typing import NDArray

from regdata.cells.dataset import read_dataset
from regdata.cells.table import CellTable
from regdata.chain import from_segpath as module
from regdata.chain.mask_options import SegPathOptions
from regdata.chain.pipeline import build
from regdata.commands.cli import main
from regdata.labelling.rules.mask_labels import transfer
from regdata.labelling.rules.overlap_rule import LabelRule

PLACES = ((30, 30), (80, 30), (130, 30), (30, 80), (80, 80), (0, 120))
SPLITS = {"388_000000_000000": "train", "388_001024_000000": "val", "039_000000_002048": "train"}


def image(places: tuple[tuple[int, int], ...] = PLACES) -> NDArray[np.uint8]:
    rgb = np.full((140, 170, 3), 255, np.uint8)
    for place in places:
        cv2.circle(rgb, place, 10, HEMATOXYLIN, -1)
    return rgb


def mask() -> NDArray[np.uint8]:
    """Covers the first disc, 11 % of the second, and the last, which the image's edge cuts."""
    out = np.zeros((140, 170), np.uint8)
    out[10:50, 10:50] = 1
    out[10:50, 70:74] = 1
    out[100:, :20] = 1
    return out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "segpath"
    for number, stem in enumerate(SPLITS):
        sub = path / f"part{number % 2}"
        sub.mkdir(parents=True, exist_ok=True)
        he = image()[..., ::-1]
        if number == 1:  # some copies carry an alpha channel, which says nothing
            he = np.dstack([he, np.zeros(he.shape[:2], np.uint8)])
        name = f"CD3CD20_Lymphocyte_{stem}"
        cv2.imwrite(str(sub / f"{name}_HE.png"), he)
        cv2.imwrite(str(sub / f"{name}_mask.png"), mask() * (255 if number == 2 else 1))
    lines = [f"CD3CD20,CD3CD20_Lymphocyte_{stem}_HE.png,{s}" for stem, s in SPLITS.items()]
    text = "\n".join(["antigen,filename,train_val_test", *lines])
    (path / "CD3CD20_fileinfo.csv").write_text(text)
    return path


@pytest.fixture(autouse=True)
def _coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "load_model", lambda *_: MODEL)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def options(folder: Path, **changes: object) -> SegPathOptions:
    asked = {"segpath": folder, "output": folder.parent / "x.h5", **changes}
    return SegPathOptions.model_validate(asked)


def test_every_nucleus_is_labelled_by_the_mask_of_its_image(folder: Path) -> None:
    output = folder.parent / "x.h5"
    result = run("build", "--segpath", folder, "--antigen", "cd3cd20", "-o", output)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == f"{output}: 9 negative, 3 Lymphocyte, 6 unknown"
    assert "1 of 2 slides are in more than one split of CD3CD20_fileinfo.csv" in result.stderr
    data = read_dataset(output)
    obs = data.obs
    assert data.classes == ("negative", "Lymphocyte")
    for stem, split in SPLITS.items():
        own = (obs["image"] == f"CD3CD20_Lymphocyte_{stem}").to_numpy()
        places = {(round(x), round(y)): i for i, (x, y) in enumerate(data.cells.xy) if own[i]}
        expected = ["Lymphocyte", "unknown", *["negative"] * 3]
        found = [obs["label"].iloc[places[x, y]] for x, y in ((px, py) for px, py in PLACES[:5])]
        assert found == expected
        reasons = obs["reason"][own].value_counts()
        assert (reasons["none"], reasons["ambiguous"], reasons["edge"]) == (4, 1, 1)
        slide, x, y = stem.split("_")
        assert set(obs["slide"][own]) == set(obs["patient"][own]) == {slide}
        assert set(obs["offset_x"][own]) == {int(x)}
        assert set(obs["offset_y"][own]) == {int(y)}
        assert set(obs["split"][own]) == {split}
    assert obs["label_probability"].isna().all()
    published = data.record.segpath
    assert published.leaks == {"slide 388": ("train", "val")}
    assert published.images == 3
    assert cv2.imread(str(folder.parent / "qc" / "x_images.png")).std() > 5


def test_the_published_rule_is_the_published_code(folder: Path) -> None:
    random = np.random.default_rng(0).random((140, 170)) < 0.16
    for path in folder.rglob("*_mask.png"):
        cv2.imwrite(str(path), random.astype(np.uint8))
    counts = build(options(folder, legacy_overlap=True, positive="cell")).counts
    data = read_dataset(folder.parent / "x.h5")
    contours = np.rint(data.cells.vertices - 0.5).astype(np.int32)
    positive, share = transfer(contours, data.cells.offsets, random, LabelRule(legacy=True))
    assert np.array_equal(data.obs["label"] == "cell", positive)
    assert np.allclose(data.obs["overlap_CD3CD20"], share, atol=1e-7)
    assert 0 < counts["cell"] < len(positive)
    assert counts["unknown"] == 0


def test_finished_images_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = module.segment_image, []

    def second_fails(slide: object, model: object, **_: object) -> CellTable:
        seen.append(slide)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(slide, model)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "segment_image", second_fails)
    with pytest.raises(KeyboardInterrupt):
        build(options(folder))
    assert not (folder.parent / "x.h5").exists()
    counts = build(options(folder)).counts
    assert len(seen) == 2 + 2  # the first image is not done again
    assert sum(counts.values()) == 18
    again = build(options(folder))
    assert again.kept == ("cells", "measure", "label")
    assert again.counts == counts
    changed = build(options(folder, overlap=0.1, overwrite=True))
    assert changed.kept == ("cells", "measure")
    assert changed.counts["Lymphocyte"] == 6
    assert len(seen) == 4


def test_a_new_mask_is_labelled_anew_without_the_network(folder: Path) -> None:
    build(options(folder))
    path = next(folder.rglob("*039*_mask.png"))
    cv2.imwrite(str(path), np.ones((140, 170), np.uint8))
    changed = build(options(folder, overwrite=True))
    assert changed.kept == ("cells",)
    assert changed.counts["Lymphocyte"] == 2 + 5


def test_its_file_trains_by_slide(folder: Path) -> None:
    build(options(folder))
    words = ("--epochs", 2, "--class-weights", "none", "-o", folder.parent / "c.pt")
    result = run("train", folder.parent / "x.h5", *words)
    assert result.exit_code == 0, result.output
    assert "split by slide" in result.output


def test_parts_of_one_set_share_their_slides(folder: Path, tmp_path: Path) -> None:
    from regdata.train.tokens.classifier import group_of_cells

    part = tmp_path / "part"
    part.mkdir()
    for path in folder.rglob("*388_001024*"):
        path.rename(part / path.name)
    build(options(folder))
    build(options(part, output=tmp_path / "y.h5"))
    first, second = (group_of_cells(read_dataset(tmp_path / n)) for n in ("x.h5", "y.h5"))
    assert set(second) < set(first)


def test_one_slide_alone_is_warned_of(folder: Path) -> None:
    for path in folder.rglob("*_039_*"):
        path.unlink()
    warnings = build(options(folder)).warnings
    assert any("validation cannot be by slide" in warning for warning in warnings)


def _broken(folder: Path) -> Iterator[tuple[Path, NDArray[np.uint8] | bytes, str]]:
    he, marked = next(folder.rglob("*039*_HE.png")), next(folder.rglob("*039*_mask.png"))
    yield he, b"\x89PNG\r\n\x1a\n", "cannot be read as an image"
    yield marked, image()[..., 0], "is no mask: it has 2 values (70, 255)"
    yield marked, np.arange(3, dtype=np.uint8)[None], "is no mask: it has 3 values (0, 1, 2)"
    yield marked, mask()[:100], "its mask 170 x 100"


def test_damaged_images_are_named(folder: Path) -> None:
    for path, content, told in _broken(folder):
        good = path.read_bytes()
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            cv2.imwrite(str(path), content)
        result = run("build", "--segpath", folder, "-o", folder.parent / "x.h5")
        assert result.exit_code == 1
        errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == 1
        assert told in errors[0]
        assert path.name.rpartition("_")[0] in errors[0]
        assert not (folder.parent / "x.h5").exists()
        path.write_bytes(good)


def test_images_without_nuclei_are_refused(folder: Path) -> None:
    for path in folder.rglob("*_HE.png"):
        cv2.imwrite(str(path), image(()))
    result = run("build", "--segpath", folder, "-o", folder.parent / "x.h5")
    assert result.exit_code == 1
    assert "no nucleus found" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--he", "x"), 2, "--he does not go with --segpath"),
        (("--marker", "x"), 2, "--marker does not go with --segpath"),
        (("--dapi", "0"), 2, "--dapi does not go with --segpath"),
        (("--class", "a=CD3"), 2, "the name of the one positive class"),
        (("--class", "negative"), 1, "expected a name other than negative"),
        (("--antigen", "CD8"), 1, "pass --antigen with one of CD3CD20"),
        (("--he-mpp", "-1"), 2, "--he-mpp"),
    ],
)
def test_wrong_usage_is_one_line(
    folder: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    result = run("build", "--segpath", folder, *words, "-o", folder.parent / "x.h5")
    assert result.exit_code == code
    assert told in result.output
    assert "Traceback" not in result.output
