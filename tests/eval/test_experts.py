import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pages import HOSTILE, Page
from reported import discs

from regdata.cells.dataset import write_dataset
from regdata.cells.record import Record, SlideRecord
from regdata.errors import RegdataError
from regdata.eval.experts import Agreed, agree
from regdata.eval.metrics.ranking import AUTO, macro_f1, rank_readers
from regdata.eval.pages.agreement import agreement_page, agreement_table

GRID = np.array([[x, y] for y in range(40, 500, 60) for x in range(40, 500, 60)], float)  # 64
MPP = 0.5


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """64 labelled cells on a picture: every third is positive, every tenth unknown."""
    cells, _ = discs(GRID)
    labels = np.where(np.arange(64) % 3 == 0, "CD3", "negative").astype(object)
    labels[::10] = "unknown"
    picture = tmp_path / "he.png"
    cv2.imwrite(str(picture), np.full((512, 512, 3), 200, np.uint8))
    he = SlideRecord(path=str(picture), mpp=MPP, size=(512, 512))
    cells = replace(cells, tokens=np.zeros((64, 4), np.float16))
    with write_dataset(tmp_path / "cells.h5", 4) as out:
        out.append(cells, {"label": labels.astype(str), "slide": "s", "patient": "p"})
        record = Record(classes=("negative", "CD3"), he=he)
        out.finish(("background", "nucleus"), record)
    return tmp_path / "cells.h5", labels


def expert(path: Path, xy: np.ndarray, names: list[str], outlined: bool = False) -> Path:
    def geometry(x: float, y: float) -> dict[str, object]:
        if not outlined:
            return {"type": "Point", "coordinates": [x, y]}
        ring = [[x - 5, y - 5], [x + 5, y - 5], [x + 5, y + 5], [x - 5, y + 5], [x - 5, y - 5]]
        return {"type": "Polygon", "coordinates": [ring]}

    features = [
        {
            "type": "Feature",
            "geometry": geometry(x, y),
            "properties": {"classification": {"name": name}},
        }
        for (x, y), name in zip(xy.tolist(), names, strict=True)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def named(labels: np.ndarray, flip: int = 0, start: int = 0) -> list[str]:
    names = ["CD3" if i % 3 == 0 else "negative" for i in range(len(labels))]
    for i in range(start, start + flip):
        names[i] = "negative" if names[i] == "CD3" else "CD3"
    return names


def test_one_expert_is_counted_exactly(built: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, labels = built
    # six are named otherwise (0 is unknown to the file), one lies on no cell
    xy = np.vstack([GRID[:40] + 3, [[505.0, 505.0]]])
    file = expert(tmp_path / "ann.geojson", xy, [*named(labels, 6)[:40], "CD3"])
    found = agree(path, [file])
    (reader,) = found.readers
    assert (reader.name, reader.nuclei, reader.matched, reader.unknown) == ("ann", 41, 40, 4)
    known = [i for i in range(40) if labels[i] != "unknown"]
    theirs = named(labels, 6)
    both = sum(labels[i] == theirs[i] == "CD3" for i in known)
    auto = sum(labels[i] == "CD3" for i in known)
    told = sum(theirs[i] == "CD3" for i in known)
    one = reader.classes["CD3"]
    assert (one.both, one.labelled, one.annotated) == (both, auto, told)
    assert one.precision == both / auto
    assert one.recall == both / told
    assert one.f1 == pytest.approx(2 * both / (auto + told))
    right = sum(labels[i] == theirs[i] for i in known) / len(known)
    share = [auto / len(known), told / len(known)]
    chance = share[0] * share[1] + (1 - share[0]) * (1 - share[1])
    assert reader.kappa == pytest.approx((right - chance) / (1 - chance))
    assert found.unknown == 7
    assert found.ranking is None
    json.dumps(found.to_dict())


def test_outlines_and_other_names(built: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, labels = built
    names = ["TIL" if name == "CD3" else "tumour" for name in named(labels)]
    file = expert(tmp_path / "a.json", GRID, names, outlined=True)
    with pytest.raises(RegdataError, match="pass `mapping=`"):
        agree(path, [file])
    assert agree(path, [file], {"CD3": "TIL"}).readers[0].kappa == 1


ERRORS = {"good": (2, 0), "fair": (8, 10), "poor": (30, 14)}  # how many, from where on


def three(path: Path, labels: np.ndarray, folder: Path) -> Agreed:
    files = [
        expert(folder / f"{name}.geojson", GRID, named(labels, *wrong))
        for name, wrong in ERRORS.items()
    ]
    return agree(path, files)


def test_experts_and_labels_are_ranked(built: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, labels = built
    found = three(path, labels, tmp_path)
    assert found.common == 57  # 64 without 7 unknown
    assert found.fleiss is not None
    assert found.fleiss_experts is not None
    assert found.fleiss > found.fleiss_experts  # the labels are right, the experts err
    assert found.ranking is not None
    assert found.ranking.place is not None
    assert found.ranking.order[found.ranking.place - 1][0] == AUTO
    assert found.ranking.order[-1][0] == "poor"
    assert found.ranking.beaten == 3
    text = agreement_table(found)
    assert text.splitlines()[1].startswith("good")
    assert "rank of the automatic labels: " in text


def test_the_page_shows_where_they_differ(built: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, labels = built
    found = three(path, labels, tmp_path)
    page = agreement_page(found)
    votes = np.array([[n == "CD3" for n in named(labels, *k)] for k in ERRORS.values()]).sum(0) >= 2
    differ = [i for i in range(64) if labels[i] != "unknown" and (labels[i] == "CD3") != votes[i]]
    assert page.count('href="data:image/jpeg') == len(differ) > 3
    (tmp_path / "he.png").unlink()
    assert "so there are no pictures" in agreement_page(found)


def test_names_are_text_on_the_page(built: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, labels = built
    found = three(path, labels, tmp_path)
    readers = [
        replace(reader, name=HOSTILE, classes={HOSTILE: reader.classes["CD3"]})
        for reader in found.readers
    ]
    odd = replace(
        found,
        dataset=tmp_path / HOSTILE,
        classes=("negative", HOSTILE),
        readers=readers,
        warnings=(HOSTILE,),
    )
    page = Page(agreement_page(odd))
    for text in (
        f"Agreement of {HOSTILE}",
        f"F1 of {HOSTILE}, against {HOSTILE}",
        f"Before trusting the numbers\n\n{HOSTILE}",
        f"automatic {HOSTILE}",
        f"expert {HOSTILE}",
        f"automatic {HOSTILE}, most experts negative",
        f"{HOSTILE}: {HOSTILE}",
    ):
        assert text in page.text, text
    gone = replace(odd, he=SlideRecord(path=HOSTILE))
    assert f"not at {HOSTILE}, so" in Page(agreement_page(gone)).text


def test_what_is_odd_is_said(built: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, _ = built
    file = expert(tmp_path / "a.geojson", np.vstack([GRID[::3], GRID[:40] + 30]), ["CD3"] * 62)
    text = " ".join(agree(path, [file]).warnings)
    assert "names no negative cell" in text
    assert "only 22 of 62 nuclei" in text


def test_bad_input_is_one_line(built: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, labels = built
    file = expert(tmp_path / "a.geojson", GRID * 40 + 9000, named(labels))
    with pytest.raises(RegdataError, match=r"none of the 64 nuclei .* expected level-0 pixels"):
        agree(path, [file])
    with pytest.raises(RegdataError, match="at least one expert"):
        agree(path, [])
    with pytest.raises(RegdataError, match="does not exist"):
        agree(path, [tmp_path / "none.geojson"])


def test_a_tied_majority_is_no_truth() -> None:
    votes = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [1, 1, 0, 0], [1, 0, 0, 1]])
    duels = rank_readers(votes, ["a", "b", "c"], [1]).duels
    assert [duel.cells for duel in duels] == [2, 4, 2]
    assert macro_f1(np.array([0]), np.array([0]), [1]) is None
