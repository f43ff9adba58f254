"""Finding a channel by its name or number."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace

from regdata.errors import RegdataError
from regdata.slides.slide import Slide

# In order of preference; a stain's name may carry numbers, but not further letters.
_NUCLEAR = ("dapi", "hoechst", "(?:ss|ds)?dna")


def find_channel(channels: Sequence[str], wanted: str) -> int:
    """The index of the channel with a given name or number.

    Parameters
    ----------
    channels
        Names, in the slide's order.
    wanted
        A name, exact or in another case, or an index counted from 0.

    Raises
    ------
    RegdataError
        When there is no such channel (the message lists them), or two have that name.

    Examples
    --------
    >>> find_channel(["DAPI", "CD3", "CD20"], "cd20")
    2
    >>> find_channel(["DAPI", "CD3", "CD20"], "1")
    1
    """
    plain = wanted.strip()
    exact = [k for k, name in enumerate(channels) if name.strip() == plain]
    folded = [k for k, name in enumerate(channels) if _fold(name) == _fold(plain)]
    matches = exact or folded
    if len(matches) > 1:
        raise RegdataError(
            f"{len(matches)} channels are called {plain!r}; give an index instead "
            f"({', '.join(map(str, matches))})"
        )
    if matches:
        return matches[0]
    if re.fullmatch("[0-9]+", plain) and int(plain) < len(channels):
        return int(plain)
    raise RegdataError(
        f"no channel {plain!r}{_guess(channels, plain)}; there are {_list(channels)}"
    )


def find_dapi(channels: Sequence[str], wanted: str | None = None) -> int:
    """The index of the nuclear stain.

    Parameters
    ----------
    channels
        Names, in the slide's order.
    wanted
        What the user calls it; by default the first DAPI, else Hoechst, else DNA, with whatever
        numbers and cycle names stand around.

    Raises
    ------
    RegdataError
        When there is none; the message asks for `--dapi` and lists the channels.

    Examples
    --------
    >>> find_dapi(["CD3", "DAPI_cycle1", "DAPI_cycle2"])
    1
    """
    if wanted is not None:
        return find_channel(channels, wanted)
    for stain in _NUCLEAR:
        pattern = re.compile(f"(?<![a-z]){stain}(?![a-z])", re.IGNORECASE)
        for index, name in enumerate(channels):
            if pattern.search(name):
                return index
    raise RegdataError(
        f"no channel is called DAPI, Hoechst or DNA; pass `dapi=NAME`, one of {_list(channels)}"
    )


def rename_channels(slide: Slide, names: str) -> Slide:
    """The same slide with other channel names.

    Parameters
    ----------
    slide
        Any slide.
    names
        One name a channel, in order, separated by commas.

    Raises
    ------
    RegdataError
        When there are more or fewer names than channels, or an empty one.
    """
    given = tuple(name.strip() for name in names.split(","))
    if len(given) != len(slide.channels) or not all(given):
        raise RegdataError(
            f"{slide.path} has {len(slide.channels)} channels ({_list(slide.channels)}), "
            f"got {len(given)} names ({names}); give one for each, separated by commas"
        )
    return replace(slide, channels=given)


def _fold(name: str) -> str:
    return name.strip().casefold()


def _list(channels: Sequence[str]) -> str:
    return ", ".join(f"{k} {name}" for k, name in enumerate(channels))


def _guess(channels: Sequence[str], wanted: str) -> str:
    """A hint: a name that contains the wanted one, else a similar one, else nothing."""
    names = {_fold(name): name for name in channels}
    inside = [folded for folded in names if _fold(wanted) and _fold(wanted) in folded]
    close = inside or difflib.get_close_matches(_fold(wanted), names, n=1)
    return f", did you mean {names[close[0]]!r}?" if close else ""
