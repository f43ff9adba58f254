"""Folders of SegPath: names, pairs, splits and their leaks."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from regdata.annotated.segpath import find_pairs, parse_name, read_splits
from regdata.annotated.sets import leak_warning, leaking_slides
from regdata.errors import RegdataError

STEM = "CD3CD20_Lymphocyte_039_124928_049152"


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def both(*stems: str) -> list[str]:
    return [f"{stem}_{part}.png" for stem in stems for part in ("HE", "mask")]


@pytest.mark.parametrize(
    "name",
    [
        f"{STEM}.png",
        f"{STEM}_HE.jpg",
        f"._{STEM}_HE.png",
        "CD3CD20_Lymphocyte_039_HE.png",
        "a_b_c_1_x_HE.png",
        "notes.txt",
    ],
)
def test_other_names_are_passed_over(name: str) -> None:
    assert parse_name(name) is None


def test_antigens_may_hold_underscores() -> None:
    part = parse_name("CD_3_T_s1_00_07_mask.png")
    assert part is not None
    assert (part.antigen, part.cell_type, part.slide, part.x, part.y) == ("CD_3", "T", "s1", 0, 7)
    assert part.is_mask


def test_pairs_are_found_in_any_sub_folder_and_in_order(tmp_path: Path) -> None:
    later, other = "CD3CD20_Lymphocyte_040_0_0", "MIST1_PlasmaCell_001_0_0"
    names = [f"x/{later}_HE.png", f"y/z/{later}_mask.png", *both(STEM, other), "readme.txt"]
    images = find_pairs(folder_of(tmp_path, *names), "cd3cd20")
    assert [image.stem for image in images] == [STEM, later]
    assert images[1].mask == tmp_path / "y/z" / f"{later}_mask.png"
    assert images[0].part.x == 124928


@pytest.mark.parametrize(
    ("names", "antigen", "words"),
    [
        ([], None, ("holds no images named as in SegPath", "_mask.png")),
        (both(STEM), "CD8", ("no images of the antigen CD8", "CD3CD20")),
        (both(STEM, "MIST1_P_1_0_0"), None, ("several antigens", "CD3CD20, MIST1")),
        (
            [*both(STEM), "CD3CD20_L_1_0_0_HE.png", "CD3CD20_L_1_0_9_mask.png"],
            None,
            ("2 of 3 images", "CD3CD20_L_1_0_0_HE.png has no ..._mask.png"),
        ),
        ([*both(STEM), f"again/{STEM}_HE.png"], None, ("is there twice", "again")),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, names: Sequence[str], antigen: str | None, words: Sequence[str]
) -> None:
    with pytest.raises(RegdataError) as caught:
        find_pairs(folder_of(tmp_path, *names), antigen)
    assert "\n" not in caught.value.message
    for word in words:
        assert word in caught.value.message


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RegdataError, match="no such folder"):
        find_pairs(tmp_path / "nowhere")


LISTS = {
    "images": f"antigen,filename,train_val_test\nCD3CD20,{STEM}_HE.png,val\n",
    "both": f"antigen,filename,train_val_test\nA,x/{STEM}_HE.png,val\nA,{STEM}_mask.png,val\n",
    "stems": f"filename, train_val_test\n{STEM}, val \n",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_splits_are_read_whatever_the_list_names(tmp_path: Path, text: str) -> None:
    other = "CD3CD20_Lymphocyte_040_0_0"
    images = find_pairs(folder_of(tmp_path, *both(STEM, other)))
    assert read_splits(tmp_path, images) is None
    path = tmp_path / "deep" / "CD3CD20_fileinfo.csv"
    path.parent.mkdir()
    path.write_text(text)
    assert read_splits(tmp_path, images) == (path, ["val", "none"])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("antigen,filename\nA,b\n", "no column train_val_test"),
        ("filename,train_val_test\na_HE.png,val\na_mask.png,test\n", "a in two splits, val and t"),
        ("", "cannot be read as CSV"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, text: str, word: str) -> None:
    images = find_pairs(folder_of(tmp_path, *both(STEM)))
    (tmp_path / "CD3CD20_fileinfo.csv").write_text(text)
    with pytest.raises(RegdataError, match=word):
        read_splits(tmp_path, images)


def test_leaks_are_slides_in_several_splits() -> None:
    slides = ["388"] * 3 + ["001", "002", "002", "003"]
    splits = ["test", "train", "val", "train", "val", "none", "none"]
    leaks = leaking_slides(slides, splits)
    assert leaks == {"388": ("test", "train", "val")}
    warning = leak_warning(leaks, 4, "x_fileinfo.csv")
    assert warning.startswith("1 of 4 slides")
    assert "388 in test and train and val" in warning
    assert leaking_slides(["1", "2"], ["train", "val"]) == {}


def test_many_leaks_are_counted() -> None:
    leaks = {str(k): ("train", "val") for k in range(9)}
    assert "and 6 more" in leak_warning(leaks, 9, "x.csv")
