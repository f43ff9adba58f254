from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from regdata.errors import RegdataError
from regdata.labelling.channels.autofluorescence import check_channels, fit_ratio
from regdata.slides.slide import Slide


def planes(
    share: float, noise: float, ratio: float = 2.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Marker and autofluorescence of a matrix, a share of it stained, both with noise."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(150, 160)), 3)
    matrix = 100 + 25 * smooth / smooth.std()
    stained = ndimage.gaussian_filter(rng.normal(size=matrix.shape), 2)
    stained = stained > np.quantile(stained, 1 - share) if share else np.zeros_like(matrix, bool)
    marker = ratio * matrix + 300 * stained * rng.lognormal(0, 0.4, matrix.shape)
    marker += noise * rng.normal(size=matrix.shape) - 150
    af = matrix + noise / 2 * rng.normal(size=matrix.shape) - 80
    return marker.astype(np.float32), af.astype(np.float32)


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.5])
@pytest.mark.parametrize("noise", [0.0, 20.0])
def test_stained_pixels_and_noise_do_not_pull_it(share: float, noise: float) -> None:
    marker, af = planes(share, noise)
    tissue = np.ones(marker.shape, bool)
    assert fit_ratio(marker, af, tissue) == pytest.approx(2.0, rel=0.05)


def test_a_plain_regression_would_have_been_pulled() -> None:
    marker, af = planes(0.0, 10.0)
    rise = np.clip((ndimage.gaussian_filter(af, 1) + 10) / 120, 0, 0.6)
    marker += 300 * (np.random.default_rng(1).random(af.shape) < rise)
    plain = np.polyfit(af.ravel(), marker.ravel(), 1)[0]
    assert plain > 3.5
    assert fit_ratio(marker, af, np.ones(af.shape, bool)) == pytest.approx(2.0, rel=0.1)


def test_glass_says_nothing() -> None:
    marker, af = planes(0.1, 5.0)
    tissue = np.ones(marker.shape, bool)
    tissue[:, 80:] = False
    marker[:, 80:] = 5000 - 40 * af[:, 80:]
    assert fit_ratio(marker, af, tissue) == pytest.approx(2.0, rel=0.05)


def test_no_relation_subtracts_nothing() -> None:
    marker, af = planes(0.1, 5.0, ratio=-1.0)
    assert fit_ratio(marker, af, np.ones(marker.shape, bool)) == 0


def test_constant_channel_and_little_tissue_are_refused() -> None:
    marker, af = planes(0.1, 5.0)
    tissue = np.ones(marker.shape, bool)
    with pytest.raises(RegdataError, match=r"constant \(value 3\)"):
        fit_ratio(marker, np.full_like(af, 3), tissue)
    with pytest.raises(RegdataError, match="got 10"):
        fit_ratio(marker, af, np.arange(tissue.size).reshape(tissue.shape) < 10)


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (0, "got DAPI, which is the nuclear"),
        (1, "got CD3, which is the marker"),
        (3, "no channel 3"),
    ],
)
def test_other_channels_are_refused(channel: int, message: str) -> None:
    slide = Slide(
        Path("if.tif"),
        ((8, 8),),
        0.5,
        ("DAPI", "CD3", "AF"),
        np.dtype(np.uint16),
        lambda level, box, channels: np.zeros((len(channels), box.h, box.w), np.uint16),
    )
    check_channels(slide, 1, 2, 0)
    with pytest.raises(RegdataError, match=message):
        check_channels(slide, 1, channel, 0)
