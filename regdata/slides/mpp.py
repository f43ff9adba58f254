"""Pixel sizes as files state them: units to micrometres, and what cannot be believed."""

# OME spells out symbols, OME-Zarr names, ImageJ either.
_UM = {
    "pm": 1e-6, "picometer": 1e-6,
    "å": 1e-4, "angstrom": 1e-4,
    "nm": 1e-3, "nanometer": 1e-3,
    "µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "mm": 1e3, "millimeter": 1e3,
    "cm": 1e4, "centimeter": 1e4,
    "in": 25400.0, "inch": 25400.0,
    "m": 1e6, "meter": 1e6,
}  # fmt: skip
_FINEST, _COARSEST = 0.05, 20.0  # µm per pixel of any microscope or slide overview


def um_per_unit(unit: str) -> float | None:
    """Micrometres in one unit; None for a unit that is no length ("pixel").

    Parameters
    ----------
    unit
        Symbol or English name, any case.

    Examples
    --------
    >>> um_per_unit("nm"), um_per_unit("reference frame")
    (0.001, None)
    """
    # ImageJ escapes the sign; Greek mu and micro sign are two characters that look the same
    plain = unit.replace("\\u00B5", "µ").replace("\u03bc", "µ")
    return _UM.get(plain.strip().lower())


def believable_mpp(x: float | None, y: float | None) -> float | None:
    """The one pixel size of a file, or None when it cannot be one.

    Placeholders are common: 72 dpi or 10 pixels per centimetre mean 353 and 1000 µm per pixel.

    Parameters
    ----------
    x, y
        µm per pixel across and down; None when the file is silent.

    Returns
    -------
    float or None
        Their mean; None when either is missing, outside 0.05 to 20, or they differ by over 2 %.

    Examples
    --------
    >>> believable_mpp(0.25, 0.25), believable_mpp(1000.0, 1000.0)
    (0.25, None)
    """
    if x is None or y is None:
        return None
    if not all(_FINEST <= side <= _COARSEST for side in (x, y)):
        return None
    return (x + y) / 2 if abs(x - y) <= 0.02 * max(x, y) else None
