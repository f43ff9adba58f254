"""Opening any slide: which reader a file gets is decided by what is in it."""

from pathlib import Path

from regdata.errors import RegdataError
from regdata.slides.slide import Slide

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_HEAD = 132
# Kinds of files often given by mistake, only to name them in the error.
_OTHERS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"GIF8", "a GIF picture"),
    (b"BM", "a BMP picture"),
    (b"RIFF", "a WebP picture"),
    (b"\0\0\0\x0cjP", "a JPEG 2000 picture"),
    (b"ZISRAWFILE", "a Zeiss CZI without a bright-field scan"),
    (b"<?xml", "an XML file"),
    (b"{", "a JSON file"),
)


def open_slide(path: str | Path) -> Slide:
    """A slide of any supported format, recognised by its content and not by its name.

    OpenSlide formats (SVS, NDPI, MRXS, SCN, BIF, DICOM and others), TIFF (OME-TIFF, qptiff,
    pyramidal and flat), OME-Zarr folders, PNG and JPEG. Pixels are read on demand, except
    PNG and JPEG, which can only be read whole.

    Parameters
    ----------
    path
        A file, or the folder of an OME-Zarr.

    Returns
    -------
    Slide
        Safe to read from several threads.

    Raises
    ------
    RegdataError
        When there is no such file, it is no image, or it is damaged.
    """
    path = Path(path)
    if path.is_dir():
        from regdata.slides.read_zarr import zarr_slide

        return _with_pixels(zarr_slide(path))
    return _with_pixels(_open_file(path, _head(path)))


def picture_size(path: str | Path) -> tuple[int, int]:
    """(H, W) of a picture as `open_slide` gives it; of PNG and JPEG no pixel is read."""
    path = Path(path)
    from regdata.slides.read_image import header_size

    own = header_size(path) if path.suffix.lower() != ".mrxs" and path.is_file() else None
    width, height = own or open_slide(path).size
    return height, width


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        raise RegdataError(f"{path}: no such file") from None
    except OSError as problem:
        raise RegdataError(f"{path} cannot be read: {problem.strerror}") from problem
    if not head:
        raise RegdataError(f"{path} is empty (0 bytes); copy or export it again")
    return head


def _open_file(path: Path, head: bytes) -> Slide:
    from regdata.slides.read_image import image_slide
    from regdata.slides.read_openslide import openslide_slide, openslide_vendor

    if head.startswith(_TIFF):
        return _open_tiff(path)
    if head.startswith(_PNG):
        return image_slide(path)
    if openslide_vendor(path):  # an .mrxs is a JPEG, too
        return openslide_slide(path)
    if head.startswith(_JPEG):
        return image_slide(path)
    raise RegdataError(
        f"{path} is not an image that can be read: expected a slide, TIFF, OME-Zarr, PNG or JPEG, "
        f"got {_kind(head)}"
    )


def _open_tiff(path: Path) -> Slide:
    """Leave to OpenSlide only what a scanner wrote in colour: it makes 16 bits 8-bit RGBA."""
    from regdata.slides.read_openslide import openslide_slide, openslide_vendor
    from regdata.slides.read_tiff import opened_tiff, tiff_slide

    if path.suffix.lower() == ".vsi" and (path.parent / f"_{path.stem}_").is_dir():
        raise RegdataError(
            f"{path} is an Olympus VSI, whose pixels no reader here knows; "
            "export it as OME-TIFF (QuPath or bfconvert do)"
        )
    with opened_tiff(path) as file:
        page = file.pages.first
        colour = page.bitspersample == 8 and page.samplesperpixel >= 3
        own = file.is_ome or file.is_qpi or not colour
    if own or openslide_vendor(path) in (None, "generic-tiff"):
        return tiff_slide(path)
    return openslide_slide(path)


def _with_pixels(slide: Slide) -> Slide:
    if not slide.sizes or 0 in slide.size or not slide.channels:
        raise RegdataError(f"{slide.path} has no pixels (size {slide.size}); export it again")
    return slide


def _kind(head: bytes) -> str:
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    if head[128:132] == b"DICM":
        return "a DICOM file that is no whole-slide image"
    if all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in head):
        return "a text file"
    return f"an unknown format (first bytes {head[:4].hex(' ')})"
