import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from evaluated import CLASSES, evaluation, points_only
from pages import HOSTILE, Page

from regdata.eval.pages.folder import write_folder
from regdata.eval.pages.gallery import SHOWN, _in_vain, pick


def written(folder: Path, **how: float) -> tuple[str, dict[str, object]]:
    (folder / "c<1>.pt").write_bytes(b"x")
    found = evaluation(folder, **how)
    presets = {"ocelot": {"mF1": 0.25, "warning": "odd & old"}}
    write_folder(folder / "out", found, folder / "c<1>.pt", "nucls:DIR", presets)
    text = (folder / "out/index.html").read_text()
    return text, json.loads((folder / "out/scores.json").read_text())


def test_names_are_text_on_a_page_that_needs_nothing_beside_itself(tmp_path: Path) -> None:
    found = evaluation(tmp_path, (f"{HOSTILE}1", f"{HOSTILE}2"), stem=HOSTILE)
    found = replace(found, network=HOSTILE, training={HOSTILE: HOSTILE})
    classifier = tmp_path / f"{HOSTILE}.pt"
    classifier.write_bytes(b"x")
    presets = {HOSTILE: {"per_class": {HOSTILE: {"f1": 0.5}}, "warning": HOSTILE}}
    write_folder(tmp_path / "out", found, classifier, HOSTILE, presets)
    page = Page((tmp_path / "out/index.html").read_text())
    for text in (
        f"Evaluation of {HOSTILE}.pt",
        f"Against {HOSTILE}:",
        f"F1 {HOSTILE}1",
        f"{HOSTILE}: {HOSTILE}",
        f"{HOSTILE} f1 0.500",
        f"{HOSTILE}2 (AP",
        f"annotated {HOSTILE}1",
        f"found {HOSTILE}2, P",
        f"{HOSTILE}_0 at x",
        f"network{HOSTILE}, sha256",
        f"{HOSTILE}1 scored as {HOSTILE}1",
    ):
        assert text in page.text, text


def test_the_page_tells_what_the_scores_say(tmp_path: Path) -> None:
    text, scores = written(tmp_path)
    assert f"<b>{scores['mean_f1']:.3f}</b>" in text
    assert f"chance {scores['chance']['mean_f1']:.2f}" in text  # type: ignore[index]
    assert "odd &amp; old" in text
    assert "intervals come from 3 images only" in text
    assert "images of one slide are alike" in text
    matrix = np.array(scores["confusion"]["counts"])  # type: ignore[index]
    in_vain, missed = int(matrix[-1].sum()), int(matrix[:-1, -1].sum())
    confused = int(matrix[0, 1] + matrix[1, 0])
    assert f"found, not annotated: {min(in_vain, SHOWN)} of {in_vain}" in text
    assert f"annotated, not found: {min(missed, SHOWN)} of {missed}" in text
    assert f"with another class: {min(confused, SHOWN)} of {confused}" in text
    shown = sum(min(count, SHOWN) for count in (in_vain, missed, confused))
    assert text.count('href="data:image/jpeg') == shown


def test_scores_hold_counts_per_image_that_add_up(tmp_path: Path) -> None:
    _, scores = written(tmp_path)
    total = sum(np.array(row["confusion"]) for row in scores["counts"])  # type: ignore[attr-defined]
    assert total.tolist() == scores["confusion"]["counts"]  # type: ignore[index]
    assert [row["slide"] for row in scores["counts"]] == ["slide_0", "slide_0", "slide_1"]  # type: ignore[attr-defined]
    assert scores["presets"] == {"ocelot": {"mF1": 0.25, "warning": "odd & old"}}
    assert set(scores["chance"]["per_class"]) == set(CLASSES)  # type: ignore[index]


def test_a_perfect_single_image_still_makes_a_page(tmp_path: Path) -> None:
    text, scores = written(tmp_path, images=1, right=5.0)
    assert "there is one image only" in text
    assert "There are none." in text  # no confusions
    assert scores["mean_f1_interval"] is None


def test_the_gallery_shows_all_images_when_one_has_most_mistakes() -> None:
    rng = np.random.default_rng(0)
    truth = np.array([[900.0, 900.0]])
    crowded = points_only(truth, rng.uniform(0, 500, (400, 2)))
    few = points_only(truth, rng.uniform(0, 500, (3, 2)))
    images = [crowded, few]
    cases = pick(images, [_in_vain(one) for one in images], ["cell"])
    assert len(cases) == SHOWN
    assert {case.image for case in cases} == {0, 1}
