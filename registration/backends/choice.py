"""Other programs that can find the deformation, by name, and whether they are installed.

All give the one transform type. SimpleITK and elastix take densities and a pose to begin with;
VALIS reads the files itself and needs none, so it is called by `backend_valis.deform_valis`.
Transforms made with VALIS elsewhere come in the same way: by its points, sampled on a grid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from regdata.errors import RegdataError
from regdata.files import Progress
from regdata.registration.backends.elastix import deform_elastix, missing_elastix
from regdata.registration.backends.simpleitk import deform_simpleitk
from regdata.registration.backends.valis import missing_valis
from regdata.registration.pose import Density, Matrix
from regdata.transforms import Transform

BackendName = Literal["simpleitk", "elastix", "valis"]
Deform = Callable[[Density, Density, Matrix, Progress], Transform]


def _nothing_missing() -> None:
    return None


@dataclass(frozen=True)
class Backend:
    """A program that finds a deformation between two densities.

    Attributes
    ----------
    deform
        (fixed, moving, start, progress) to the whole map, H&E µm to IF µm.
    missing
        How to install it; None when it is installed.
    """

    deform: Deform
    missing: Callable[[], str | None]


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        "simpleitk": Backend(deform_simpleitk, _nothing_missing),
        "elastix": Backend(deform_elastix, missing_elastix),
    }
)


def check_backend(name: BackendName, valis_python: Path | None = None) -> None:
    """Refuse a program that is not installed, before anything is read.

    Raises
    ------
    RegdataError
        Says how to get it.
    """
    reason = missing_valis(valis_python) if name == "valis" else BACKENDS[name].missing()
    if reason:
        raise RegdataError(reason)
