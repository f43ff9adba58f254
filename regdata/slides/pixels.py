"""Types, transparency and channel names, treated alike by every reader."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regdata.errors import RegdataError

RGB = ("red", "green", "blue")
_KEPT = {np.dtype(name) for name in ("uint8", "uint16", "int16", "float32")}


def working_dtype(path: Path, stored: np.dtype[Any]) -> np.dtype[Any]:
    """The type a slide's pixels are read as.

    8- and 16-bit integers and float32 stay; other integers and floats become float32, because
    resampling knows no others.

    Raises
    ------
    RegdataError
        For pixels that are no real numbers.
    """
    native = stored.newbyteorder("=")
    if native in _KEPT:
        return native
    if native.kind in "iuf":
        return np.dtype(np.float32)
    raise RegdataError(
        f"{path} holds {native} pixels; convert it to 8- or 16-bit integers or float32"
    )


def on_white(pixels: NDArray[Any], premultiplied: bool = False) -> NDArray[np.uint8]:
    """A picture with transparency laid on white, the colour of glass without tissue.

    Parameters
    ----------
    pixels
        (..., n + 1) uint8; the last is alpha, 0 transparent.
    premultiplied
        Whether the colours were multiplied by alpha already.

    Returns
    -------
    array
        (..., n) uint8.

    Examples
    --------
    >>> on_white(np.array([10, 20, 30, 255], np.uint8)).tolist()
    [10, 20, 30]
    >>> on_white(np.array([10, 20, 30, 0], np.uint8)).tolist()
    [255, 255, 255]
    """
    if (pixels[..., -1] == 255).all():
        return np.ascontiguousarray(pixels[..., :-1])
    alpha = pixels[..., -1:].astype(np.float32) / 255
    colour = pixels[..., :-1].astype(np.float32)
    laid = (colour if premultiplied else colour * alpha) + 255 * (1 - alpha)
    flat: NDArray[np.uint8] = np.rint(laid.clip(0, 255)).astype(np.uint8)
    return flat


def channel_names(names: list[str], count: int, rgb: bool, dtype: np.dtype[Any]) -> tuple[str, ...]:
    """Names for the channels of a file.

    Parameters
    ----------
    names
        What the file's metadata say, perhaps nothing or not one for each channel.
    count
        Channels it has.
    rgb
        Whether its pixels are stored as colours.
    dtype
        Type of the pixels.

    Returns
    -------
    tuple of str
        ("red", "green", "blue") for an RGB picture, else the file's names, else "channel 0", ...
    """
    stripped = tuple(name.strip() for name in names)
    complete = len(stripped) == count and any(stripped)
    # three 8-bit planes named R, G, B are a colour picture however they are stored
    coloured = tuple(name.lower() for name in stripped) in (RGB, ("r", "g", "b"))
    if count == 3 and dtype == np.uint8 and (coloured if complete else rgb):
        return RGB
    if not complete:
        stripped = ("",) * count
    return tuple(name or f"channel {k}" for k, name in enumerate(stripped))
