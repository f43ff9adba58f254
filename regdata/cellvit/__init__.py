"""CellViT: nuclei and a token for each of them from one pass of a vision transformer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
