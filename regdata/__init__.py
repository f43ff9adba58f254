"""regdata: from a restained tissue section to labelled cells, a classifier and a score.

The public names load when first used, so that `import regdata` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regdata.cells import CellTable
    from regdata.dataset import CellDataset, read_dataset
    from regdata.errors import RegdataError
    from regdata.open import open_slide
    from regdata.options import BuildOptions
    from regdata.pipeline import build
    from regdata.slide import Slide
    from regdata.transform import Transform

_HOME = {
    "BuildOptions": "regdata.options",
    "CellDataset": "regdata.dataset",
    "CellTable": "regdata.cells",
    "RegdataError": "regdata.errors",
    "Slide": "regdata.slide",
    "Transform": "regdata.transform",
    "build": "regdata.pipeline",
    "open_slide": "regdata.open",
    "read_dataset": "regdata.dataset",
}

__all__ = [
    "BuildOptions",
    "CellDataset",
    "CellTable",
    "RegdataError",
    "Slide",
    "Transform",
    "build",
    "open_slide",
    "read_dataset",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module it lives in."""
    if name not in _HOME:
        raise AttributeError(f"module 'regdata' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})
