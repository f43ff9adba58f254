from .assessment import tile_quality
from .correction import second_look
from .pictures import draw_quality
from .table import TileQuality, read_table, write_quality, write_table
from .verdicts import Verdict, verdict

__all__ = [
    "TileQuality",
    "Verdict",
    "draw_quality",
    "read_table",
    "second_look",
    "tile_quality",
    "verdict",
    "write_quality",
    "write_table",
]
