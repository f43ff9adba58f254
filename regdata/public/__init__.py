"""What `import regdata` offers: one function for each command, with the command's options."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
