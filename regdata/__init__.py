"""regdata: from a restained tissue section to labelled cells, a classifier and a score.

The public names load when first used, so that `import regdata` stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regdata.cells.dataset import CellDataset, read_dataset
    from regdata.cells.table import CellTable
    from regdata.chain.options import BuildOptions
    from regdata.chain.pipeline import build
    from regdata.errors import RegdataError
    from regdata.slides.open import open_slide
    from regdata.slides.slide import Slide
    from regdata.transforms.transform import Transform

_HOME = {
    "BuildOptions": "regdata.chain.options",
    "CellDataset": "regdata.cells.dataset",
    "CellTable": "regdata.cells.table",
    "RegdataError": "regdata.errors",
    "Slide": "regdata.slides.slide",
    "Transform": "regdata.transforms.transform",
    "build": "regdata.chain.pipeline",
    "open_slide": "regdata.slides.open",
    "read_dataset": "regdata.cells.dataset",
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
