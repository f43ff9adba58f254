"""Whether an output may be written: never over an input, over another result only if asked for."""

from pathlib import Path

from regdata.errors import RegdataError


def check_output(output: Path, overwrite: bool, *inputs: Path) -> None:
    """Refuse an output that is an input, a folder, or there already and not to be replaced."""
    if any(output.resolve() == path.resolve() for path in inputs):
        raise RegdataError(f"{output} is also an input; choose another `output=`")
    if output.is_dir() and output.suffix.lower() != ".zarr":
        raise RegdataError(f"{output} is a folder; expected the name of a file to write")
    if output.exists() and not overwrite:
        raise RegdataError(f"{output} exists; pass `overwrite=True` to replace it")


def check_folder(output: Path | None, overwrite: bool, written: str) -> None:
    """The same for an output that is a folder, or a file where its name ends in .json.

    Parameters
    ----------
    written
        A file in the folder that tells that there is a result already.
    """
    if output is None:
        return
    if output.suffix.lower() == ".json":
        check_output(output, overwrite)
    elif output.exists() and not output.is_dir():
        raise RegdataError(
            f"{output} is a file; `output=` takes a folder, or the name of a .json to write"
        )
    elif (output / written).exists() and not overwrite:
        raise RegdataError(f"{output} holds a result; pass `overwrite=True` to replace it")
