from .cells.dataset import read_dataset
from .cellvit.networks.weights import load_model
from .public.building import build, relabel
from .public.evaluating import evaluate, validate
from .public.exporting import export
from .public.registering import register
from .public.segmenting import segment
from .public.training import fit_classifier
from .slides.open import open_slide
from .version import __version__

__all__ = [
    "__version__",
    "build",
    "evaluate",
    "export",
    "fit_classifier",
    "load_model",
    "open_slide",
    "read_dataset",
    "register",
    "relabel",
    "segment",
    "validate",
]
