"""The folder of an evaluation: scores, the cells behind them, and a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from regdata.cells import versions
from regdata.eval import Evaluation
from regdata.eval.conventions import by_preset, matched_classes
from regdata.eval.metrics import MatchedImage, cells_table, misplaced, write_cells
from regdata.eval.pages.page import Context, evaluation_page
from regdata.files import file_identity, replacing, write_json

_PAGE = "index.html"


def write_folder(
    folder: Path,
    evaluation: Evaluation,
    classifier: Path,
    source: str,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Path, ...]:
    """Paths of `scores.json`, the table of cells and `index.html`, which are written.

    Parameters
    ----------
    source
        What the annotated set is called.
    presets
        Scores by other conventions, by name.
    """
    scores = evaluation.scores
    radius = scores.conventions.radius_um
    classes = len(scores.classes)
    chance = by_preset(evaluation.images, classes, "regdata", radius)["chance"]
    matched = matched_classes(evaluation.images)
    known = file_identity(classifier)["sha256"]
    rows = [("classifier", f"{classifier}, sha256 of its ends {known}")]
    rows += [("versions", ", ".join(f"{name} {text}" for name, text in versions().items()))]
    context = Context(
        classifier=classifier.name,
        source=source,
        chance=chance,
        matched=matched,
        presets=presets or {},
        warnings=warnings_of(evaluation),
        provenance=rows,
    )
    names = (
        {}
        if chance is None
        else dict(zip(scores.classes, chance["per_class"].values(), strict=True))
    )
    content = {
        "classifier": str(classifier),
        "set": source,
        **scores.to_dict(),
        "chance": None if chance is None else {**chance, "per_class": names},
        "matched": matched,
        "presets": dict(context.presets),
        "warnings": list(context.warnings),
        "counts": _counts_of(evaluation.images),
    }
    write_json(folder / "scores.json", content)
    cells = write_cells(folder, cells_table(evaluation.images, scores.classes))
    with replacing(folder / _PAGE) as part:
        part.write_text(evaluation_page(evaluation, context), encoding="utf-8")
    return folder / "scores.json", cells, folder / _PAGE


def warnings_of(evaluation: Evaluation) -> tuple[str, ...]:
    """Warnings about the frame of the annotations, a sentence each."""
    fit = misplaced(evaluation.images, evaluation.scores.conventions.radius_um)
    return () if fit is None else (str(fit),)


def _counts_of(images: Sequence[MatchedImage]) -> list[dict[str, Any]]:
    """Of each image its name, slide, split and confusion matrix, ready for JSON."""
    return [
        {
            "image": matched.image.name,
            "slide": matched.image.slide,
            "split": matched.image.split,
            "confusion": matched.counts().confusion.tolist(),
        }
        for matched in images
    ]
