"""VALIS by its bridge: with a stand-in of its programming interface, and itself where it is."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from regdata.errors import RegdataError
from regdata.registration.backends.choice import check_backend
from regdata.registration.backends.valis import ValisRun, deform_valis, missing_valis
from regdata.registration.backends.valis_bridge import points
from regdata.slides.write_tiff import write_ome_tiff
from regdata.transforms.transform import Transform

HERE = ValisRun(python=Path(sys.executable))
SIZE, MPPS = (400, 300), (0.5, 0.65)

STAND_IN = """
import json, sys
from pathlib import Path
import numpy as np

BEHAVIOUR = json.loads(Path(__file__).with_name("behaviour.json").read_text())


class Slide:
    def __init__(self, valis, path):
        self.valis, self.path = valis, path
        self.slide_dimensions_wh = np.array([[400, 300], [200, 150]])

    def warp_xy_from_to(self, xy, to_slide_obj, src_slide_level=0, src_pt_level=0,
                        dst_slide_level=0, non_rigid=True):
        assert self.path.endswith("he.tif") and to_slide_obj.path.endswith("if.tif")
        stage = self.valis.stage if non_rigid else "rigid"
        a, b, c, d, e, f, wave = BEHAVIOUR[stage]
        x, y = np.asarray(xy, float).T
        bend = wave * np.sin(x / 40)
        mapped = np.stack([a * x + b * y + c + bend, d * x + e * y + f], 1)
        if BEHAVIOUR.get("hole"):
            mapped[7] = np.nan
        return mapped


class Valis:
    def __init__(self, src_dir, dst_dir, name, img_list, imgs_ordered, reference_img_f,
                 align_to_reference, check_for_reflections, matcher):
        assert reference_img_f == img_list[0] and align_to_reference and check_for_reflections
        assert matcher.detector.name == "KAZE"
        assert Path(dst_dir).is_dir()

    def register(self, processor_dict):
        self.processors, self.stage = processor_dict, "non_rigid"
        Path(BEHAVIOUR["seen"]).write_text(json.dumps(
            {Path(path).name: [kind.__name__, chosen] for path, (kind, chosen)
             in processor_dict.items()}))
        if BEHAVIOUR.get("fails"):
            raise ValueError("a line\\nno features were found")

    def register_micro(self, max_non_rigid_registration_dim_px, reference_img_f,
                       align_to_reference, processor_dict):
        assert max_non_rigid_registration_dim_px == 100 and processor_dict is self.processors
        if BEHAVIOUR.get("micro_fails"):
            raise MemoryError("out of memory")
        self.stage = "micro"

    def get_slide(self, path):
        return Slide(self, path)
"""

FLIP = [-0.77, 0, 310, 0, 0.77, 4]  # H&E pixels to IF pixels: mirrored, and scaled by the mpps


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Put a module `valis` on the path that behaves as told; what it was asked is in seen.json."""
    folder = tmp_path / "site" / "valis"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "registration.py").write_text(STAND_IN)
    (folder / "preprocessing.py").write_text(
        "class HEDeconvolution: pass\nclass ChannelGetter: pass\n"
    )
    (folder / "feature_detectors.py").write_text("class KazeFD:\n    name = 'KAZE'\n")
    (folder / "feature_matcher.py").write_text(
        "class Matcher:\n    def __init__(self, feature_detector): self.detector = feature_detector"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))

    def behave(**told):
        stages = {"rigid": [*FLIP, 0], "non_rigid": [*FLIP, 3], "micro": [*FLIP, 4]}
        seen = tmp_path / "seen.json"
        text = json.dumps({**stages, "seen": str(seen), **told})
        (folder / "behaviour.json").write_text(text)
        return seen

    return behave


def registered(tmp_path, score, run=HERE, dapi="DAPI"):
    return deform_valis(tmp_path / "he.tif", tmp_path / "if.tif", MPPS, dapi, score, run)


def nearest_to(wave: float):
    """A score that is best for the stage of that wave."""
    xy = np.stack(np.meshgrid(np.arange(10, 190, 5.0), np.arange(10, 140, 5.0)), axis=2)
    expected = by_hand(xy, wave)
    return lambda transform: -float(np.abs(transform.points(xy) - expected).mean())


def by_hand(um: np.ndarray, wave: float) -> np.ndarray:
    """What the stand-in does, in µm."""
    x, y = um[..., 0] / MPPS[0], um[..., 1] / MPPS[0]
    a, b, c, d, e, f = FLIP
    return MPPS[1] * np.stack([a * x + b * y + c + wave * np.sin(x / 40), d * x + e * y + f], -1)


@pytest.mark.parametrize(("stage", "wave"), [("rigid", 0), ("non_rigid", 3), ("micro", 4)])
def test_the_stage_that_scores_best_is_kept_and_is_in_micrometres(stand_in, tmp_path, stage, wave):
    stand_in()
    found = registered(tmp_path, nearest_to(wave))
    xy = np.random.default_rng(0).uniform(5, 145, (200, 2))
    np.testing.assert_allclose(found.points(xy), by_hand(xy, wave), atol=0.03)


def test_hematoxylin_and_the_dapi_channel_are_asked_for(stand_in, tmp_path):
    seen = stand_in()
    for dapi, channel in (("DAPI", "DAPI"), ("2", 2)):
        registered(tmp_path, nearest_to(3), dapi=dapi)
        assert json.loads(seen.read_text()) == {
            "he.tif": ["HEDeconvolution", {"stain": "hem"}],
            "if.tif": ["ChannelGetter", {"channel": channel, "adaptive_eq": True}],
        }


def test_without_the_micro_stage_it_is_not_run(stand_in, tmp_path):
    stand_in(micro_fails=True)
    found = registered(tmp_path, nearest_to(4), ValisRun(HERE.python, micro=0))
    xy = np.array([[60.0, 60.0]])
    np.testing.assert_allclose(found.points(xy), by_hand(xy, 3), atol=0.03)


def test_a_micro_stage_that_fails_takes_nothing_with_it(stand_in, tmp_path):
    stand_in(micro_fails=True)
    xy = np.array([[60.0, 60.0]])
    found = registered(tmp_path, nearest_to(4)).points(xy)
    np.testing.assert_allclose(found, by_hand(xy, 3), atol=0.03)


def test_a_stage_that_folds_is_left_out(stand_in, tmp_path):
    stand_in(micro=[*FLIP, 60])
    xy = np.array([[60.0, 60.0]])
    found = registered(tmp_path, nearest_to(60)).points(xy)
    np.testing.assert_allclose(found, by_hand(xy, 3), atol=0.03)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"fails": True}, "^VALIS failed: no features were found; use another engine$"),
        ({"hole": True}, r"^no map of VALIS can be used: .*VALIS \(rigid\) to map every point"),
    ],
)
def test_what_valis_cannot_do_is_one_line(stand_in, tmp_path, told, message):
    stand_in(**told)
    with pytest.raises(RegdataError, match=message) as caught:
        registered(tmp_path, nearest_to(0))
    assert "\n" not in caught.value.message


def test_a_python_without_valis_is_named(tmp_path):
    with pytest.raises(RegdataError, match=f"{sys.executable} has no VALIS; install valis-wsi"):
        registered(tmp_path, nearest_to(0))


def test_without_valis_one_line_says_where_to_have_it(tmp_path):
    assert "pass `valis_python=PATH`" in str(missing_valis())
    with pytest.raises(RegdataError, match="VALIS is not installed here"):
        registered(tmp_path, nearest_to(0), ValisRun())


def test_a_python_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RegdataError, match=r"got .*nowhere, which is no program"):
        check_backend("valis", tmp_path / "nowhere")
    check_backend("valis", HERE.python)


def test_the_present_python_is_taken_when_it_has_valis(stand_in, tmp_path, monkeypatch):
    stand_in()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert missing_valis() is None
    assert registered(tmp_path, nearest_to(0), ValisRun()).points(np.zeros((1, 2))).shape == (1, 2)


def test_the_grid_reaches_the_end_of_the_slide():
    grid = points([401, 300], 32.0)
    assert grid.shape == (11, 14, 2)
    assert (grid[-1, -1] >= [401, 300]).all()
    assert grid[2, 3].tolist() == [96.0, 64.0]


@pytest.mark.skipif(
    "REGDATA_VALIS_PYTHON" not in os.environ,
    reason="REGDATA_VALIS_PYTHON does not name a python that has VALIS",
)
def test_valis_itself_registers_a_section(section, pair_of, linear, tmp_path):
    pair = pair_of(section, linear(4))
    for slide, name in ((pair.he, "he.tif"), (pair.if_, "if.tif")):
        pixels = slide.read((0, 0), slide.size)
        write_ome_tiff(tmp_path / name, pixels, slide.known_mpp(), slide.channels)
    run = ValisRun(Path(os.environ["REGDATA_VALIS_PYTHON"]), micro=0)
    truth = Transform.affine(pair.he_to_if)

    def score(found: Transform) -> float:
        return -float(np.abs(found.points(pair.xy_um) - truth.points(pair.xy_um)).mean())

    found = registered(tmp_path, score, run)
    assert score(found) > -5.0
