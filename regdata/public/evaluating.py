"""`regdata.evaluate` and `regdata.validate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from regdata.annotated import SetOptions, load_set, parse_set
from regdata.cells import MATCH_RADIUS_UM
from regdata.eval import Evaluation, EvaluationSettings, evaluate_cells
from regdata.eval.conventions import POINTS, by_preset, find_preset, with_names
from regdata.eval.metrics import Conventions, Scores
from regdata.eval.pages import warnings_of, write_folder
from regdata.files import bar, write_json
from regdata.paths import StrPath, path_of, paths_of
from regdata.public.outputs import check_folder, check_output
from regdata.public.settings import several
from regdata.studies import Validation
from regdata.studies import validate as run_validation

Drawn = Literal["slide", "image"]


@dataclass(frozen=True)
class EvaluationSummary:
    """How well a classifier agrees with people.

    Attributes
    ----------
    scores
        Precision, recall and F1 of detection and of each class, with intervals.
    evaluation
        The same with every cell it came from.
    presets
        Scores by other conventions, by name.
    warnings
        What is wrong with the frame of the annotations.
    written
        What was written; the page is last.
    """

    scores: Scores
    evaluation: Evaluation
    presets: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]
    written: tuple[Path, ...] = ()


def evaluate(
    classifier: StrPath,
    output: StrPath | None = None,
    *,
    set_: str | None = None,
    split: str | None = None,
    images: StrPath | None = None,
    points: StrPath | None = None,
    geojson: StrPath | None = None,
    nucls: StrPath | None = None,
    he_mpp: float = 0.25,
    mapping: Mapping[str, str] | None = None,
    radius_um: float = MATCH_RADIUS_UM,
    resample: Drawn = "slide",
    preset: str | Sequence[str] = (),
    model: StrPath | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> EvaluationSummary:
    """Score a classifier against nuclei that people annotated.

    One annotated set is named: `set_`, `nucls`, or `images` with `points` or `geojson`.

    Parameters
    ----------
    classifier
        A `.pt` of `fit_classifier`.
    output
        A folder for scores, cells and a page, or a `.json`; nothing is written by default.
    set_
        NAME:DIR of a published set, such as `nucls:DIR`.
    split
        Part of the set, such as `test`.
    images
        Folder of images (with `points`) or the image (with `geojson`).
    points
        Folder with `<image name>.csv`: x, y, class.
    geojson
        QuPath export of one image.
    nucls
        Folder in the layout of NuCLS.
    he_mpp
        µm per pixel of the images, where the set does not say.
    mapping
        Class of the classifier to class, or classes parted by commas, of the set.
    radius_um
        Largest distance of a pair, µm.
    resample
        What the intervals draw: slide or image.
    preset
        Also by conventions of ocelot, hovernet, ...
    model
        File of network weights; built-in by default.
    device
        auto, cpu or cuda.
    overwrite
        Replace a result at `output`.

    Returns
    -------
    EvaluationSummary
        Scores, the cells behind them, and warnings.

    Raises
    ------
    RegdataError
        No set or several are named, classes have no partner, the classifier is of another network,
        or `output` holds a result.

    Examples
    --------
    >>> import regdata
    >>> summary = regdata.evaluate("classifier.pt", set_="nucls:DIR")  # doctest: +SKIP
    >>> summary.scores.detection.f1  # doctest: +SKIP
    0.81
    """
    classifier, output, names = Path(classifier), path_of(output), several(preset)
    for name in names:
        find_preset(POINTS, name, "points")
    check_folder(output, overwrite, "scores.json")
    where = SetOptions(
        images=path_of(images),
        points=path_of(points),
        geojson=path_of(geojson),
        nucls=path_of(nucls),
        mpp=he_mpp,
        named=set_,
        split=split,
    )
    annotated = load_set(where)
    how = Conventions(radius_um=radius_um, resample=resample)
    settings = EvaluationSettings(path_of(model), device, mapping, how)
    with bar("evaluate") as progress:
        evaluation = evaluate_cells(classifier, annotated, settings, progress)
    classes = evaluation.classes.names
    presets = {
        name: with_names(by_preset(evaluation.images, len(classes), name), classes)
        for name in names
    }
    written: tuple[Path, ...] = ()
    if output is not None and output.suffix.lower() == ".json":
        write_json(output, {"classifier": str(classifier), **evaluation.scores.to_dict()})
        written = (output,)
    elif output is not None:
        written = write_folder(output, evaluation, classifier, _called(where), presets)
    warnings = warnings_of(evaluation)
    return EvaluationSummary(evaluation.scores, evaluation, presets, warnings, written)


def _called(where: SetOptions) -> str:
    """The name of the annotated set: the option that named it."""
    name = where.named or next(str(p) for p in (where.nucls, where.points, where.geojson) if p)
    return f"{name}, split {where.split}" if where.split else name


def validate(
    datasets: StrPath | Sequence[StrPath],
    set_: str,
    output: StrPath | None = None,
    *,
    train_split: str = "train",
    test_split: str = "test",
    folds_only: bool = False,
    robust: bool = False,
    mapping: Mapping[str, str] | None = None,
    he_mpp: float | None = None,
    radius_um: float = MATCH_RADIUS_UM,
    model: StrPath | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> Validation:
    """How far auto-labels are from experts: the same head on both, scored on the same cells.

    Parameters
    ----------
    datasets
        Files of `build` with the same classes.
    set_
        NAME:DIR of an annotated set, such as `nucls:DIR`.
    output
        Also write everything as JSON.
    train_split, test_split
        Parts of the set that experts' heads are trained on, and that all are scored on.
    folds_only
        The set has no parts: folds of all images take turns.
    robust
        Heads of differences within slides (`fit_classifier`), each calling its classes as often on
        the test images as they were in its training.
    mapping
        Class of the files to class, or classes parted by commas, of the set.
    he_mpp
        µm per pixel of the set's images, where it does not say.
    radius_um
        Largest distance of a pair, µm.
    model
        File of network weights; built-in by default.
    device
        auto, cpu or cuda.
    overwrite
        Replace `output`.

    Returns
    -------
    Validation
        Scores of both, and their difference with an interval.

    Raises
    ------
    RegdataError
        The files are of another network, classes have no partner, there is too little to train
        on, or `output` exists.

    Examples
    --------
    >>> import regdata
    >>> validation = regdata.validate("lymphocytes.h5", "nucls:DIR")  # doctest: +SKIP
    >>> validation.gap["mean F1"]  # doctest: +SKIP
    """
    written = path_of(output)
    if written is not None:
        check_output(written, overwrite)
    training = None if folds_only else parse_set(set_, train_split, he_mpp)()
    test = parse_set(set_, None if folds_only else test_split, he_mpp)()
    conventions = Conventions(radius_um=radius_um, resample="slide")
    with bar("validate") as progress:
        validation = run_validation(
            paths_of(datasets),
            training,
            test,
            dict(mapping or {}),
            path_of(model),
            device,
            conventions,
            progress,
            robust,
        )
    if written is not None:
        write_json(written, validation.to_dict())
    return validation
