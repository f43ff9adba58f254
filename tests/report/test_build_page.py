import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pages import HOSTILE, Page
from reported import RADIUS, Judged, made

from regdata.cells.dataset import write_dataset
from regdata.cells.record import ModelRecord, Record
from regdata.report.build_page import classes_from, load_build, write_report
from regdata.report.cells import nucleus, panels_of, pick, white_of
from regdata.report.charts import NEGATIVE_COLOUR, POSITIVE_COLOUR
from regdata.report.contents import Build
from regdata.report.markers import _BETWEEN, _overlaps
from regdata.report.qc import look, write_pictures

MIXED = ["CD3"] * 30 + ["negative"] * 50 + ["unknown"] * 20


def written(build: Build, folder: Path) -> Page:
    path = folder / "qc" / "x.html"
    write_report(path, build)
    return Page(path.read_text(encoding="utf-8"))


def pictures(text: str) -> list[NDArray[np.uint8]]:
    coded = re.findall(r'data:image/jpeg;base64,([^"]+)', text)
    found = [cv2.imdecode(np.frombuffer(base64.b64decode(c), np.uint8), 1) for c in coded]
    return [image[..., ::-1] for image in found]


def test_the_page_says_what_is_known_and_needs_nothing_else(tmp_path: Path) -> None:
    found = written(made(MIXED), tmp_path)
    assert found.refers
    for words in (
        "30",
        "CD3 (30.0%)",
        "50",
        "negative (50.0%)",
        "unknown (20.0%)",
        "Registration accepted: median expected error 0.40 µm",
        "90% of 7 tiles",
        "local:150 around otsu",
        "100 to 300 over the slide",
        "4; above 2 for two populations",
        "overlap or intensity between negative and positive",
        "CD3: 30 of 30",
        "negative: 40 of 50",
        "unknown: 20 of 20",
        "a/<he>.tif: 512 x 512 pixels",
        "not as a measured error rate",
    ):
        assert words in found.text, words
    crops = [tag for tag in found.tags if tag == "polygon"]
    assert len(crops) == 2 * (30 + 40 + 20)


def test_pictures_are_pictures(tmp_path: Path) -> None:
    written(made(MIXED), tmp_path)
    found = pictures((tmp_path / "qc" / "x.html").read_text(encoding="utf-8"))
    assert all(image is not None and image.size for image in found)
    assert sum(image.shape == (48, 48, 3) for image in found) == 180


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["CD3"] * 3 + ["negative"] * 30, "Every nucleus has a label"),
        (["negative"] * 30 + ["unknown"], "no nucleus is CD3"),
        (["unknown"] * 12, "100% of the nuclei are unknown"),
        (["CD3"], "only 1 nucleus is CD3"),
        (["negative"], "no nucleus is CD3"),
        ([], "no nucleus is CD3"),
    ],
    ids=["no unknown", "no positive", "only unknown", "one positive", "one negative", "nothing"],
)
@pytest.mark.parametrize("masks", [False, True])
def test_a_page_of_what_there_is(
    tmp_path: Path, labels: list[str], words: str, masks: bool
) -> None:
    assert words in written(made(labels, masks=masks), tmp_path).text


def test_names_are_text(tmp_path: Path) -> None:
    build = made([HOSTILE] * 5 + ["negative"] * 6 + ["unknown"], HOSTILE)
    reason = pd.Categorical([HOSTILE] * 12)
    record = replace(build.record, model=ModelRecord(name=HOSTILE))
    odd = replace(build, name=f"{HOSTILE}.h5", warnings=(HOSTILE,), record=record)
    odd = replace(odd, obs=build.obs.assign(reason=reason), verdict=Judged("warn", (HOSTILE,)))
    page = written(odd, tmp_path)
    for text in (
        f"Labels of {HOSTILE}.h5",
        f"Marker {HOSTILE}",
        f"{HOSTILE} black at 0",
        f"P is the probability of {HOSTILE}",
        f"only 5 nuclei are {HOSTILE}",
        f"{HOSTILE}: share of the nuclei per tile",
        f"class {HOSTILE}",
        "a/<he>.tif: 512 x 512 pixels",
    ):
        assert text in page.text, text
    assert build.classes[HOSTILE].markers == (HOSTILE,)


def test_masks_need_no_second_slide(tmp_path: Path) -> None:
    found = written(made(MIXED, masks=True), tmp_path)
    assert "No registration" in found.text
    assert "CD3 is a mask" in found.text
    assert "how well it fits the H&E" in found.text
    assert "a/masks.png: 512 x 512 pixels" in found.text
    assert "error" not in found.text.split("Gallery")[1].split("What the numbers mean")[0]


def test_a_doubtful_registration_says_why(tmp_path: Path) -> None:
    judged = Judged("warn", ("62% of 7 tiles agree",))
    text = written(replace(made(MIXED), verdict=judged), tmp_path).text
    assert "Registration doubtful" in text
    assert "62% of 7 tiles agree" in text


@pytest.mark.parametrize("masks", [False, True])
def test_the_outline_is_that_of_the_nucleus_in_both_pictures(masks: bool) -> None:
    build = made(["CD3"] * 25 + ["negative"] * 5, masks=masks)
    for index in (0, 13, 24):
        crop = nucleus(build, index, "CD3", {"CD3": white_of(build, "CD3")})
        he, marker = crop.pictures
        points = crop.outlines[0].points
        drawn = np.zeros(he.shape[:2], np.uint8)
        cv2.fillPoly(drawn, [np.rint((points - 0.5) * 16).astype(np.int32)], 1, shift=4)
        middle = points.mean(0)
        here = np.linalg.norm(np.indices(drawn.shape)[::-1].T + 0.5 - middle, axis=-1).T
        near = here < RADIUS + 6  # no neighbour's pixels
        assert abs(here[drawn > 0].max() - RADIUS) < 0.5
        assert np.array_equal(drawn[near] > 0, he[..., 0][near] < 160)
        assert np.array_equal(drawn[near] > 0, marker[..., 0][near] > 120)


def test_stained_pixels_are_orange_and_others_grey() -> None:
    build = made(["CD3"] * 5 + ["negative"] * 5)
    white = {"CD3": white_of(build, "CD3")}
    assert white["CD3"] == pytest.approx(900)
    stained, not_ = (nucleus(build, k, "CD3", white).pictures[1] for k in (0, 8))
    colour = stained[24, 24].astype(int)
    assert colour[0] > 200 > colour[2] + 100
    assert np.ptp(not_[24, 24].astype(int)) < 20


def test_the_likeliest_come_first_and_are_the_same_again() -> None:
    build = made(["negative"] * 80 + ["CD3"] * 10)
    chance = np.linspace(0, 0.3, 90, dtype=np.float32)
    spread = {"CD3": replace(build.classes["CD3"], chance=chance)}
    build = replace(build, classes=spread)
    picked = pick(build, "CD3", "negative", 40)
    assert len(set(picked.tolist())) == 40
    assert (np.diff(chance[picked]) <= 0).all()
    assert (build.labels[picked] == "negative").all()
    assert np.array_equal(picked, pick(build, "CD3", "negative", 40))


def test_unknown_nuclei_of_every_reason_are_shown() -> None:
    build = made(["unknown"] * 90)
    reason = np.array(["ambiguous"] * 85 + ["missing"] * 5)
    build = replace(build, obs=build.obs.assign(reason=pd.Categorical(reason)))
    picked = pick(build, "CD3", "unknown", 20)
    assert (reason[picked] == "missing").sum() == 5


def test_a_class_has_the_probability_and_the_markers_of_its_rule() -> None:
    obs = pd.DataFrame(
        {"probability_A": np.float32([0.9, 0.5]), "probability_B": np.float32([0.2, 0.5])}
    )
    record = Record(classes=("negative", "plasma"), options={"classes": {"plasma": "A & ~B"}})
    found = classes_from(record, obs, ("A", "B"))["plasma"]
    assert found.markers == ("A", "B")
    assert found.rule == "A & ~B"
    assert found.chance == pytest.approx([0.72, 0.25])
    blind = classes_from(replace(record, options={}), obs[[]], ("A", "B"))["plasma"]
    assert np.isnan(blind.chance).all()


def test_a_class_shows_only_its_markers() -> None:
    build = made(MIXED, classes={"T": "CD3"})
    assert panels_of(build, "T") == ["CD3"]
    one = replace(build.classes["T"], markers=("other",))
    assert panels_of(replace(build, classes={"T": one}), "T") == []
    assert len(nucleus(build, 0, "T", {}).pictures) == 1


def test_it_is_read_from_a_file(tmp_path: Path) -> None:
    build = made(MIXED)
    path = tmp_path / "labelled.h5"
    tokens = replace(build.cells, tokens=np.zeros((len(MIXED), 4), np.float16))
    with write_dataset(path, 4) as out:
        out.append(tokens, {name: build.obs[name].to_numpy() for name in build.obs})
        out.finish(("background", "a"), build.record)
    seen = look(build.aligned, path)
    assert seen.near_dapi is not None
    assert np.array_equal(seen.near_he, build.look.he)
    found = load_build(path, "x.h5", build.aligned, seen, Judged(), ("careful",))
    assert found.labels.tolist() == MIXED
    assert np.array_equal(found.cells.vertices, build.cells.vertices)
    text = written(found, tmp_path).text
    assert "careful" in text
    assert "CD3 (30.0%)" in text


@pytest.mark.parametrize("masks", [False, True])
def test_pictures_beside_it_leave_out_what_there_is_not(tmp_path: Path, masks: bool) -> None:
    build = made(MIXED, masks=masks)
    path = tmp_path / "labelled.h5"
    cells = replace(build.cells, tokens=np.zeros((len(MIXED), 4), np.float16))
    with write_dataset(path, 4) as out:
        out.append(cells, {"label": build.labels, "slide": "s", "patient": "p"})
        out.finish(("background", "a"), Record(classes=build.record.classes))
    seen = look(build.aligned, path)
    paths = write_pictures(tmp_path, "x", build.aligned, path, seen)
    alignment = {"x_overlay.png", "x_overlay_detail.png", "x_checkerboard.png"}
    assert {p.name for p in paths} == {"x_CD3.png", "x_cells.png", *(() if masks else alignment)}
    picture = cv2.imread(str(tmp_path / "x_CD3.png"))
    mask = picture[28 + 40, 40].astype(int)  # yellow over a stained nucleus, under the caption
    assert mask[2] > mask[0] + 50


def test_a_page_that_cannot_be_made_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = made(["CD3"] * 4)
    written(build, tmp_path)
    before = (tmp_path / "qc" / "x.html").read_text()
    broken = replace(build, cells=build.cells.take(np.arange(2)))
    with pytest.raises((IndexError, ValueError)):
        written(broken, tmp_path)
    assert (tmp_path / "qc" / "x.html").read_text() == before
    assert not list(tmp_path.rglob("*.part"))


AT = [0.0, 0.05, 1 / 20, 0.0625, 0.15, 3 / 20, 15 / 100, 0.1625, 1.0]
"""Shares at the cut-offs and beside them."""


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ({}, 7),
        ({"legacy_overlap": True}, 4),
        ({"overlap": 0.0625}, 4),
        ({"overlap": 0.0625, "legacy_overlap": True}, 3),
    ],
)
def test_who_is_positive_is_what_the_rule_says(asked: dict[str, Any], first: int) -> None:
    build = made(["CD3"] * len(AT))
    build = replace(
        build,
        obs=build.obs.assign(overlap_CD3=np.array(AT, np.float32)),
        record=replace(build.record, options=asked),
    )
    assert build.positive("CD3").tolist() == [k >= first for k in range(len(AT))]


@pytest.mark.parametrize(
    ("asked", "colours"),
    [
        ({"overlap": 0.1125, "ambiguous": 0.0625}, "0001122"),  # the middles of bars 4 and 2
        ({"overlap": 0.1125, "legacy_overlap": True}, "0000222"),
        ({"overlap": 0.0625, "ambiguous": 0.0625}, "0002222"),
    ],
)
def test_bars_have_the_colour_of_what_the_rule_says(asked: dict[str, Any], colours: str) -> None:
    build = made(["CD3"] * 40)
    build = replace(
        build,
        obs=build.obs.assign(overlap_CD3=(np.arange(40) + 0.5) / 40),  # a nucleus in every bar
        record=replace(build.record, options=asked),
    )
    figure = _overlaps(build, "CD3")
    assert f"positive above {asked['overlap']:g}" in figure.text
    bars = [NEGATIVE_COLOUR, _BETWEEN, POSITIVE_COLOUR]
    fills = [c for c in re.findall(r'fill="(#[0-9a-f]{6})"', str(figure.chart)) if c in bars]
    assert len(fills) == 40
    assert "".join(str(bars.index(fill)) for fill in fills[:7]) == colours
