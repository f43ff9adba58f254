from pathlib import Path

import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.slides.channels import find_channel, find_dapi, rename_channels
from regdata.slides.slide import Slide

CHANNELS = ("DAPI", "CD3", "cd8", "CD8", "2", "PanCK (Opal 520)")


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("CD3", 1),
        ("cd3", 1),
        (" CD3 ", 1),
        ("CD8", 3),  # exact before any case
        ("cd8", 2),
        ("0", 0),
        ("1", 1),
        ("2", 4),  # a channel is named so
        ("5", 5),
        ("panck (opal 520)", 5),
    ],
)
def test_a_channel_is_found_by_name_or_index(wanted: str, index: int) -> None:
    assert find_channel(CHANNELS, wanted) == index


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("CD33", "did you mean 'CD3'?"),
        ("panck", "did you mean 'PanCK (Opal 520)'?"),
        ("DAPl", "did you mean 'DAPI'?"),
    ],
)
def test_a_wrong_name_gets_a_hint_and_the_list(wanted: str, hint: str) -> None:
    with pytest.raises(RegdataError) as error:
        find_channel(CHANNELS, wanted)
    assert hint in error.value.message
    assert "there are 0 DAPI, 1 CD3, 2 cd8, 3 CD8, 4 2, 5 PanCK (Opal 520)" in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize("wanted", ["xylophone", "6", "-1", "1.0", "", "²"])
def test_no_hint_where_nothing_is_alike(wanted: str) -> None:
    with pytest.raises(RegdataError, match="no channel") as error:
        find_channel(CHANNELS, wanted)
    assert "did you mean" not in error.value.message


@pytest.mark.parametrize("wanted", ["CD3", "cd3"])
def test_two_channels_of_one_name_need_an_index(wanted: str) -> None:
    with pytest.raises(RegdataError, match=r"2 channels are called .* index instead \(0, 2\)"):
        find_channel(("CD3", "DAPI", "CD3"), wanted)
    assert find_channel(("CD3", "DAPI", "CD3"), "2") == 2


@pytest.mark.parametrize(
    ("channels", "index"),
    [
        (("CD3", "DAPI"), 1),
        (("CD3", "dapi"), 1),
        (("CD3", "DAPI-01", "DAPI-02"), 1),
        (("CD3", "DAPI_cycle1"), 1),
        (("CD3", "cycle1_DAPI"), 1),
        (("CD3", "Hoechst33342"), 1),
        (("CD3", "HOECHST1"), 1),
        (("CD3", "DNA1"), 1),
        (("CD3", "191Ir_DNA1"), 1),
        (("DNA", "Hoechst", "DAPI"), 2),
        (("DNA1", "Hoechst"), 1),
        (("mtDNAse", "DNA"), 1),
    ],
)
def test_the_nuclear_stain_is_found(channels: tuple[str, ...], index: int) -> None:
    assert find_dapi(channels) == index


def test_the_nuclear_stain_can_be_named() -> None:
    assert find_dapi(("DAPI", "Nuclei"), "nuclei") == 1


def test_no_nuclear_stain_asks_for_the_option() -> None:
    with pytest.raises(RegdataError, match="pass `dapi=NAME`, one of 0 CD3, 1 DNAse") as error:
        find_dapi(("CD3", "DNAse"))
    assert "\n" not in error.value.message


def slide_of(*channels: str) -> Slide:
    return Slide(Path("if.tif"), ((4, 4),), None, channels, np.dtype("uint8"), lambda *_: None)


def test_channels_are_renamed_in_order() -> None:
    slide = slide_of("red", "green", "blue")
    renamed = rename_channels(slide, "DAPI, CD3 ,CD20")
    assert renamed.channels == ("DAPI", "CD3", "CD20")
    assert not renamed.is_rgb
    assert renamed.fill == 0
    assert slide.channels == ("red", "green", "blue")


@pytest.mark.parametrize("names", ["DAPI", "DAPI,CD3,CD20", "DAPI,", ""])
def test_every_channel_needs_one_name(names: str) -> None:
    with pytest.raises(RegdataError, match=r"if\.tif has 2 channels \(0 a, 1 b\)"):
        rename_channels(slide_of("a", "b"), names)
