"""Where the nuclei of a build are looked for, and with what."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from coloured import HEMATOXYLIN, MODEL
from numpy.typing import NDArray

from regdata.cellvit.tiles.journal import Journal
from regdata.chain.nuclei import slide_cells
from regdata.chain.options import SlideOptions
from regdata.chain.tiling import settings_of
from regdata.errors import RegdataError
from regdata.files.progress import silent
from regdata.slides import RGB, ArrayPixels, Slide

SIZE = (300, 200)
CENTRES = [(x, y) for y in range(30, 190, 40) for x in range(30, 290, 40)]
Find = Callable[..., NDArray[np.float64]]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    rgb = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
    for centre in CENTRES:
        cv2.circle(rgb, centre, 9, HEMATOXYLIN, -1)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
    he = Slide(tmp_path / "he.png", (SIZE,), 0.25, RGB, rgb.dtype, ArrayPixels((planes,)))

    def cells(**changes: Any) -> NDArray[np.float64]:
        paths = {"he": he.path, "output": tmp_path / "x.h5", "markers": ("m",)}
        options = SlideOptions.model_validate({"tissue": "all"} | paths | changes)
        (tmp_path / "j").unlink(missing_ok=True)
        with Journal.open(tmp_path / "j", "k", MODEL.config.token_width) as journal:
            tables = list(slide_cells(he, MODEL, options, journal, silent))
        return np.concatenate([table.xy for table in tables])

    return cells


def test_everywhere(find: Find) -> None:
    assert len(find()) == len(CENTRES)


def test_in_a_region(find: Find) -> None:
    xy = find(region="0,0,130,100")
    assert len(xy) == sum(x < 130 and y < 100 for x, y in CENTRES)
    assert (xy < (130, 100)).all()


def test_in_polygons(find: Find, tmp_path: Path) -> None:
    ring = [[0, 0], [150, 0], [150, 200], [0, 200], [0, 0]]
    shape = {"type": "Feature", "properties": {}, "geometry": {}}
    shape["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    (tmp_path / "t.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [shape]})
    )
    # tissue chooses tiles, and there is one: nothing is lost that touches it
    assert len(find(tissue=str(tmp_path / "t.geojson"))) == len(CENTRES)
    ring[:] = [[5000, 5000], [5010, 5000], [5010, 5010], [5000, 5000]]
    shape["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    (tmp_path / "t.geojson").write_text(
        json.dumps({"type": "FeatureCollection", "features": [shape]})
    )
    with pytest.raises(RegdataError):
        find(tissue=str(tmp_path / "t.geojson"))


def test_speed_is_not_the_result(find: Find) -> None:
    assert np.array_equal(find(workers=1, batch_size=3), find(workers=3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tissue": "al"}, "`tissue=al`: expected auto, all, or a GeoJSON file"),
        ({"region": "1,2,3"}, "1,2,3"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, str], message: str) -> None:
    paths = {"he": Path("he"), "output": Path("x.h5"), "markers": ("m",)}
    with pytest.raises(RegdataError, match=message):
        settings_of(SlideOptions.model_validate(paths | changes))
