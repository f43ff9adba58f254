"""Pages that need nothing beside themselves, and the report of a build."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
