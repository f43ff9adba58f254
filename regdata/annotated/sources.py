"""Images to train on: plain folders, PanNuke folds and CoNSeP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, overload

from pydantic import BaseModel, ConfigDict, Field

from regdata.annotated.instance_maps import CONSEP_MERGED
from regdata.annotated.outlined import AnnotatedNuclei, find_annotated
from regdata.annotated.pannuke import Fold, find_folds
from regdata.errors import RegdataError


class SourceConfig(BaseModel):
    """One set of annotated images.

    Attributes
    ----------
    path
        Folder of the set.
    layout
        "folder": `images/` and `labels/*.npz` with `inst_map` and, where there are classes,
        `type_map`; "pannuke": folds of `images.npy`, `masks.npy` and `types.npy`, anywhere
        below; "consep": `Images/*.png` and `Labels/*.mat`.
    share
        Share of the training crops drawn from this set, relative to the other sets' shares.
    hv_weight
        Weight of the HV loss; below 1 where borders between touching nuclei are approximate.
    held_out
        Images whose names begin with one of these are left out of training, to watch it; a dot
        ends a name: "train_1." is that image alone.
    classes
        Whether its types train the type branch.
    mpp
        Micrometres per pixel; None = those of the network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    layout: Literal["folder", "pannuke", "consep"] = "folder"
    share: float = Field(1.0, ge=0)
    hv_weight: float = Field(1.0, ge=0)
    held_out: tuple[str, ...] = ()
    classes: bool = True
    mpp: float | None = Field(None, gt=0)


@dataclass(frozen=True)
class Images(Sequence[AnnotatedNuclei]):
    """Annotated images, each read when it is asked for.

    Attributes
    ----------
    names
        Of all images, known without reading one.
    tissues
        Number in `TISSUES` per image, -1 = not known.
    read
        Image k of `names`.
    """

    names: tuple[str, ...]
    tissues: tuple[int, ...]
    read: Callable[[int], AnnotatedNuclei]
    rows: tuple[int, ...] | None = None

    @classmethod
    def of(cls, images: Sequence[AnnotatedNuclei]) -> "Images":
        """Images that are in memory already."""
        tissues = tuple(-1 if image.tissue is None else image.tissue for image in images)
        return cls(tuple(image.name for image in images), tissues, tuple(images).__getitem__)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.names)

    @overload
    def __getitem__(self, k: int) -> AnnotatedNuclei: ...
    @overload
    def __getitem__(self, k: slice) -> "Images": ...
    def __getitem__(self, k: int | slice) -> "AnnotatedNuclei | Images":
        """Image k, read now; or a part, not read."""
        rows = range(len(self)) if self.rows is None else self.rows
        return self.take(range(len(self))[k]) if isinstance(k, slice) else self.read(rows[k])

    def take(self, chosen: Sequence[int]) -> "Images":
        """Some of the images, in the order of `chosen`, not read."""
        rows = range(len(self)) if self.rows is None else self.rows
        return Images(
            tuple(self.names[k] for k in chosen),
            tuple(self.tissues[k] for k in chosen),
            self.read,
            tuple(rows[k] for k in chosen),
        )


def load_images(source: SourceConfig) -> Images:
    """All annotated images of a source, held-out ones included.

    Folders and CoNSeP are read into memory; of PanNuke, whose folds are gigabytes, an image is
    cut from the memory-mapped arrays each time it is asked for.

    Raises
    ------
    RegdataError
        Files are missing, unreadable or do not belong together.
    """
    if source.layout == "pannuke":
        return _load_folds(source)
    consep = source.layout == "consep"
    outlined = (
        find_annotated(source.path, ".mat", len(CONSEP_MERGED) - 1, typed=True)
        if consep
        else find_annotated(source.path)
    )
    return Images.of([_trained(image.read(), source.classes, consep) for image in outlined])


def split_held_out(images: Images, held_out: tuple[str, ...]) -> tuple[Images, Images]:
    """Training images and held-out images, those whose names begin with one of `held_out`."""
    # the dot ends a name, so that "train_1." is not train_10
    out = [f"{name}.".startswith(held_out) for name in images.names]
    if held_out and not any(out):
        raise RegdataError(
            f"no image begins with {', '.join(held_out)}; the names are like {images.names[0]}"
        )
    return (
        images.take([k for k in range(len(images)) if not out[k]]),
        images.take([k for k in range(len(images)) if out[k]]),
    )


def _trained(image: AnnotatedNuclei, typed: bool, consep: bool) -> AnnotatedNuclei:
    if image.types is None or not typed:
        return replace(image, types=None)
    return replace(image, types=CONSEP_MERGED[image.types]) if consep else image


def _load_folds(source: SourceConfig) -> Images:
    folds = find_folds(source.path)
    names = [fold.name for fold in folds]
    if len(set(names)) < len(names):
        raise RegdataError(
            f"the folds below {source.path} are {', '.join(names)}; give them folders of unlike "
            "names"
        )
    places = [(fold, k) for fold in folds for k in range(len(fold.tissues))]
    return Images(
        tuple(f"{fold.name}_{k}" for fold, k in places),
        tuple(number for fold in folds for number in fold.numbers()),
        partial(_cut, places, source.classes),
    )


def _cut(places: list[tuple[Fold, int]], typed: bool, number: int) -> AnnotatedNuclei:
    fold, k = places[number]
    return fold.cut(k, typed)
