"""Registration of the IF slide to the H&E slide of the same section."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
