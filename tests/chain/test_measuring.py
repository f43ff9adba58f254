from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from outlined import cells_of, disc, slide_of, white_he
from scipy import ndimage

from regdata.chain.measuring import (
    Channel,
    check_stained,
    correct_channel,
    load_channel,
    load_measured,
    measure_nuclei,
    save_channel,
    save_measured,
    signals,
)
from regdata.chain.options import BuildOptions
from regdata.chain.pair import Pair
from regdata.errors import RegdataError
from regdata.files.rundir import RunDirectory
from regdata.labelling.channels.background import Background
from regdata.labelling.channels.correction import Correction
from regdata.labelling.channels.flat_field import Shading
from regdata.labelling.measuring.measured import Measured
from regdata.labelling.measuring.pixels import Block, PixelValues
from regdata.labelling.thresholds.histogram import Histogram
from regdata.transforms.transform import Transform

SIDE = 512
NUCLEI = [disc(x, y, 8) for y in range(30, SIDE - 20, 40) for x in range(30, SIDE - 20, 40)]


def planes(stained: bool = True, clipped: bool = False) -> NDArray[np.uint16]:
    """DAPI in all nuclei, CD3 in every third, over tissue that shines a little."""
    rng = np.random.default_rng(0)
    glow = ndimage.gaussian_filter(rng.normal(size=(2, SIDE, SIDE)), (0, 3, 3))
    image = 300 + 12 * glow / glow.std() + rng.normal(0, 2, glow.shape)
    light = np.zeros((2, SIDE, SIDE), np.int32)
    for k, nucleus in enumerate(NUCLEI):
        cv2.fillPoly(light[0], [nucleus], 3000)
        if stained and k % 3 == 0:
            cv2.fillPoly(light[1], [nucleus], 90_000 if clipped and k % 2 else 5000)
    image += light
    return image.clip(0, 65535).astype(np.uint16)


def pair_of(image: NDArray[np.uint16]) -> Pair:
    he, if_ = white_he((SIDE, SIDE), 0.25), slide_of(image, 0.25, "DAPI", "CD3")
    return Pair(he=he, if_=if_, dapi=0, markers={"CD3": 1}, identity={})


def options(folder: Path, **changes: Any) -> BuildOptions:
    asked = {"he": "he", "if_": "if", "output": folder / "x.h5", "markers": ("CD3",), **changes}
    return BuildOptions.model_validate(asked)


def run_in(folder: Path) -> RunDirectory:
    keys = {"correct CD3": "a", "correct DAPI": "b", "measure": "c"}
    return RunDirectory(folder / "x.run", keys)


def corrections() -> list[Correction]:
    ground = Background(np.array([[1.5, 2.5]], np.float32), 40.0)
    shading = Shading(np.ones((4, 4), np.float32), 100.0)
    return [
        Correction(3, ground),
        Correction(1, ground, (2, ground, 0.25), shading, True, 65535.0),
    ]


@pytest.mark.parametrize("k", [0, 1])
def test_a_channel_is_kept(k: int, tmp_path: Path) -> None:
    correction = corrections()[k]
    channel = Channel(correction, Histogram(np.arange(5.0), 0.0, 10.0))
    save_channel(tmp_path / "c.npz", channel)
    again = load_channel(tmp_path / "c.npz")
    assert again.pixels.counts.tolist() == [0, 1, 2, 3, 4]
    assert (again.pixels.low, again.pixels.high) == (0, 10)
    assert again.correction.background.grid.tolist() == [[1.5, 2.5]]
    assert again.correction.saturation == correction.saturation
    assert repr(again.correction.describe()) == repr(correction.describe())


def test_what_was_measured_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"mean_curve x": rng.random(4), "column": rng.random(4)}
    block = Block.pack(np.arange(4), np.full(4, 5), rng.random(20).astype(np.float32))
    pixels = {"nucleus_a b": PixelValues((block,)), "ring_x": PixelValues((block, block))}
    measured = Measured(columns, {"nucleus_a b": rng.random((4, 21))}, pixels)
    save_measured(tmp_path / "m.npz", measured)
    again = load_measured(tmp_path / "m.npz")
    for kind in ("columns", "curves"):
        one, other = getattr(measured, kind), getattr(again, kind)
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert again.pixels.keys() == pixels.keys()
    assert len(again.pixels["ring_x"].blocks) == 2
    share = pixels["nucleus_a b"].share(0.5)
    assert again.pixels["nucleus_a b"].share(0.5).tolist() == share.tolist()
    assert 0 < share.mean() < 1


def test_channels_are_corrected_once(tmp_path: Path) -> None:
    pair, asked = pair_of(planes()), options(tmp_path)
    first = correct_channel(pair, "CD3", asked, run_in(tmp_path)).value
    again = correct_channel(pair, "CD3", asked, run_in(tmp_path))
    second = again.value
    assert (again.name, again.kept) == ("correct CD3", True)
    assert np.array_equal(first.pixels.counts, second.pixels.counts)
    assert first.correction.channel == 1
    nuclear = correct_channel(pair, "DAPI", asked, run_in(tmp_path)).value
    assert nuclear.correction.channel == 0
    assert np.array_equal(first.describe().pixels.counts, first.pixels.counts)


def test_nuclei_are_measured_in_corrected_channels(tmp_path: Path) -> None:
    pair, asked = pair_of(planes()), options(tmp_path)
    channels = {
        name: correct_channel(pair, name, asked, run_in(tmp_path)).value for name in ("DAPI", "CD3")
    }
    seen = signals(pair, Transform(), channels, "DAPI")
    assert seen["CD3"].curves
    assert not seen["DAPI"].curves
    cells, run = cells_of(NUCLEI), run_in(tmp_path)
    error = np.full(len(cells), 0.2)
    found = measure_nuclei(pair, cells, seen, error, 1.0, asked, run).value
    third = np.arange(len(cells)) % 3 == 0
    assert found.columns["mean_CD3"][third].min() > 3500
    assert found.columns["mean_CD3"][~third].max() < 100  # the ground is taken off
    assert found.columns["mean_DAPI"].min() > 2000
    again = measure_nuclei(pair, cells, seen, error, 1.0, asked, run_in(tmp_path))
    assert again.kept
    assert np.array_equal(again.value.curves["ring_CD3"], found.curves["ring_CD3"])


def test_saturation_of_markers_is_measured(tmp_path: Path) -> None:
    pair, asked = pair_of(planes(clipped=True)), options(tmp_path)
    channels = {
        name: correct_channel(pair, name, asked, run_in(tmp_path)).value for name in ("DAPI", "CD3")
    }
    assert channels["CD3"].correction.saturation is not None
    seen = signals(pair, Transform(), channels, "DAPI")
    assert seen["DAPI"].saturated is None
    cells = cells_of(NUCLEI)
    error = np.full(len(cells), 0.2)
    found = measure_nuclei(pair, cells, seen, error, 1.0, asked, run_in(tmp_path)).value
    k = np.arange(len(cells))
    full = (k % 3 == 0) & (k % 2 == 1)
    share = found.columns["saturated_CD3"]
    assert share[full].min() > 0.2
    assert share[~full].max() < 0.05


@pytest.mark.parametrize("method", ["auto", "mad:4"])
def test_a_marker_without_stain_is_refused_with_a_figure(tmp_path: Path, method: str) -> None:
    pair = pair_of(planes(stained=False))
    asked = options(tmp_path, thresholds={"CD3": method})
    with pytest.raises(RegdataError, match=r"one population .*\d, 5 needed") as error:
        correct_channel(pair, "CD3", asked, run_in(tmp_path))
    figure = tmp_path / "qc" / "x_CD3_refused.svg"
    assert str(figure) in error.value.message
    assert "`thresholds=CD3=fixed:VALUE`" in error.value.message
    assert "\n" not in error.value.message
    assert figure.read_text().startswith("<svg")


def test_a_threshold_that_was_given_is_taken_at_its_word(tmp_path: Path) -> None:
    pair = pair_of(planes(stained=False))
    asked = options(tmp_path, thresholds={"CD3": "fixed:100"})
    noise = correct_channel(pair, "CD3", asked, run_in(tmp_path)).value.pixels
    check_stained(pair, "CD3", noise, asked)
    assert not (tmp_path / "qc").exists()
    with pytest.raises(RegdataError):
        check_stained(pair, "CD3", noise, options(tmp_path))


def test_a_constant_channel(tmp_path: Path) -> None:
    image = planes()
    image[1] = 700
    with pytest.raises(RegdataError, match="CD3") as error:
        correct_channel(pair_of(image), "CD3", options(tmp_path), run_in(tmp_path))
    assert "\n" not in error.value.message
    assert not list((tmp_path / "x.run").glob("*.npz"))
