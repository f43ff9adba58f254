"""Files of annotated sets by their names: folders in any case, hidden files left out, pairs."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from regdata.errors import RegdataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".svs", ".ndpi", ".mrxs")


def folder(path: Path) -> Path:
    """Return the path itself when it is a folder."""
    if not path.is_dir():
        state = "is a file" if path.exists() else "does not exist"
        raise RegdataError(f"expected a folder, but {path} {state}")
    return path


def entries(directory: Path) -> list[Path]:
    """What a folder holds, by name, without what systems leave there (`.DS_Store`, `._a.png`)."""
    return sorted(
        path
        for path in folder(directory).iterdir()
        if not path.name.startswith(".") and path.name not in ("__MACOSX", "Thumbs.db")
    )


def below(directory: Path) -> list[Path]:
    """What a folder and its sub-folders hold, by path, without what systems leave there."""
    out = []
    for path in entries(directory):
        out += [path, *(below(path) if path.is_dir() else [])]
    return sorted(out)


def contents(directory: Path) -> str:
    """First names in a folder, for messages."""
    names = [path.name + "/" * path.is_dir() for path in entries(directory)]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more if names else "nothing"


def list_files(directory: Path, *endings: str) -> list[Path]:
    """Files of a folder with one of these endings, in any case, by name."""
    return [p for p in entries(directory) if p.suffix.lower() in endings and p.is_file()]


def list_images(directory: Path) -> list[Path]:
    """Image files of a folder, by name.

    Raises
    ------
    RegdataError
        There is none, or two share a name.
    """
    files = list_files(directory, *IMAGE_SUFFIXES)
    if not files:
        raise RegdataError(
            f"expected images ({' '.join(IMAGE_SUFFIXES)}) in {directory}, found "
            f"{contents(directory)}"
        )
    _by_stem(files, "image")
    return files


def child(directory: Path, *names: str) -> Path | None:
    """The first of some sub-folders that is there, whatever its case."""
    if not directory.is_dir():
        return None
    there = {path.name.casefold(): path for path in entries(directory) if path.is_dir()}
    return next((there[name.casefold()] for name in names if name.casefold() in there), None)


def wrong_folder(directory: Path, expected: str) -> RegdataError:
    """The error of a folder that is not what it should be."""
    return RegdataError(f"expected {expected} in {directory}, found {contents(folder(directory))}")


def parts_with(
    directory: Path, images: str, labels: str, split: str | None = None
) -> list[tuple[str, Path, Path]]:
    """Splits of a set: (name, images, labels) of each folder that has both sub-folders.

    A folder that has them itself is one split without a name.

    Parameters
    ----------
    split
        The one that is wanted; all by default.

    Raises
    ------
    RegdataError
        There is none.
    """
    found = []
    for part in (folder(directory), *(p for p in entries(directory) if p.is_dir())):
        pair = child(part, images), child(part, labels)
        if pair[0] is not None and pair[1] is not None:
            found.append(("" if part == directory else part.name.lower(), pair[0], pair[1]))
    if not found:
        raise wrong_folder(directory, f"{images}/ and {labels}/, or folders with both,")
    found = found[:1] if found[0][0] == "" else found
    if split is not None and split not in (names := [name for name, _, _ in found]):
        known = ", ".join(name for name in names if name) or "none"
        raise RegdataError(f"expected a split of {directory} ({known}), got {split}")
    return [part for part in found if split in (None, part[0])]


def pair_files(
    images: Sequence[Path], annotations: Iterable[Path], ending: str, source: Path
) -> list[tuple[Path, Path]]:
    """Each image with the annotation of the same name.

    Parameters
    ----------
    ending
        Of annotations, for messages, such as `.mat`.
    source
        The folder, for messages.

    Raises
    ------
    RegdataError
        Two images share a name, or one has no annotation, or the other way round.
    """
    by_name, tables = _by_stem(images, "image"), _by_stem(annotations, "file of labels")
    for kind, alone in (
        (f"images without NAME{ending}", sorted(by_name.keys() - tables)),
        (f"NAME{ending} without an image", sorted(tables.keys() - by_name)),
    ):
        if alone:
            raise RegdataError(
                f"expected NAME{ending} for each image of {source}, found {len(alone)} {kind}, "
                f"the first is {alone[0]}"
            )
    return [(path, tables[stem]) for stem, path in by_name.items()]


def pair_folders(images: Path, labels: Path, ending: str, source: Path) -> list[tuple[Path, Path]]:
    """Each image of a folder with the annotation of the same name in another; see `pair_files`."""
    return pair_files(list_images(images), list_files(labels, ending), ending, source)


def _by_stem(paths: Iterable[Path], what: str) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for path in paths:
        other = named.setdefault(path.stem, path)
        if other != path:
            raise RegdataError(f"expected one {what} named {path.stem}, found {other} and {path}")
    return named
