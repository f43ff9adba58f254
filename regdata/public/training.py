"""`regdata.fit_classifier`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from regdata.files import bar
from regdata.paths import StrPath, paths_of
from regdata.public.outputs import check_output
from regdata.public.settings import validated
from regdata.train.tokens import FitReport, FitSettings, train_classifier


def fit_classifier(
    datasets: StrPath | Sequence[StrPath],
    output: StrPath,
    *,
    epochs: int = 50,
    hidden: int = 128,
    class_weights: Literal["inverse", "none"] = "inverse",
    cell_weights: Literal["label_probability", "none"] = "none",
    robust: bool = False,
    seed: int = 0,
    overwrite: bool = False,
) -> FitReport:
    """Train a token classifier on labelled cells and save it.

    Parameters
    ----------
    datasets
        Files of `build` or `regdata label-images` with the same classes and network. Cells of one
        patient, or of one slide, stay on one side of the split into training and validation.
    output
        The classifier (`.pt`) to write.
    epochs
        At most so many.
    hidden
        Width of the hidden layer.
    class_weights
        Whether rare classes weigh as much as frequent ones.
    cell_weights
        Whether cells with unlikely labels count less.
    robust
        Learn only how classes differ within slides: weaker on more slides of the same laboratory,
        better on those of another. Epochs, hidden and class weights do not apply.
    seed
        Of the split, the first weights and the order of cells.
    overwrite
        Replace an existing classifier.

    Returns
    -------
    FitReport
        Validation scores, cells of each class, and how cells were split.

    Raises
    ------
    RegdataError
        The files do not belong together, hold too few cells of a class, or `output` exists.

    Examples
    --------
    >>> import regdata
    >>> report = regdata.fit_classifier("lymphocytes.h5", "classifier.pt")  # doctest: +SKIP
    >>> report.best.auroc  # doctest: +SKIP
    0.97
    """
    paths, output = paths_of(datasets), Path(output)
    check_output(output, overwrite, *paths)
    given: dict[str, Any] = {
        "epochs": epochs,
        "hidden": hidden,
        "class_weights": class_weights,
        "weights": cell_weights,
        "robust": robust,
        "seed": seed,
    }
    settings = validated(FitSettings, given)
    with bar("train") as progress:
        return train_classifier(
            paths, output, settings, lambda epoch: progress(epoch.number / settings.epochs)
        )
