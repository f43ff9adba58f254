"""Simulated tissue and restaining with known truth: what the demo and the tests run on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
