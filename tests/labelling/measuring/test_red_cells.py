import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.labelling.measuring.red_cells import REACH_UM, red_blood_cells
from regdata.slides.stain import RGB_FROM_HED


def consep(name: str) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    folder = Path(os.environ.get("REGDATA_DATA", "")) / "consep" / name.split("_")[0]
    if "REGDATA_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("REGDATA_DATA with consep is not there")
    rgb = cv2.imread(str(folder / "images" / f"{name}.jpg"))[..., ::-1].copy()
    labels = np.load(folder / "labels" / f"{name}.npz")["inst_map"].astype(np.int32)
    return rgb, labels


def stained(hematoxylin: float, eosin: float) -> NDArray[np.uint8]:
    density = hematoxylin * RGB_FROM_HED[0] + eosin * RGB_FROM_HED[1]
    return np.rint(255 * np.exp(-density)).astype(np.uint8)


def disc(colour: object, diameter_um: float, mpp: float = 0.25) -> NDArray[np.uint8]:
    picture = np.full((160, 160, 3), 245, np.uint8)
    cv2.circle(picture, (80, 80), round(diameter_um / mpp / 2), np.ravel(colour).tolist(), -1)
    return picture


RED = (214, 100, 80)


@pytest.mark.parametrize("diameter_um", [4.0, 7.0, 15.0])
def test_red_discs_are_found_in_their_size(diameter_um: float) -> None:
    found = red_blood_cells(disc(RED, diameter_um), 0.25)
    area = np.pi * (diameter_um / 2) ** 2 / 0.25**2
    assert found.sum() == pytest.approx(area, rel=0.3)
    assert found[80, 80]


def test_vivid_pink_is_found() -> None:
    found = red_blood_cells(disc((232, 80, 160), 7.0), 0.25)
    assert found.sum() == pytest.approx(np.pi * 14**2, rel=0.3)


def test_resolution_does_not_matter() -> None:
    for mpp in (0.25, 0.5, 0.9):
        found = red_blood_cells(disc(RED, 8.0, mpp), mpp)
        assert found.sum() * mpp**2 == pytest.approx(50, rel=0.25)


@pytest.mark.parametrize(
    ("colour", "diameter_um"),
    [
        (RED, 1.2),  # a granule
        (stained(0.05, 0.6), 12.0),  # collagen
        ((209, 127, 189), 40.0),  # muscle, dense
        (stained(0.05, 0.9), 12.0),  # magenta
        (stained(0.2, 0.1), 12.0),  # mucin
        (stained(1.0, 0.5), 8.0),  # a nucleus
        ((60, 25, 20), 8.0),  # ink, burnt tissue
        ((245, 245, 245), 8.0),
    ],
)
def test_all_else_is_not(colour: object, diameter_um: float) -> None:
    assert not red_blood_cells(disc(colour, diameter_um), 0.25).any()


def test_yellow_glass_is_no_blood_when_told() -> None:
    muscle = stained(0.05, 0.6).astype(float) * (255, 245, 190) / 255
    picture = disc(muscle.round(), 12.0)
    assert red_blood_cells(picture, 0.25).any()
    assert not red_blood_cells(picture, 0.25, white=(255, 245, 190)).any()


def test_a_pixel_does_not_depend_on_the_region() -> None:
    rgb, _ = consep("test_7")
    whole = red_blood_cells(rgb, 0.25)
    margin = round(REACH_UM / 0.25)
    part = red_blood_cells(rgb[333:900, 401:940].copy(), 0.25)
    inner = np.s_[margin:-margin, margin:-margin]
    assert part[inner].sum() > 1000
    assert np.array_equal(part[inner], whole[333:900, 401:940][inner])


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("train_15", 0.30, 0.42),  # bleeding
        ("test_13", 0.12, 0.16),  # a vessel filled, beside a follicle
        ("test_10", 0.06, 0.10),
        ("train_12", 0.0, 0.012),  # collagen, and blue ink
        ("test_2", 0.0, 0.004),  # muscle, and a few red cells
        ("test_6", 0.0, 0.001),  # neither blood nor
    ],
)
def test_real_tissue(name: str, least: float, most: float) -> None:
    rgb, labels = consep(name)
    found = red_blood_cells(rgb, 0.25)
    assert least <= found.mean() <= most
    size = np.bincount(labels.ravel())[1:]
    inside = np.bincount(labels[found], minlength=len(size) + 1)[1:]
    there = size > 0
    assert (inside[there] > 0.5 * size[there]).mean() < 0.005
