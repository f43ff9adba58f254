from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cell_tables import table
from click.testing import CliRunner
from numpy.typing import NDArray

from regdata.cells.dataset import read_dataset, write_dataset
from regdata.cells.record import ModelRecord, Record, SlideRecord
from regdata.cellvit.networks.classifier import load_classifier
from regdata.commands.cli import main
from regdata.errors import RegdataError
from regdata.train.tokens import classifier
from regdata.train.tokens.classifier import group_of_cells, train_classifier
from regdata.train.tokens.fitting import FitSettings, fit

QUICK = FitSettings(epochs=8, batch=32)


def labelled(
    path: Path,
    seed: int,
    patient: str = "he",
    sha: str = "m",
    classes: tuple[str, ...] = ("negative", "CD3"),
    positives: float = 0.3,
    sure: NDArray[np.float32] | None = None,
) -> Path:
    """A dataset whose first token tells the label, and how sure its labels are."""
    cells = table(200, seed)
    rng = np.random.default_rng(seed)
    positive = rng.random(200) < positives
    cells.tokens[:, 0] = np.where(positive, 3, -3)
    names = np.where(positive, classes[1], classes[0]).astype(object)
    names[:5] = "unknown"
    with write_dataset(path, 4) as out:
        columns = {"label": names, "slide": "he", "patient": patient}
        out.append(cells, columns if sure is None else {**columns, "label_probability": sure})
        record = Record(
            classes=classes,
            model=ModelRecord(name="tiny", sha256=sha),
            he=SlideRecord(sha256=f"content {seed}"),
        )
        out.finish(("background", "a", "b"), record)
    return path


def test_two_slides_of_one_name_are_two_groups(tmp_path: Path) -> None:
    paths = [labelled(tmp_path / f"{k}.h5", k) for k in (1, 2)]
    groups = {group for path in paths for group in group_of_cells(read_dataset(path))}
    assert len(groups) == 2
    report = train_classifier(paths, tmp_path / "c.pt", QUICK)
    assert report.split == "slide"
    assert report.warning is None
    assert report.best.auroc > 0.99


def test_slides_of_one_patient_stay_together(tmp_path: Path) -> None:
    paths = [labelled(tmp_path / f"{k}.h5", k, patient="Ann") for k in (1, 2)]
    report = train_classifier(paths, tmp_path / "c.pt", QUICK)
    assert report.split == "tile block"
    assert report.warning


def test_the_classifier_says_what_it_is(tmp_path: Path) -> None:
    path = labelled(tmp_path / "x.h5", 1)
    report = train_classifier([path], tmp_path / "new" / "c.pt", QUICK)
    trained = load_classifier(tmp_path / "new" / "c.pt")
    assert trained.info.classes == ("negative", "CD3")
    assert trained.info.model_sha256 == "m"
    assert trained.info.training["files"] == ["x.h5"]
    assert sum(report.train_cells) + sum(report.val_cells) == 195  # unknown cells are left out
    tokens = np.zeros((2, 4), np.float16)
    tokens[:, 0] = -3, 3
    assert trained.predict(tokens).argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"sha": "other"}, "different networks"),
        ({"classes": ("negative", "CD20")}, "has the classes negative, CD20"),
    ],
)
def test_files_that_do_not_belong_together(
    tmp_path: Path, second: dict[str, object], message: str
) -> None:
    first = labelled(tmp_path / "a.h5", 1)
    other = labelled(tmp_path / "b.h5", 2, **second)  # type: ignore[arg-type]
    with pytest.raises(RegdataError, match=message):
        train_classifier([first, other], tmp_path / "c.pt", QUICK)
    assert not (tmp_path / "c.pt").exists()


def test_no_positives(tmp_path: Path) -> None:
    path = labelled(tmp_path / "a.h5", 1, positives=0.0)
    with pytest.raises(RegdataError, match=r"class CD3 has 0 cells in a\.h5"):
        train_classifier([path], tmp_path / "c.pt", QUICK)


def test_unlabelled_cells(tmp_path: Path) -> None:
    with write_dataset(tmp_path / "cells.h5", 4) as out:
        out.append(table(5))
        out.finish(("background", "a", "b"), Record(model=ModelRecord(name="tiny", sha256="m")))
    with pytest.raises(RegdataError, match=r"cells\.h5 has no labels"):
        train_classifier([tmp_path / "cells.h5"], tmp_path / "c.pt", QUICK)


WEIGHTED = QUICK.model_copy(update={"weights": "label_probability"})


def sureness(least: float = 0.7) -> NDArray[np.float32]:
    """Probabilities of labels; the first five cells are unknown."""
    sure = np.random.default_rng(0).uniform(least, 1, 200).astype(np.float32)
    sure[:5] = np.nan
    return sure


def test_cells_count_as_much_as_their_labels_are_likely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [labelled(tmp_path / f"{k}.h5", k, sure=sureness() / k) for k in (1, 2)]
    given = []

    def noted(*args: Any, **named: Any) -> Any:
        given.append(args[6])
        return fit(*args, **named)

    monkeypatch.setattr(classifier, "fit", noted)
    train_classifier(paths, tmp_path / "none.pt", QUICK)
    train_classifier(paths, tmp_path / "weighted.pt", WEIGHTED)
    assert given[0] is None
    assert np.array_equal(given[1], np.concatenate([sureness(), sureness() / 2]), equal_nan=True)
    said = [
        load_classifier(tmp_path / name).info.training["settings"]["weights"]
        for name in ("none.pt", "weighted.pt")
    ]
    assert said == ["none", "label_probability"]


def test_labels_whose_probability_nobody_knows(tmp_path: Path) -> None:
    first = labelled(tmp_path / "a.h5", 1, sure=sureness())
    without = labelled(tmp_path / "b.h5", 2)
    with pytest.raises(RegdataError, match=r"b\.h5 does not say .* `cell_weights='none'`"):
        train_classifier([first, without], tmp_path / "c.pt", WEIGHTED)
    holes = sureness()
    holes[50:53] = np.nan
    holed = labelled(tmp_path / "d.h5", 3, sure=holes)
    with pytest.raises(RegdataError, match=r"d\.h5 does not say of 3 labelled cells"):
        train_classifier([first, holed], tmp_path / "c.pt", WEIGHTED)
    assert not (tmp_path / "c.pt").exists()
    train_classifier([first, without, holed], tmp_path / "c.pt", QUICK)


def test_the_command_takes_weights(tmp_path: Path) -> None:
    path = labelled(tmp_path / "a.h5", 1)
    given = ["train", str(path), "-o", str(tmp_path / "c.pt"), "--cell-weights"]
    result = CliRunner().invoke(main, [*given, "label_probability"])
    assert result.exit_code == 1
    assert "--cell-weights none" in result.output
    assert CliRunner().invoke(main, [*given, "twice"]).exit_code == 2
    assert CliRunner().invoke(main, [*given, "none", "--epochs", "1"]).exit_code == 0
