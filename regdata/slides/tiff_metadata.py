"""Channel names and pixel size as the dialects of TIFF state them."""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from tifffile import TiffPage

from regdata.slides.mpp import believable_mpp, um_per_unit

_CENTIMETRE, _INCH = 3, 2  # values of the ResolutionUnit tag
_UM_PER_UNIT = {_CENTIMETRE: 1e4, _INCH: 25400.0}


def ome_facts(xml: str, size: tuple[int, int]) -> tuple[list[str], float | None]:
    """Channel names and pixel size of the image of a given size in OME-XML.

    Parameters
    ----------
    xml
        The document.
    size
        (w, h); the first image of that size counts, else the first.

    Returns
    -------
    names
        One for every channel element, empty where it has none. An element with three samples
        (a colour picture) counts once.
    mpp
        µm per pixel, None when it is not stated.
    """
    try:
        images = [e for e in ElementTree.fromstring(xml).iter() if _tag(e) == "Pixels"]
    except ElementTree.ParseError:
        return [], None
    wanted = [str(side) for side in size]
    fitting = [e for e in images if [e.get("SizeX"), e.get("SizeY")] == wanted] or images
    if not fitting:
        return [], None
    channels = [e for e in fitting[0] if _tag(e) == "Channel"]
    names = [e.get("Name") or e.get("Fluor") or "" for e in channels]
    return names, believable_mpp(*(_physical(fitting[0], axis) for axis in "XY"))


def qptiff_names(descriptions: Sequence[str]) -> list[str]:
    """Channel names of a PerkinElmer (Akoya) file.

    Parameters
    ----------
    descriptions
        The XML of each full-resolution page, in order.

    Returns
    -------
    list of str
        The biomarker where one was entered, else the filter's name; empty where neither is.
    """
    return [_qptiff_name(xml) for xml in descriptions]


def resolution_mpp(page: TiffPage, unit: str | None = None) -> float | None:
    """The pixel size by the resolution tags.

    Parameters
    ----------
    page
        The full-resolution page.
    unit
        What the resolution is per, when the file says so elsewhere (ImageJ); by default the
        ResolutionUnit tag.

    Returns
    -------
    float or None
        µm per pixel; None for placeholders.
    """
    um = um_per_unit(unit) if unit else None
    if um is None:
        um = _UM_PER_UNIT.get(int(page.resolutionunit)) if "XResolution" in page.tags else None
    if um is None:
        return None
    return believable_mpp(*(um / each if each > 0 else None for each in page.resolution))


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _physical(pixels: ElementTree.Element, axis: str) -> float | None:
    stated = pixels.get(f"PhysicalSize{axis}")
    um = um_per_unit(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    try:
        return float(stated) * um if stated and um else None
    except ValueError:
        return None


def _qptiff_name(xml: str) -> str:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return ""
    return next(_stated(root, ("Biomarker", "Name")), "")


def _stated(root: ElementTree.Element, tags: Sequence[str]) -> Iterator[str]:
    for tag in tags:
        text = (root.findtext(tag) or "").strip()
        if text:
            yield text
