import hovernet
import numpy as np
import pytest
from numpy.typing import NDArray

from regdata.cellvit.maps.host_maps import HostMaps
from regdata.cellvit.maps.maps import PostprocessSettings
from regdata.cellvit.maps.postprocess import find_cells
from regdata.cellvit.maps.token_shares import TokenGrid, token_shares


def drawn() -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    instances = np.zeros((32, 32), np.int32)
    instances[0:4, 12:20] = 1  # 16 pixels in patch 0, 16 in patch 1
    instances[20:24, 0:4] = 2  # in patch 2 only
    instances[15, 0:20] = 3
    instances[16, 0:4] = 3  # 16 + 4 + 4 pixels, in patches 0, 1, 2; its box touches all four
    return instances, np.array([[0, 12, 4, 20], [20, 0, 24, 4], [15, 0, 17, 20]])


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [("nucleus", [[5.0], [3.0], [(10 * 4 + 3 * 4) / 24]]), ("box", [[5.0], [3.0], [28.0]])],
)
def test_means_by_hand(tokens: str, expected: list[list[float]]) -> None:
    values = np.array([[[0.0, 10.0], [3.0, 99.0]]], np.float32)
    none = np.zeros((1, 32, 32), np.float32)
    shares = token_shares(*drawn(), TokenGrid(2, 2, 16), tokens)
    mean = HostMaps(none[0], none, none, values).mean_tokens(shares)
    assert mean == pytest.approx(np.array(expected), abs=2e-3)


def test_tokens_of_a_resized_input() -> None:
    # Virchow sees 1024 px as 1022: 73 tokens of 14.03 px, the last one up to the tile's edge
    patch = 14 * 1024 / 1022
    instances = np.zeros((1024, 1024), np.int32)
    instances[1000:1024, 1010:1024] = 1
    shares = token_shares(
        instances, np.array([[1000, 1010, 1024, 1024]]), TokenGrid(73, 73, patch), "box"
    )
    assert shares.place.tolist() == [71 * 73 + 72, 72 * 73 + 72]
    pixels = token_shares(
        instances, np.array([[1000, 1010, 1024, 1024]]), TokenGrid(73, 73, patch), "nucleus"
    )
    # token row 72 begins at 1009.97: the centres of rows 1010 to 1023 are in it
    assert pixels.weight == pytest.approx([10 / 24, 14 / 24])


@pytest.mark.parametrize("tokens", ["nucleus", "box"])
def test_weights_add_up_to_one(tokens: str) -> None:
    maps = hovernet.scene(2)
    instances, cells = find_cells(maps, 0.25, PostprocessSettings(tokens=tokens))
    ones = np.ones_like(maps.tokens)
    constant = HostMaps(maps.nucleus, maps.hv, maps.kinds, ones)
    places = [np.nonzero(instances == i + 1) for i in range(len(cells))]
    box = np.array([[r.min(), c.min(), r.max() + 1, c.max() + 1] for r, c in places])
    shares = token_shares(instances, box, TokenGrid(*maps.tokens.shape[1:], 16), tokens)
    assert constant.mean_tokens(shares) == pytest.approx(1)
    assert len(shares.starts) == len(cells) + 1
