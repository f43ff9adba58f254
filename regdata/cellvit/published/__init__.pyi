from .files import write_reference_files
from .records import SlideFacts

__all__ = ["SlideFacts", "write_reference_files"]
