from .placing import KINDS
from .restaining import Restained, restain
from .settings import RestainSettings
from .tissue import Tissue, render_tissue

__all__ = ["KINDS", "RestainSettings", "Restained", "Tissue", "render_tissue", "restain"]
