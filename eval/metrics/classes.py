"""Which class of the classifier answers to which class of an annotated set."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from regdata.errors import RegdataError

_BACKGROUND = ("negative", "other")
_REST = "*"
"""In a mapping: all classes of the set that nothing else answers to."""


@dataclass(frozen=True)
class ClassMap:
    """Scored classes, and the scored class of each class on either side.

    Attributes
    ----------
    classifier
        (C,) int64, index into `names` for each class of the classifier.
    annotated
        (S,) int64, the same for each class of the set.
    """

    names: tuple[str, ...]
    classifier: NDArray[np.int64]
    annotated: NDArray[np.int64]

    def merge(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """(M, K) float32, probabilities of the scored classes.

        Parameters
        ----------
        probabilities
            (M, C) float32, of the classes of the classifier.
        """
        merged = np.zeros((len(probabilities), len(self.names)), np.float32)
        np.add.at(merged.T, self.classifier, probabilities.T)
        return merged


def map_classes(
    classifier: Sequence[str], annotated: Sequence[str], mapping: Mapping[str, str] | None = None
) -> ClassMap:
    """The scored classes: the classifier's paired with those of an annotated set.

    Names agree regardless of case, a plural s, and space, `_` or `-`; there are no synonyms. A
    class of the classifier called "negative" or "other" takes every class of the set that is
    left over. Classes that one class answers to are scored together.

    Parameters
    ----------
    mapping
        Class of the classifier to class of the set, several of them separated by commas, or `*`
        for all that are left over. It replaces the rules above for the classes it names.

    Returns
    -------
    ClassMap
        Scored classes carry the classifier's name, or the set's where several answer to one.

    Raises
    ------
    RegdataError
        A class on either side is left without a partner.

    Examples
    --------
    >>> map_classes(["other", "lymphocyte"], ["tumor", "sTIL"], {"lymphocyte": "sTIL"}).annotated
    array([0, 1])
    """
    links = _links(classifier, annotated, mapping or {})
    taken = {a for targets in links.values() for a in targets}
    rest = _rest_class(classifier, mapping or {})
    left = [a for a in range(len(annotated)) if a not in taken]
    if rest is not None:
        links[rest] = [*links[rest], *left]
        left = []
    unanswered = [classifier[c] for c, targets in links.items() if not targets and c != rest]
    if left or unanswered:
        raise RegdataError(
            f"classes without a partner: {_listed([annotated[a] for a in left])} of the set, "
            f"{_listed(unanswered)} of the classifier; pass `mapping=` CLASSIFIER=SET (the "
            f"classifier has {_listed(classifier)}; the set has {_listed(annotated)})"
        )
    return _grouped(classifier, annotated, links)


def _links(
    classifier: Sequence[str], annotated: Sequence[str], mapping: Mapping[str, str]
) -> dict[int, list[int]]:
    """Classes of the set that each class of the classifier answers to, without the rest."""
    mapped = {
        _find(source, classifier, "classifier")[0]: [
            a
            for part in targets.split(",")
            if part.strip() != _REST
            for a in _find(part, annotated, "set")
        ]
        for source, targets in mapping.items()
    }
    taken = {a for targets in mapped.values() for a in targets}
    by_name = {
        c: [a for a, n in enumerate(annotated) if _plain(n) == _plain(name) and a not in taken]
        for c, name in enumerate(classifier)
    }
    return by_name | mapped


def _find(name: str, names: Sequence[str], owner: str) -> list[int]:
    matches = [i for i, other in enumerate(names) if _plain(other) == _plain(name)]
    if not matches:
        raise RegdataError(f"`mapping=`: the {owner} has no class {name}; it has {_listed(names)}")
    return matches


def _rest_class(classifier: Sequence[str], mapping: Mapping[str, str]) -> int | None:
    """Class that takes what is left over: the one of the mapping, or the only background."""
    for source, targets in mapping.items():
        if _REST in [part.strip() for part in targets.split(",")]:
            return _find(source, classifier, "classifier")[0]
    named = [_plain(source) for source in mapping]
    background = [c for c, name in enumerate(classifier) if _plain(name) in _BACKGROUND]
    if len(background) != 1 or _plain(classifier[background[0]]) in named:
        return None
    return background[0]


def _grouped(
    classifier: Sequence[str], annotated: Sequence[str], links: dict[int, list[int]]
) -> ClassMap:
    """Scored classes; classes linked to each other, directly or through a third, become one."""
    size = len(classifier)
    total = size + len(annotated)
    edges = [(c, size + a) for c, targets in links.items() for a in targets]
    rows, cols = np.array(edges, np.int64).reshape(-1, 2).T
    graph = csr_matrix((np.ones(len(edges)), (rows, cols)), shape=(total, total))
    _, group = connected_components(graph, directed=False)
    order = list(dict.fromkeys(group[:size].tolist()))  # in the order of the classifier
    index = {old: new for new, old in enumerate(order)}
    scored = np.array([index[g] for g in group.tolist()], np.int64)
    names = [_joined(i, scored, classifier, annotated) for i in range(len(order))]
    return ClassMap(tuple(names), scored[:size], scored[size:])


def _joined(
    i: int, scored: NDArray[np.int64], classifier: Sequence[str], annotated: Sequence[str]
) -> str:
    size = len(classifier)
    own = [classifier[c] for c in range(size) if scored[c] == i]
    theirs = [name for a, name in enumerate(annotated) if scored[size + a] == i]
    return own[0] if len(own) == 1 else "+".join(theirs)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.strip().casefold()).removesuffix("s")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
