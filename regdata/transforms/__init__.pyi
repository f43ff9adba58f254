from .displacement import Displacement
from .file import load_transform, read_about, save_transform
from .itk import read_itk, write_itk
from .landmarks import TargetError, fit_landmarks, read_landmarks, target_error
from .transform import Transform
from .warp import warped
from .warp_files import PixelMap, warp_geojson, warp_points, write_warped

__all__ = [
    "Displacement",
    "PixelMap",
    "TargetError",
    "Transform",
    "fit_landmarks",
    "load_transform",
    "read_about",
    "read_itk",
    "read_landmarks",
    "save_transform",
    "target_error",
    "warp_geojson",
    "warp_points",
    "warped",
    "write_itk",
    "write_warped",
]
