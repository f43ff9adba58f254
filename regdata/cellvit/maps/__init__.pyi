from .maps import Maps, Normalise, PostprocessSettings
from .postprocess import find_cells

__all__ = ["Maps", "Normalise", "PostprocessSettings", "find_cells"]
