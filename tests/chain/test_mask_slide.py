"""Masks in the frame of an H&E slide: which fit, how they are read, and what is no mask."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from regdata.chain import mask_slide
from regdata.chain.mask_slide import Mask, examine, open_masks, pixel_ratio
from regdata.errors import RegdataError
from regdata.slides.read_image import ArrayPixels
from regdata.slides.slide import Slide
from regdata.slides.write_tiff import write_ome_tiff

RGB = ("red", "green", "blue")


def slide(planes: NDArray[np.generic], mpp: float | None = None, rgb: bool = False) -> Slide:
    names = RGB if rgb else tuple(f"channel {k}" for k in range(len(planes)))
    size = (planes.shape[2], planes.shape[1])
    return Slide(Path("m.tif"), (size,), mpp, names, planes.dtype, ArrayPixels((planes,)))


def blank(w: int, h: int, mpp: float | None = None) -> Slide:
    return slide(np.zeros((1, h, w), np.uint8), mpp)


@pytest.mark.parametrize(
    ("he", "mask", "mpp", "ratio"),
    [
        ((100, 80), (100, 80), None, 1),
        ((100, 80), (100, 80), 0.2525, 1),
        ((100, 80), (50, 40), None, 2),
        ((101, 81), (50, 40), 0.5, 2),
        ((101, 81), (51, 41), 0.5, 2),
        ((1001, 777), (250, 194), 1.0, 4),
    ],
)
def test_whole_fractions_of_the_same_extent_fit(
    he: tuple[int, int], mask: tuple[int, int], mpp: float | None, ratio: int
) -> None:
    assert pixel_ratio(blank(*he, 0.25), blank(*mask, mpp)) == ratio


@pytest.mark.parametrize(
    ("he", "mask", "mpp", "word"),
    [
        ((100, 80), (99, 80), None, "99 x 80 px, no pixel size"),
        ((100, 80), (40, 32), 0.625, "whole fraction"),
        ((100, 80), (200, 160), 0.125, "whole fraction"),
        ((100, 80), (50, 42), 0.5, "100 x 80 px, 0.25 µm/px"),
        ((100, 80), (100, 80), 0.5, "`if_mpp=`"),
        ((100, 80), (50, 40), 0.25, "`if_mpp=`"),
    ],
)
def test_others_are_refused_naming_both(
    he: tuple[int, int], mask: tuple[int, int], mpp: float | None, word: str
) -> None:
    with pytest.raises(RegdataError, match="does not fit") as caught:
        pixel_ratio(blank(*he, 0.25), blank(*mask, mpp))
    assert word in caught.value.message


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.tuples(st.integers(-9, 30), st.integers(-9, 30)),
    st.tuples(st.integers(1, 25), st.integers(1, 25)),
    st.booleans(),
)
def test_a_region_is_the_mask_with_its_pixels_repeated(
    ratio: int, corner: tuple[int, int], size: tuple[int, int], colour: bool
) -> None:
    grey = np.random.default_rng(0).integers(0, 2, (8, 7), dtype=np.uint8) * 255
    planes = np.repeat(grey[None], 3, 0) if colour else grey[None]
    found = Mask(mask_slide._grey(slide(planes, rgb=True)) if colour else slide(planes), ratio)
    whole = np.pad(np.kron(grey, np.ones((ratio, ratio))) > 0, 60)
    (x, y), (w, h) = corner, size
    expected = whole[60 + y : 60 + y + h, 60 + x : 60 + x + w]
    assert np.array_equal(found.stained((float(x), float(y)), size), expected)


def test_it_is_shown_as_a_slide_of_the_size_of_the_he() -> None:
    grey = np.zeros((8, 7), np.uint8)
    grey[2:5, 3:6] = 255
    whole = np.kron(grey, np.ones((4, 4))) > 0
    seen = Mask(slide(grey[None]), 4).over(blank(29, 33, 0.25))
    assert seen.size == (29, 33)
    assert seen.known_mpp() == 0.25
    expected = np.zeros((33, 29), bool)
    expected[:32, :28] = whole
    assert np.array_equal(seen.read((0, 0), seen.size)[0] > 0, expected)
    coarse = seen.read((0, 0), (14, 16), 2.0)[0]
    assert set(np.unique(coarse)) == {0, 1}
    assert abs((coarse > 0).mean() - whole.mean()) < 0.03


@pytest.mark.parametrize(
    ("planes", "values"),
    [
        (np.array([[0, 1], [1, 1]], np.uint8), (0.0, 1.0)),
        (np.array([[0, 255], [0, 0]], np.uint16), (0.0, 255.0)),
        (np.array([[0, 0.5], [0, 0]], np.float32), (0.0, 0.5)),
        (np.zeros((2, 2), np.uint8), (0.0,)),
    ],
)
def test_what_is_above_zero_is_stained(
    planes: NDArray[np.generic], values: tuple[float, ...]
) -> None:
    found = examine("CD3", Mask(slide(planes[None]), 1))
    assert found.values == values
    assert found.share == (planes > 0).mean()


@pytest.mark.parametrize("at", [(0, 0), (12, 17)])
def test_a_third_value_anywhere_is_refused(
    at: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask_slide, "_STEP", 8)
    planes = np.zeros((1, 20, 20), np.uint8)
    planes[0, :, 3:] = 1
    assert examine("CD3", Mask(slide(planes), 1)).share == 17 / 20
    planes[0][at] = 7
    with pytest.raises(RegdataError, match=r"CD3 \(channel 0\) has 3 or more values.*`if_=`"):
        examine("CD3", Mask(slide(planes), 1))


def test_two_values_without_zero_are_no_mask() -> None:
    with pytest.raises(RegdataError, match="values 1 and 2; expected 0"):
        examine("CD3", Mask(slide(np.array([[[1, 2]]], np.uint8)), 1))


def test_channels_are_markers(tmp_path: Path) -> None:
    planes = np.zeros((2, 64, 64), np.uint8)
    planes[1] = 255
    write_ome_tiff(tmp_path / "m.tif", planes, 0.25, ("CD3", "CD20"))
    he = blank(64, 64, 0.25)
    _, masks = open_masks(tmp_path / "m.tif", he, ["cd20", "0"], None, None)
    assert masks["cd20"].stained((0, 0), (64, 64)).all()
    assert not masks["0"].stained((0, 0), (64, 64)).any()
    _, masks = open_masks(tmp_path / "m.tif", he, ["B"], "T,B", None)
    assert masks["B"].stained((0, 0), (64, 64)).all()
    with pytest.raises(RegdataError, match=r"no channel 'CD8'.*`channel_names=`"):
        open_masks(tmp_path / "m.tif", he, ["CD8"], None, None)


def test_a_single_channel_is_called_as_one_likes(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "m.tif", np.ones((1, 64, 64), np.uint8), 0.25, ("x",))
    _, masks = open_masks(tmp_path / "m.tif", blank(64, 64, 0.25), ["CD3"], None, None)
    assert masks["CD3"].stained((0, 0), (64, 64)).all()


def test_a_picture_in_colour_is_no_mask_of_one_marker() -> None:
    planes = np.zeros((3, 4, 4), np.uint8)
    grey = mask_slide._grey(slide(planes, rgb=True))
    assert examine("CD3", Mask(grey, 1)).values == (0.0,)
    planes[1, 2, 2] = 255
    with pytest.raises(RegdataError, match="picture in colour"):
        examine("CD3", Mask(mask_slide._grey(slide(planes, rgb=True)), 1))
