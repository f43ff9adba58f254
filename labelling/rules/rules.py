"""Classes as boolean rules over markers, in logic that knows "unknown" (Kleene, 1952)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from regdata.labelling.rules.text import Definition, Term, read_definitions
from regdata.names import quoted

_BINDS = {"or": 0, "and": 1, "not": 2, "marker": 2}


@dataclass(frozen=True)
class Rule:
    """A boolean expression over markers.

    Attributes
    ----------
    kind
        "marker", "not", "and" or "or".
    marker
        The marker's name, of a marker only.
    parts
        What is negated or joined; no part of an "and" or "or" is of the same kind.

    Examples
    --------
    >>> rule = parse_rules(["plasma = MIST1 & ~(panCK, CD31)"], ["MIST1", "panCK", "CD31"])
    >>> str(rule["plasma"])
    'MIST1 & ~(panCK | CD31)'
    """

    kind: str
    marker: str = ""
    parts: tuple["Rule", ...] = ()

    @property
    def markers(self) -> tuple[str, ...]:
        """Names of the markers it asks for, each once, in order."""
        return tuple(dict.fromkeys(self._leaves()))

    def _leaves(self) -> Iterator[str]:
        if self.kind == "marker":
            yield self.marker
        for part in self.parts:
            yield from part._leaves()

    def evaluate(self, states: Mapping[str, NDArray[np.int8]]) -> NDArray[np.int8]:
        """Whether it holds, in Kleene's strong logic: unknown only where the unknown matter.

        Parameters
        ----------
        states
            Per marker (N,) int8: 1 positive, 0 negative, -1 unknown.

        Returns
        -------
        array
            (N,) int8, likewise.

        Examples
        --------
        >>> rule = parse_rules(["T = CD3 & ~CD20"], ["CD3", "CD20"])["T"]
        >>> unknown = np.array([-1, -1], np.int8)
        >>> rule.evaluate({"CD3": np.array([1, 0], np.int8), "CD20": unknown}).tolist()
        [-1, 0]
        """
        truth = self._truth(states)
        return np.where(truth == 1, -1, truth // 2).astype(np.int8)

    def _truth(self, states: Mapping[str, NDArray[np.int8]]) -> NDArray[np.int8]:
        """0 false, 1 unknown, 2 true: "and" is the least of them, "or" the greatest."""
        if self.kind == "marker":
            state = np.asarray(states[self.marker])
            return np.where(state < 0, 1, 2 * state).astype(np.int8)
        truths = [part._truth(states) for part in self.parts]
        if self.kind == "not":
            return (2 - truths[0]).astype(np.int8)
        return reduce(np.minimum if self.kind == "and" else np.maximum, truths)

    def probability(self, positive: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
        """(N,) probability that it holds, the markers being independent.

        A marker that stands in it twice counts as two independent ones: `A & ~A` of a
        probability of 0.5 has 0.25, not 0. NaN where a marker's probability is NaN.

        Parameters
        ----------
        positive
            Per marker (N,) probability that it is positive.
        """
        if self.kind == "marker":
            return np.asarray(positive[self.marker], dtype=np.float64)
        parts = [part.probability(positive) for part in self.parts]
        if self.kind == "not":
            return 1 - parts[0]
        if self.kind == "and":
            return reduce(np.multiply, parts)
        return 1 - reduce(np.multiply, [1 - part for part in parts])

    def __str__(self) -> str:
        """The rule as text that reads back as the same rule."""
        if self.kind == "marker":
            return quoted(self.marker)
        inner = [
            f"({part})" if _BINDS[part.kind] < _BINDS[self.kind] else str(part)
            for part in self.parts
        ]
        if self.kind == "not":
            return f"~{inner[0]}"
        return (" & " if self.kind == "and" else " | ").join(inner)


def negation(part: Rule) -> Rule:
    """The opposite of a rule; of a negation what it negates."""
    return part.parts[0] if part.kind == "not" else Rule("not", parts=(part,))


def joined(kind: str, parts: Sequence[Rule]) -> Rule:
    """Rules joined by "and" or "or", those of the same kind merged into one."""
    flat = [inner for part in parts for inner in (part.parts if part.kind == kind else (part,))]
    return flat[0] if len(flat) == 1 else Rule(kind, parts=tuple(flat))


def parse_rules(definitions: Sequence[str], markers: Sequence[str]) -> dict[str, Rule]:
    """Read class definitions: NAME = markers and classes joined by operators.

    Operators, the strongest first: `~`, `!` or `not`; `&` or `and`; `|`, `,` or `or`; parentheses
    as usual. A name in quotes may hold anything. A class may use others, before or after it; what
    is both a marker and a class is the marker, and must be so by definition.

    Parameters
    ----------
    definitions
        One text per class.
    markers
        The names there are.

    Raises
    ------
    RegdataError
        When a text cannot be read (it says where), a name is unknown, taken or reserved, or
        classes are defined by one another.

    Examples
    --------
    >>> rules = parse_rules(["T = CD3", "helper = T and not CD8"], ["CD3", "CD8"])
    >>> {name: str(rule) for name, rule in rules.items()}
    {'T': 'CD3', 'helper': 'CD3 & ~CD8'}
    """
    read = read_definitions(definitions, markers)
    return {name: _resolved(read[name].term, read) for name in read}


def _resolved(term: Term, read: Mapping[str, Definition]) -> Rule:
    """The rule of a term, the classes in it replaced by theirs."""
    if term.kind == "marker":
        return Rule("marker", term.name)
    if term.kind == "class":
        return _resolved(read[term.name].term, read)
    parts = [_resolved(part, read) for part in term.parts]
    return negation(parts[0]) if term.kind == "not" else joined(term.kind, parts)
