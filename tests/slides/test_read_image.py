from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from slide_files import noise, picture

from regdata.slides.open import open_slide, picture_size

RGB = ("red", "green", "blue")


def test_png_modes(tmp_path: Path) -> None:
    rgb = picture(30, 20)
    grey = noise(20, 30, dtype="uint8")
    deep = noise(20, 30, dtype="uint16")
    clear = np.dstack([rgb, np.where(np.arange(30) < 15, 255, 0) * np.ones((20, 1))])
    on_white = np.where(np.arange(30)[None, :, None] < 15, rgb, 255)
    palette = Image.fromarray(rgb).quantize(16)
    cases = [
        (Image.fromarray(rgb), rgb.transpose(2, 0, 1)),
        (Image.fromarray(grey), grey[None]),
        (Image.fromarray(deep), deep[None]),
        (Image.fromarray(clear.astype(np.uint8)), on_white.transpose(2, 0, 1)),
        (Image.fromarray(grey > 99), ((grey > 99) * 255)[None]),
        (palette, np.asarray(palette.convert("RGB")).transpose(2, 0, 1)),
        (Image.fromarray(np.dstack([grey, np.zeros_like(grey)])), np.full((1, 20, 30), 255)),
    ]
    for stored, expected in cases:
        stored.save(tmp_path / "x.png")
        slide = open_slide(tmp_path / "x.png")
        assert slide.channels == (RGB if len(expected) == 3 else ("channel 0",)), stored.mode
        assert slide.dtype == ("uint16" if stored.mode == "I;16" else "uint8")
        assert slide.mpp is None
        assert np.array_equal(slide.read((0, 0), (30, 20)), expected), stored.mode


def test_a_transparent_palette_lies_on_white(tmp_path: Path) -> None:
    indices = np.arange(600).reshape(20, 30) % 2
    stored = Image.new("P", (30, 20))
    stored.putdata(indices.ravel().tolist())
    stored.putpalette([10, 20, 30, 40, 50, 60])
    stored.save(tmp_path / "x.png", transparency=1)
    expected = np.where(indices[..., None] == 1, 255, [10, 20, 30])
    assert np.array_equal(open_slide(tmp_path / "x.png").read_rgb((0, 0), (30, 20)), expected)


def test_jpeg(tmp_path: Path) -> None:
    image = picture(90, 60)
    Image.fromarray(image).save(tmp_path / "x.jpg", quality=95, dpi=(25400, 25400))
    slide = open_slide(tmp_path / "x.jpg")
    assert slide.channels == RGB
    assert slide.mpp is None
    assert np.abs(slide.read_rgb((0, 0), (90, 60)).astype(int) - image).max() < 12
    Image.fromarray(image[..., 0]).save(tmp_path / "g.jpg")
    assert open_slide(tmp_path / "g.jpg").channels == ("channel 0",)


def test_a_picture_of_slide_size_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # by default 89 million
    for name in ("x.png", "x.jpg"):
        Image.fromarray(picture(60, 50)).save(tmp_path / name)
        with pytest.raises(Image.DecompressionBombError):
            Image.open(tmp_path / name)
        assert open_slide(tmp_path / name).size == (60, 50)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_says(
    orientation: int, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{ending}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((4, 9, 3), np.uint8)).save(path, exif=exif)
    size = open_slide(path).size
    assert size == ((4, 9) if orientation >= 5 else (9, 4))
    assert picture_size(path) == size[::-1]
