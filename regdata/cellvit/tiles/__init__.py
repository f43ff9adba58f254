"""A whole slide, tile by tile, and one owner for every nucleus."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
