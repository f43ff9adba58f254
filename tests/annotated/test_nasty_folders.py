"""Folders as people have them: every reader of annotated images takes or refuses them alike."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from coloured import MODEL
from numpy.typing import NDArray
from PIL import Image

from regdata.annotated.outlined import find_annotated
from regdata.annotated.registry import parse_set
from regdata.annotated.sources import SourceConfig, load_images
from regdata.errors import RegdataError
from regdata.eval.segmentation import evaluate_segmentation
from regdata.segmenting.outlined_images import label_images

IDS = np.zeros((6, 8), np.int32)
IDS[1:3, 1:4], IDS[4, 5:] = 1, 2
RGB = np.full((6, 8, 3), 200, np.uint8)
RGB[IDS > 0] = 40


def good(root: Path, images: str = "images", labels: str = "labels") -> None:
    """Image `a` with two nuclei of types 1 and 2."""
    (root / images).mkdir()
    (root / labels).mkdir()
    Image.fromarray(RGB).save(root / images / "a.png")
    write_labels(root, IDS, labels=labels)


def write_labels(
    root: Path, ids: NDArray[np.generic], types: NDArray[np.generic] = IDS, labels: str = "labels"
) -> None:
    np.savez(root / labels / "a.npz", inst_map=ids, type_map=types)


def leftovers(root: Path) -> None:
    good(root)
    for place in (root, root / "images", root / "labels"):
        (place / ".DS_Store").write_bytes(b"Bud1")
    (root / "images" / "._a.png").write_bytes(b"\0\5\x16\7")
    (root / "labels" / "._a.npz").write_bytes(b"\0\5\x16\7")
    (root / "images" / "Thumbs.db").write_bytes(b"\xd0\xcf")


def capitals(root: Path) -> None:
    good(root, "Images", "LABELS")


def turned(root: Path, stored: bool) -> None:
    """A JPEG whose EXIF says: a quarter turn, with labels of the turned or the stored frame."""
    (root / "images").mkdir()
    (root / "labels").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it clockwise
    lying = np.ascontiguousarray(np.rot90(RGB))  # so that a viewer shows RGB
    Image.fromarray(lying).save(root / "images" / "a.jpg", exif=exif, quality=100, subsampling=0)
    write_labels(root, *([np.rot90(IDS)] * 2 if stored else [IDS, IDS]))


def upside_down(root: Path) -> None:
    """A half turn, which no size tells."""
    good(root)
    (root / "images" / "a.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 3
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(RGB, 2)))
    lying.save(root / "images" / "a.jpg", exif=exif, quality=100, subsampling=0)


def with_labels(
    ids: NDArray[np.generic], types: NDArray[np.generic] = IDS
) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        good(root)
        write_labels(root, ids, types)

    return write


def missing(root: Path) -> None:
    good(root)
    (root / "labels" / "a.npz").unlink()


def without_image(root: Path) -> None:
    good(root)
    (root / "labels" / "b.npz").write_bytes((root / "labels" / "a.npz").read_bytes())


def double(root: Path) -> None:
    good(root)
    Image.fromarray(RGB).save(root / "images" / "a.jpg")


def damaged(root: Path) -> None:
    good(root)
    path = root / "labels" / "a.npz"
    path.write_bytes(path.read_bytes()[:60])


def grey(root: Path) -> None:
    good(root)
    Image.fromarray(RGB[..., 0]).save(root / "images" / "a.png")


def training(root: Path) -> None:
    load_images(SourceConfig(path=root))


def named_set(root: Path) -> None:
    for image in parse_set(f"npz:{root}")().images:
        assert image.opened().is_rgb


def evaluation(root: Path) -> None:
    evaluate_segmentation(root)


def labelling(root: Path) -> None:
    label_images(root, root / "x.h5", MODEL)


GOOD = {
    "leftovers": leftovers,
    "capitals": capitals,
    "turned": lambda root: turned(root, stored=False),
    "upside down": upside_down,
    "doubles": with_labels(IDS.astype(float), IDS.astype(float)),
}
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "negative id": (with_labels(-IDS), r"whole numbers from 0 on in inst_map .*, found -2"),
    "type 300": (with_labels(IDS, IDS * 150), r"numbers 0 to 255 in type_map of .*, found 300"),
    "half id": (with_labels(IDS / 2), r"whole numbers from 0 on in inst_map .*, found 0\.5"),
    "nan": (with_labels(np.where(IDS == 1, np.nan, IDS)), "in inst_map .*, found nan"),
    "size": (with_labels(IDS[:5]), r"inst_map in .* is \(5, 8\), its image \(6, 8\)$"),
    "size of types": (with_labels(IDS, IDS[:5]), r"type_map in .* is \(5, 8\), its image \(6, 8\)"),
    "stored frame": (lambda root: turned(root, stored=True), r"is \(8, 6\), .* EXIF says$"),
    "missing": (missing, r"1 images without NAME\.npz, the first is a"),
    "without image": (without_image, r"1 NAME\.npz without an image, the first is b"),
    "double": (double, r"expected one image named a, found .*a\.jpg and .*a\.png"),
    "damaged": (damaged, r"expected arrays in .*a\.npz, but it cannot be read"),
}
CONSUMERS = (training, named_set, evaluation, labelling)


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_read_is_the_same_for_all(name: str, tmp_path: Path) -> None:
    GOOD[name](tmp_path)
    (trained,) = load_images(SourceConfig(path=tmp_path))
    (scored,) = (image.read() for image in find_annotated(tmp_path))
    named = parse_set(f"npz:{tmp_path}")()
    (image,) = named.images
    slide = image.opened()
    assert trained.types is not None
    assert scored.kinds is not None
    assert image.outlines is not None
    for ids in (trained.instances, trained.types, scored.instances, image.outlines()):
        assert ids.tolist() == IDS.tolist()
    assert scored.kinds.tolist() == (image.labels + 1).tolist() == [1, 2]
    for rgb in (trained.rgb, scored.rgb, slide.read_rgb((0, 0), slide.size)):
        assert np.abs(rgb.astype(int) - RGB).max() < 40  # what JPEG leaves
    assert image.points_xy.tolist() == [[2.5, 2.0], [6.5, 4.5]]


@pytest.mark.parametrize("read", CONSUMERS, ids=lambda read: read.__name__)
@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_by_all_in_the_same_line(
    name: str, read: Callable[[Path], None], tmp_path: Path
) -> None:
    write, message = BAD[name]
    write(tmp_path)
    with pytest.raises(RegdataError, match=message) as error:
        read(tmp_path)
    assert "\n" not in error.value.message
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("read", [training, evaluation, labelling], ids=lambda r: r.__name__)
def test_grey_pictures_are_refused(read: Callable[[Path], None], tmp_path: Path) -> None:
    grey(tmp_path)
    with pytest.raises(RegdataError, match="is not an RGB picture; expected H&E"):
        read(tmp_path)
