"""Cache keys: per stage of a build a hash of all that its result depends on."""

from typing import Any

from regdata.cellvit.networks import Model, choose_classifier
from regdata.cellvit.tiles import SegmentSettings
from regdata.chain.mask_options import MaskOptions, SegPathOptions
from regdata.chain.mask_slide import Mask
from regdata.chain.options import BuildOptions, SlideOptions
from regdata.chain.pair import Pair
from regdata.chain.tiling import settings_of
from regdata.files import stage_key
from regdata.segmenting import nuclei_key

# Raised when a stage computes something else from the same inputs, so that no old result is kept.
_VERSIONS = {"register": 2, "correct": 1, "masks": 1, "measure": 2, "label": 2}


def pair_keys(pair: Pair, model: Model, options: BuildOptions) -> dict[str, str]:
    """Of a build from an H&E and an IF slide."""
    he, if_ = pair.identity["he"], pair.identity["if"]
    keys = {"register": _key("register", he=he, if_=if_, dapi=pair.dapi)}
    for name, channel in {pair.nuclear: pair.dapi, **pair.markers}.items():
        af = None if channel == pair.dapi else pair.autofluorescence
        keys[f"correct {name}"] = _key(
            "correct", if_=if_, dapi=pair.dapi, channel=channel, af=af, field_um=options.field_um
        )
    keys["cells"] = _slide_nuclei(he, model, options)
    keys["measure"] = _key("measure", of=keys, ring_um=options.ring_um)
    shape = [options.erode, options.min_size_um2]
    keys["label"] = _key(
        "label", of=keys, rules=options.rules, shape=shape, patient=options.patient
    )
    return keys


def mask_keys(
    identity: dict[str, Any], masks: dict[str, Mask], model: Model, options: MaskOptions
) -> dict[str, str]:
    """Of a build from an H&E slide and masks in its frame."""
    keys = {"cells": _slide_nuclei(identity["he"], model, options)}
    for name, mask in masks.items():
        channel = [*mask.slide.channels, name]
        keys[f"mask {name}"] = _key("masks", masks=identity["masks"], of=channel)
    rings = {name: options.ring_um for name, part in options.compartments.items() if part == "ring"}
    keys["measure"] = _key("measure", of=keys, rings=rings)
    keys["label"] = _key("label", of=keys, rules=options.rules, patient=options.patient)
    return keys


def segpath_keys(
    identity: dict[str, Any], splits: Any, model: Model, options: SegPathOptions
) -> dict[str, str]:
    """Of a build from a folder of images with masks."""
    settings, classifier = SegmentSettings(), choose_classifier(model)
    he = identity["he"]
    keys = {"cells": nuclei_key(he, options.he_mpp, model, classifier, "all", settings)}
    keys["measure"] = _key("measure", of=keys, masks=identity["masks"])
    keys["label"] = _key("label", of=keys, rules=options.rules, splits=splits)
    return keys


def _slide_nuclei(he: Any, model: Model, options: SlideOptions) -> str:
    file, mpp = he
    settings, classifier = settings_of(options), choose_classifier(model)
    return nuclei_key(file, mpp, model, classifier, options.tissue, settings)


def _key(stage: str, **inputs: Any) -> str:
    return stage_key(**inputs, version=_VERSIONS[stage])
