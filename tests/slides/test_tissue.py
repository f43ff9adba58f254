import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.slides.slide import Slide
from regdata.slides.tissue import he_tissue, if_tissue, nuclear_tissue, stained_tissue

PINK, PURPLE, INK = (232, 160, 205), (110, 80, 150), (30, 30, 30)


def field(glass, *patches):
    """(200, 300) of glass with rectangles (rows, columns, colour)."""
    rgb = np.full((200, 300, 3), glass, np.float64)
    for rows, columns, colour in patches:
        rgb[rows, columns] = colour
    noise = np.random.default_rng(0).normal(0, 0.2, rgb.shape) * np.sqrt(rgb)
    return (rgb + noise).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("glass", [255, 225])
def test_stained_tissue_is_found_on_bright_and_dull_glass(glass):
    block = np.s_[50:150, 100:220]
    rgb = field(glass, (slice(50, 150), slice(100, 220), PINK))
    mask = stained_tissue(rgb, mpp=8)
    assert mask[block].mean() > 0.97
    assert mask.sum() < 1.08 * mask[block].size


def test_pale_and_dark_tissue_are_one_piece():
    rgb = field(
        245, (slice(40, 160), slice(50, 150), PINK), (slice(40, 160), slice(150, 250), PURPLE)
    )
    mask = stained_tissue(rgb, mpp=8)
    assert mask[45:155, 55:145].all()
    assert mask[45:155, 155:245].all()
    assert not mask[:30].any()


@pytest.mark.parametrize(
    "rgb",
    [
        np.full((200, 300, 3), 255, np.uint8),
        field(250),
        field(228),
        field(245, (slice(50, 150), slice(100, 220), INK)),
        field(245, (slice(50, 53), slice(100, 103), PINK)),
    ],
    ids=["white", "glass", "dull glass", "ink", "speck"],
)
def test_an_empty_field_has_no_tissue(rgb):
    assert not stained_tissue(rgb, mpp=8).any()


def test_a_field_without_glass_is_all_tissue():
    rgb = field(PINK, (slice(0, 90), slice(0, 300), PURPLE))
    assert stained_tissue(rgb, mpp=2).all()


def test_small_holes_are_filled_and_large_ones_kept():
    rgb = field(
        PINK, (slice(50, 56), slice(50, 56), (250,) * 3), (slice(50, 150), slice(150, 250), 250)
    )
    mask = stained_tissue(rgb, mpp=4)
    assert mask[40:66, 40:66].all()
    assert not mask[70:130, 170:230].any()


def nuclei(density, level=1000):
    """(400, 400) of camera offset with nuclei in the left half."""
    rng = np.random.default_rng(3)
    image = rng.normal(100, 3, (400, 400))
    seeds = rng.random((400, 200)) < density
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            image[:, :200] += level * np.roll(seeds, (dy, dx), (0, 1))
    return image.clip(0, 65535).astype(np.uint16)


@pytest.mark.parametrize("level", [60, 1000, 8000])
def test_tissue_between_nuclei_counts(level):
    mask = nuclear_tissue(nuclei(0.008, level), mpp=2)
    assert mask[:, :180].mean() > 0.97
    assert mask[:, 230:].mean() < 0.03


def test_a_constant_channel_has_no_tissue():
    assert not nuclear_tissue(np.full((50, 60), 7, np.uint16), mpp=2).any()


def test_without_glass_in_view_all_is_tissue():
    even = nuclei(0.008)[:, :200]
    assert nuclear_tissue(np.hstack([even, even]), mpp=2).all()


def slide(tmp_path, image, channels, mpp):
    return Slide(
        tmp_path / "a.tif",
        ((image.shape[2], image.shape[1]),),
        mpp,
        channels,
        image.dtype,
        lambda level, box, wanted: image[
            list(wanted), box.y : box.y + box.h, box.x : box.x + box.w
        ],
    )


def test_masks_cover_the_whole_slide(tmp_path):
    rgb = field(245, (slice(50, 150), slice(100, 220), PINK)).transpose(2, 0, 1)
    he = slide(tmp_path, rgb, ("red", "green", "blue"), 2.0)
    mask = he_tissue(he)  # two pixels of the slide per pixel
    assert mask.shape == (100, 150)
    assert mask[27:73, 52:108].all()
    assert not mask[:20].any()
    image = np.stack([np.zeros((400, 400), np.uint16), nuclei(0.008)])
    if_ = slide(tmp_path, image, ("CD3", "DAPI"), 4.0)
    mask = if_tissue(if_, 1)
    assert mask.shape == (400, 400)
    assert mask[:, :180].mean() > 0.97


def test_a_slide_without_pixel_size_is_refused(tmp_path):
    he = slide(tmp_path, field(245).transpose(2, 0, 1), ("red", "green", "blue"), None)
    with pytest.raises(RegdataError, match="he_mpp="):
        he_tissue(he)


def test_fat_is_tissue() -> None:
    """Thin walls and one small vessel: no piece is large, and yet it is a stained section."""
    rgb = np.full((250, 250, 3), 248, np.uint8)
    rgb[::60, :] = 225, 190, 215
    rgb[20:40, 20:40] = 200, 110, 160
    mask = stained_tissue(rgb, mpp=1.0)
    assert mask[30, 30]
    assert mask.mean() < 0.3
