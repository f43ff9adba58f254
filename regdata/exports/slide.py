"""The H&E slide of a file of cells, opened and checked."""

from dataclasses import dataclass
from pathlib import Path

from regdata.cells import Record
from regdata.errors import RegdataError
from regdata.slides import Slide, open_slide


@dataclass(frozen=True)
class RecordedSlide:
    """What a file of cells says of its H&E slide.

    Attributes
    ----------
    path
        Where it was; of several images the folder that has them in `images/`.
    mpp
        µm per level-0 pixel, None where the file does not say.
    size
        (w, h) of level 0, None where the file does not say.
    """

    path: Path
    mpp: float | None
    size: tuple[int, int] | None

    def moved(self, path: Path | None) -> "RecordedSlide":
        """The same slide at another place; None keeps the recorded one."""
        return self if path is None else RecordedSlide(path, self.mpp, self.size)

    def known_mpp(self, cells: Path) -> float:
        """Its µm per pixel.

        Raises
        ------
        RegdataError
            The file does not say.
        """
        if not self.mpp:
            raise RegdataError(
                f"{cells} does not say the pixel size of its H&E slide; make it again "
                "with `he_mpp=`"
            )
        return self.mpp

    def open(self, name: str) -> Slide:
        """The slide, or the image `name` of a folder of them.

        Raises
        ------
        RegdataError
            It is not there, or has another size than the slide the cells lie on.
        """
        path = self._image(name) if (self.path / "images").is_dir() else self.path
        if not path.exists():
            raise RegdataError(f"the H&E slide {path} is not there; pass `he=PATH`")
        slide = open_slide(path)
        if self.size is not None and slide.size != self.size:
            raise RegdataError(
                f"{path} is {slide.size[0]} x {slide.size[1]} pixels, the cells were found on a "
                f"slide of {self.size[0]} x {self.size[1]}; pass `he=` with that slide"
            )
        return slide

    def _image(self, name: str) -> Path:
        images = [path for path in sorted((self.path / "images").iterdir()) if path.stem == name]
        return images[0] if images else self.path / "images" / name


def recorded_slide(record: Record) -> RecordedSlide:
    """The H&E slide as `regdata build`, `label-images` or `segment` record it.

    Examples
    --------
    >>> from regdata.cells import SlideRecord
    >>> recorded_slide(Record(he=SlideRecord(path="a.svs", mpp=0.25, size=(8, 6)))).size
    (8, 6)
    """
    he = record.he
    if not he.path:
        return RecordedSlide(Path("(not recorded)"), None, None)
    return RecordedSlide(Path(he.path), he.mpp, he.size)
