import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.labelling.measuring.pixels import Block, PixelValues


def nuclei(seed: int, scale: float = 300.0) -> list[NDArray[np.float32]]:
    """Sorted intensities of nuclei of any size, none at all included."""
    rng = np.random.default_rng(seed)
    sizes = [0, 1, 2, 700, *rng.integers(0, 900, 40).tolist()]
    values = [np.sort(rng.normal(scale, 0.6 * scale, n).astype(np.float32)) for n in sizes]
    values[5][:] = scale  # a saturated one
    return values


def packed(values: list[NDArray[np.float32]], parts: int) -> PixelValues:
    """In blocks of nuclei from all over."""
    blocks = []
    for part in range(parts):
        rows = np.arange(part, len(values), parts)
        own = [values[i] for i in rows]
        area = np.array([len(v) for v in own], np.int64)
        blocks.append(Block.pack(rows, area, np.concatenate(own)))
    return PixelValues(tuple(blocks))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 300.0, 40_000.0, 1e9])
def test_intensities_are_kept_to_sixteen_significant_bits(scale: float) -> None:
    values = nuclei(0, scale)
    (block,) = packed(values, 1).blocks
    exact = np.concatenate(values)
    kept = block.values()
    assert (np.abs(kept - exact) <= np.abs(exact) * 2.0**-16).all()
    again = Block.pack(block.rows, block.area, kept)
    assert again.values().tolist() == kept.tolist()  # what is rounded stays as it is


def test_grey_levels_of_a_camera_are_kept_as_they_are() -> None:
    levels = np.arange(65536, dtype=np.float32)
    block = Block.pack(np.array([0]), np.array([len(levels)]), levels)
    assert np.array_equal(block.values(), levels)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("again", [False, True])
def test_shares_are_counts_of_pixels_at_any_threshold(parts: int, again: bool) -> None:
    values = nuclei(1)
    pixels = packed(values, parts)
    if again:
        pixels = PixelValues.from_arrays(pixels.to_arrays())
    kept: dict[int, NDArray[np.float32]] = {}
    for block in pixels.blocks:
        ends = np.cumsum(block.area)
        kept |= {
            int(row): block.values()[end - n : end]
            for row, n, end in zip(block.rows, block.area, ends, strict=True)
        }
    cuts = np.random.default_rng(2).uniform(0, 700, len(values)).astype(np.float32)
    cuts[3] = kept[3][500]  # a pixel's own intensity is not above it
    hits = [int((kept[i] > cut).sum()) for i, cut in enumerate(cuts)]
    expected = [np.float32(n / max(len(kept[i]), 1)) for i, n in enumerate(hits)]
    assert pixels.share(cuts).tolist() == expected
    assert expected[3] == np.float32((kept[3] > kept[3][500]).sum() / 700)
    assert pixels.share(-np.inf).tolist() == [float(len(v) > 0) for v in values]
    assert pixels.share(np.inf).tolist() == [0.0] * len(values)


def test_a_nucleus_takes_few_bytes() -> None:
    rng = np.random.default_rng(3)
    values = [np.sort(rng.lognormal(6, 0.7, 600).astype(np.float32)) for _ in range(50)]
    assert packed(values, 1).to_arrays()["packed"].nbytes < 1000 * len(values)


def test_no_nuclei() -> None:
    nothing = PixelValues.from_arrays(PixelValues(()).to_arrays())
    assert nothing.share(1.0).shape == (0,)
