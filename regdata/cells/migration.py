"""What files of earlier schemas say of how they were made, in the words of the present one."""

from collections.abc import Mapping
from typing import Any


def migrated(stored: Mapping[str, Any]) -> dict[str, Any]:
    """An entry `uns/regdata` of any schema as the present one has it."""
    out = dict(stored)
    return _from_1(out) if int(out.pop("schema", 1)) == 1 else out


def _from_1(stored: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 had three layouts of a slide, and 0 for a pixel size that is not known."""
    out = dict(stored)
    if "slide" in out:  # of a file of `regdata segment`
        slide = out.pop("slide")
        out["he"] = {**slide, "size": (slide["width"], slide["height"])}
    if "masks" in out:
        masks = out["masks"]
        out["masks"] = {
            "slide": _sized(masks),
            "ratio": masks["ratio"],
            "markers": masks["markers"],
        }
    return out | {name: _sized(out[name]) for name in ("he", "if") if name in out}


def _sized(slide: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in slide.items() if name != "mpp" or float(value) > 0}
