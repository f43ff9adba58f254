"""Which stages an option redoes: those whose result it changes, those after them, and no other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coloured import MODEL
from outlined import slide_of, white_he

from regdata.cellvit.networks.weights import Model
from regdata.chain.keys import mask_keys, pair_keys, segpath_keys
from regdata.chain.mask_options import MaskOptions, SegPathOptions
from regdata.chain.mask_slide import Mask
from regdata.chain.options import BuildOptions
from regdata.chain.pair import Pair, open_pair
from regdata.slides.write_tiff import write_ome_tiff

HALF = replace(MODEL, precision=torch.bfloat16)
OTHER = replace(MODEL, sha256="other")
CD3, DAPI, AF = "correct CD3", "correct DAPI", "correct AF"
ALL = {"register", DAPI, CD3, "cells", "measure", "label"}
END = {"measure", "label"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys")
    rgb = np.zeros((64, 64, 3), np.uint8)
    for name in ("he", "he2"):
        write_ome_tiff(path / f"{name}.tif", rgb + (name == "he2"), 0.25)
    for name in ("if", "if2"):
        planes = np.full((3, 64, 64), name == "if2", np.uint16)
        write_ome_tiff(path / f"{name}.tif", planes, 0.5, ("DAPI", "CD3", "AF"))
    (path / "tissue.geojson").write_text("{}")
    return path


def of_pair(folder: Path, model: Model = MODEL, **changes: Any) -> dict[str, str]:
    paths = {"he": "he.tif", "if_": "if.tif", "output": "x.h5"}
    paths |= {name: changes.pop(name) for name in [*paths] if name in changes}
    if changes.get("tissue", "").endswith("json"):
        changes["tissue"] = str(folder / changes["tissue"])
    asked = {"markers": ("CD3",), **changes, **{k: folder / v for k, v in paths.items()}}
    options = BuildOptions.model_validate(asked)
    return pair_keys(open_pair(options), model, options)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


PAIR: list[tuple[dict[str, Any], set[str]]] = [
    ({"he": "he2.tif"}, {"register", "cells", *END}),
    ({"he_mpp": 0.26}, {"register", "cells", *END}),
    ({"if_": "if2.tif"}, ALL - {"cells"}),
    ({"if_mpp": 0.6}, ALL - {"cells"}),
    ({"dapi": "AF"}, ALL - {"cells"} | {AF}),
    ({"autofluorescence": "AF"}, {CD3, *END}),
    ({"autofluorescence": "AF:0.5"}, {CD3, *END}),
    ({"field_um": 400.0}, {DAPI, CD3, *END}),
    ({"markers": ("CD3", "AF")}, {AF, *END}),
    ({"model": OTHER}, {"cells", *END}),
    ({"model": HALF}, {"cells", *END}),
    ({"tissue": "all"}, {"cells", *END}),
    ({"tissue": "tissue.geojson"}, {"cells", *END}),
    ({"region": "0,0,32,32"}, {"cells", *END}),
    ({"skip_bad_tiles": True}, {"cells", *END}),
    ({"ring_um": 3.0}, END),
    *(
        ({name: value}, {"label"})
        for name, value in {
            "classes": {"T": "CD3"},
            "thresholds": {"CD3": "otsu"},
            "compartments": {"CD3": "ring"},
            "overlap": 0.2,
            "ambiguous": 0.01,
            "certain": 0.9,
            "legacy_overlap": True,
            "erode": 1,
            "min_size_um2": 4.0,
            "patient": "p",
        }.items()
    ),
    *(
        ({name: value}, set())
        for name, value in {
            "output": "y.h5",
            "overwrite": True,
            "device": "cpu",
            "workers": 5,
            "batch_size": 3,
        }.items()
    ),
]


@pytest.mark.parametrize(("changes", "redone"), PAIR, ids=[str(*c) for c, _ in PAIR])
def test_an_option_redoes_what_it_changes_and_what_comes_after(
    folder: Path, changes: dict[str, Any], redone: set[str]
) -> None:
    given = dict(changes)
    model = given.pop("model", MODEL)
    assert changed(of_pair(folder), of_pair(folder, model, **given)) == redone


def test_every_option_is_in_the_table() -> None:
    tried = {name for changes, _ in PAIR for name in changes}
    # names of channels are those of the IF slide: `if_` stands for them
    assert set(BuildOptions.model_fields) - tried == {"channel_names"}


MASKS: list[tuple[dict[str, Any], set[str]]] = [
    ({"masks": 2}, {"mask CD3", *END}),
    ({"he": 2}, {"cells", *END}),
    ({"compartments": {"CD3": "ring"}}, END),
    ({"ring_um": 3.0}, set()),  # nothing is read in rings
    ({"compartments": {"CD3": "ring"}, "ring_um": 3.0}, END),
    ({"overlap": 0.3}, {"label"}),
    ({"patient": "p"}, {"label"}),
    ({"region": "0,0,9,9"}, {"cells", *END}),
    ({"workers": 3}, set()),
]


@pytest.mark.parametrize(("changes", "redone"), MASKS)
def test_options_of_masks(changes: dict[str, Any], redone: set[str]) -> None:
    mask = Mask(slide_of(np.zeros((1, 8, 8), np.uint16), 0.25, "m"), 1)

    def keys(he: int = 1, masks: int = 1, **more: Any) -> dict[str, str]:
        paths = {"he": "he", "masks": "m", "output": "x.h5", "markers": ("CD3",)}
        options = MaskOptions.model_validate(paths | more)
        return mask_keys({"he": [he, 0.25], "masks": masks}, {"CD3": mask}, MODEL, options)

    assert changed(keys(), keys(**changes)) == redone


def test_a_wider_ring_is_read_anew() -> None:
    mask = Mask(slide_of(np.zeros((1, 8, 8), np.uint16), 0.25, "m"), 1)

    def keys(ring_um: float) -> dict[str, str]:
        paths = {"he": "he", "masks": "m", "output": "x.h5", "markers": ("CD3",)}
        options = MaskOptions.model_validate(
            paths | {"compartments": {"CD3": "ring"}, "ring_um": ring_um}
        )
        return mask_keys({"he": [1, 0.25], "masks": 1}, {"CD3": mask}, MODEL, options)

    assert changed(keys(2.0), keys(3.0)) == END


@pytest.mark.parametrize(
    ("changes", "redone"),
    [
        ({"he": 2}, {"cells", *END}),
        ({"he_mpp": 0.25}, {"cells", *END}),
        ({"masks": 2}, END),
        ({"splits": ["train"]}, {"label"}),
        ({"overlap": 0.3}, {"label"}),
        ({"batch_size": 3}, set()),
    ],
)
def test_options_of_segpath(changes: dict[str, Any], redone: set[str]) -> None:
    def keys(he: int = 1, masks: int = 1, splits: Any = None, **more: Any) -> dict[str, str]:
        options = SegPathOptions.model_validate({"segpath": "s", "output": "x.h5", **more})
        return segpath_keys({"he": he, "masks": masks}, splits, MODEL, options)

    assert changed(keys(), keys(**changes)) == redone


def test_the_nuclear_channel_has_no_autofluorescence() -> None:
    he, if_ = white_he((64, 64), 0.25), slide_of(np.zeros((2, 64, 64), np.uint16), 0.5, "DAPI", "C")
    options = BuildOptions(he=Path("a"), if_=Path("b"), output=Path("x.h5"), markers=("C",))
    identity = {"he": [1, 0.25], "if": [1]}
    one = pair_keys(
        Pair(he=he, if_=if_, dapi=0, markers={"C": 1}, identity=identity), MODEL, options
    )
    other = pair_keys(
        Pair(
            he=he, if_=if_, dapi=0, markers={"C": 1}, identity=identity, autofluorescence=(1, 0.5)
        ),
        MODEL,
        options,
    )
    assert changed(one, other) == {"correct C", *END}
