"""Whole slides with a network that sees nuclei by their colour, so that the truth is exact."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from regdata.cells import EDGE
from regdata.cellvit.config import CellViTConfig
from regdata.cellvit.inference import autocast_dtype, predict
from regdata.cellvit.network import CellViT
from regdata.cellvit.segment import SegmentSettings, segment, segment_image
from regdata.cellvit.weights import Model
from regdata.slide import Box, Slide
from regdata.train.targets import hv_map


class ByColour(torch.nn.Module):
    """Dark is nucleus; HV from connected components; the token is the mean red of its patch."""

    def __init__(self) -> None:
        super().__init__()
        self.config = CellViTConfig(embed_dim=1, classes=("background", "cell"))

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        red = (image[0, 0].numpy() + 1) / 2
        dark = red < 0.5
        labels, _ = ndimage.label(dark)
        logit = torch.from_numpy(np.where(dark, 8.0, -8.0).astype(np.float32))
        both = torch.stack([-logit, logit])[None]
        return {
            "nuclei_binary_map": both,
            "hv_map": torch.from_numpy(hv_map(labels.astype(np.int32)))[None],
            "nuclei_type_map": both,
            "tokens": torch.nn.functional.avg_pool2d(image[:, :1], 16),
        }


MODEL = Model(ByColour(), "0" * 64, torch.device("cpu"))  # type: ignore[arg-type]


def slide_of(rgb: NDArray[np.uint8], mpp: float = 0.25) -> Slide:
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))

    def pixels(level: int, box: Box, channels: tuple[int, ...]) -> NDArray[np.uint8]:
        return planes[list(channels), box.y : box.y + box.h, box.x : box.x + box.w]

    size = (rgb.shape[1], rgb.shape[0])
    return Slide(Path("x.tif"), (size,), mpp, ("red", "green", "blue"), np.dtype(np.uint8), pixels)


def with_discs(size: tuple[int, int], xy: NDArray[np.float64], radius: float) -> Slide:
    """A white slide with a dark disc around each point, corner origin."""
    rows, columns = np.indices((size[1], size[0])) + 0.5
    rgb = np.full((size[1], size[0], 3), 255, np.uint8)
    for x, y in xy:
        rgb[(columns - x) ** 2 + (rows - y) ** 2 < radius**2] = 0
    return slide_of(rgb)


SMALL = SegmentSettings(tile=256, overlap=64)


def test_discs_are_found_once_wherever_they_lie() -> None:
    step = 37.0  # no divisor of the stride, so that seams cut discs everywhere
    xy = np.stack(np.meshgrid(np.arange(20, 700, step), np.arange(20, 500, step)), -1)
    xy = xy.reshape(-1, 2)
    cells = segment_image(with_discs((720, 520), xy, 10), MODEL, SMALL)
    assert len(cells) == len(xy)
    distance, partner = cKDTree(cells.xy).query(xy)
    assert distance.max() < 0.6
    assert len(set(partner.tolist())) == len(xy)


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.2, 0.325])
def test_positions_are_level_0_pixels_at_any_resolution(mpp: float) -> None:
    xy_um = np.array([[30.0, 20.0], [100.0, 60.0], [60.0, 95.0]])
    size = (round(130 / mpp), round(110 / mpp))
    rows, columns = np.indices((size[1], size[0])) + 0.5
    rgb = np.full((size[1], size[0], 3), 255, np.uint8)
    for x, y in xy_um / mpp:
        rgb[(columns - x) ** 2 + (rows - y) ** 2 < (4 / mpp) ** 2] = 0
    cells = segment_image(slide_of(rgb, mpp), MODEL, SMALL)
    distance, _ = cKDTree(cells.xy * mpp).query(xy_um)
    assert len(cells) == 3
    assert distance.max() < 0.2  # µm
    assert np.allclose(cells.area_um2, np.pi * 16, rtol=0.15)


def test_one_row_and_one_column_slides() -> None:
    for size in ((900, 60), (60, 900)):
        xy = np.array([[30.0, 30.0], [size[0] - 30.0, size[1] - 30.0]])
        cells = segment_image(with_discs(size, xy, 10), MODEL, SMALL)
        assert np.abs(np.sort(cells.xy, 0) - np.sort(xy, 0)).max() < 0.6


def test_cut_nuclei_are_flagged() -> None:
    cells = segment_image(with_discs((300, 200), np.array([[2.0, 90.0], [150, 90]]), 10), MODEL)
    flagged = dict(zip(np.round(cells.xy[:, 0]).astype(int).tolist(), cells.flags, strict=True))
    assert {x: bool(flag & EDGE) for x, flag in flagged.items()} == {150: False, min(flagged): True}


def test_tiles_without_tissue_are_not_read() -> None:
    xy = np.array([[100.0, 100.0], [600.0, 400.0]])
    slide = with_discs((720, 520), xy, 10)
    tissue = np.zeros((52, 72), bool)
    tissue[:20, :20] = True
    cells = [c for part in segment(slide, MODEL, tissue, SMALL) for c in part.xy.tolist()]
    assert np.abs(np.array(cells) - xy[:1]).max() < 0.6


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    slide = with_discs((720, 520), np.array([[100.0, 100.0]]), 10)
    list(segment(slide, MODEL, settings=SMALL, progress=told.append))
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_network_shapes_and_padding() -> None:
    torch.manual_seed(0)
    config = CellViTConfig(
        embed_dim=32, depth=1, heads=2, stem_widths=(4, 4, 8), decoder_widths=(8, 8, 4, 4)
    )
    model = Model(CellViT(config).eval(), "0", torch.device("cpu"))
    maps = predict(model, np.zeros((100, 70, 3), np.uint8))
    assert maps.nucleus.shape == (100, 70)
    assert maps.hv.shape == (2, 100, 70)
    assert maps.kinds.shape == (5, 100, 70)
    assert np.allclose(maps.kinds.sum(0), 1, atol=1e-2)
    assert maps.tokens.shape == (32, 7, 5)


def test_windows_see_what_crops_see() -> None:
    """A window of a large image gives the tokens that the same crop alone gives."""
    torch.manual_seed(0)
    config = CellViTConfig(
        embed_dim=32, depth=2, heads=2, stem_widths=(4, 4, 8), decoder_widths=(8, 8, 4, 4)
    )
    encoder = CellViT(config).eval().encoder
    patches = torch.randn(1, 32, 32, 48)
    with torch.inference_mode():
        whole = encoder(patches)
        crop = encoder(patches[:, :, 16:32, 32:48])
    assert torch.allclose(whole[:, :, 16:32, 32:48], crop, atol=1e-5)
    assert not torch.allclose(whole[:, :, :16, :16], crop, atol=1e-2)


def test_autocast_type_is_one_of_torch() -> None:
    assert autocast_dtype(torch.device("cpu")) in (torch.bfloat16, torch.float32)
