"""Reading the text of class definitions; what they mean is in `rules`."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from regdata.errors import RegdataError
from regdata.names import OPERATORS, RESERVED

_SIGNS = {"~": "not", "!": "not", "&": "and", "|": "or", ",": "or", "(": "(", ")": ")"}
_DEEPEST = 50
_TOKEN = re.compile(
    r"""\s*(?: (?P<quoted>"(?:[^"]|"")*"|'(?:[^']|'')*') | (?P<sign>[()&|,!~])"""
    r"""| (?P<word>[^\s()&|,!~="']+) )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Term:
    """A part of an expression: "name" before it is known of what, then "marker" or "class"."""

    kind: str
    name: str = ""
    parts: tuple["Term", ...] = ()

    def leaves(self) -> Iterator["Term"]:
        """The names in it."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


@dataclass(frozen=True)
class Definition:
    """What stands on either side of a definition's equals sign."""

    name: str
    term: Term


@dataclass(frozen=True)
class _Token:
    kind: str  # "name", an operator, a parenthesis or "end"
    text: str
    start: int


def read_definitions(definitions: Sequence[str], markers: Sequence[str]) -> dict[str, Definition]:
    """Read definitions and find out which names are markers and which are classes.

    Raises
    ------
    RegdataError
        As `parse_rules`.
    """
    read: dict[str, Definition] = {}
    for text in definitions:
        definition = _definition(text)
        name = definition.name
        if name in RESERVED:
            raise RegdataError(f"class {text!r}: every file has a label {name}; rename it")
        if name in read:
            raise RegdataError(f"class {name} is defined twice; join the two with |")
        read[name] = definition
    read = {
        name: replace(definition, term=_known(definition.term, name, markers, read))
        for name, definition in read.items()
    }
    for name in read:
        _refuse_circle([name], read)
    return read


def _definition(text: str) -> Definition:
    """One definition, its names not looked up."""
    head = re.match(r"""\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|[^="']*?)\s*=""", text)
    name = _unquoted(head.group(1)) if head else ""
    if head is None or not name.strip():
        raise RegdataError(f"class {text!r}: expected NAME = MARKER, or markers joined by & | ~")
    return Definition(name, _Parser(text, head.end()).expression())


def _unquoted(text: str) -> str:
    """What is inside quotes, or the text."""
    if text[:1] in ("'", '"') and len(text) > 1:
        return text[1:-1].replace(text[0] * 2, text[0])
    return text


class _Parser:
    """Recursive descent over one definition's text."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.tokens = list(self._tokens(start))
        self.place = 0
        self.depth = 0

    def _tokens(self, start: int) -> Iterator[_Token]:
        end = len(self.text.rstrip())
        while start < end:
            match = _TOKEN.match(self.text, start)
            if match is None:
                blank = len(self.text[start:]) - len(self.text[start:].lstrip())
                sign = self.text[start + blank]
                raise self._error(
                    "an = too many" if sign == "=" else "a quote that is never closed",
                    start + blank,
                )
            kind, token = match.lastgroup, match.group(match.lastgroup or 0)
            at, start = match.start(match.lastgroup or 0), match.end()
            if kind == "quoted":
                yield _Token("name", _unquoted(token), at)
            elif kind == "sign":
                yield _Token(_SIGNS[token], token, at)
            else:
                word = token.lower()
                yield _Token(word if word in OPERATORS else "name", token, at)
        yield _Token("end", "", end)

    def _error(self, what: str, at: int) -> RegdataError:
        marked = f"{self.text[:at]} >>> {self.text[at:]}".strip()
        return RegdataError(f"class {self.text.strip()!r}: {what} (here: {marked})")

    def _next(self) -> _Token:
        return self.tokens[self.place]

    def expression(self) -> Term:
        """The whole text."""
        term = self._joined("or")
        if self._next().kind != "end":
            token = self._next()
            what = (
                "a ) that was never opened"
                if token.kind == ")"
                else f"an operator is missing before {token.text}; names with spaces need quotes"
            )
            raise self._error(what, token.start)
        return term

    def _joined(self, kind: str) -> Term:
        """Operands joined by "or", which are joined by "and"."""
        parts = []
        while True:
            parts.append(self._joined("and") if kind == "or" else self._operand())
            if self._next().kind != kind:
                return parts[0] if len(parts) == 1 else Term(kind, parts=tuple(parts))
            self.place += 1

    def _operand(self) -> Term:
        """A name, a negation or a parenthesis."""
        token = self._next()
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._error(f"nested more than {_DEEPEST} deep", token.start)
        if token.kind == "not":
            self.place += 1
            term = Term("not", parts=(self._operand(),))
        elif token.kind == "(":
            self.place += 1
            term = self._joined("or")
            if self._next().kind != ")":
                raise self._error("the ( is never closed", token.start)
            self.place += 1
        elif token.kind == "name":
            self.place += 1
            term = Term("name", token.text)
        else:
            before = self.tokens[self.place - 1].text if self.place else "="
            raise self._error(f"a marker is missing after {before}", token.start)
        self.depth -= 1
        return term


def _known(
    term: Term, inside: str, markers: Sequence[str], classes: Mapping[str, Definition]
) -> Term:
    """The term with each name a marker or a class."""
    if term.parts:
        parts = tuple(_known(part, inside, markers, classes) for part in term.parts)
        return replace(term, parts=parts)
    name = term.name
    if name in markers:
        own = classes.get(name)
        if own is not None and inside != name and own.term != Term("name", name):
            raise RegdataError(
                f"class {inside} uses {name}, which is a marker and a class; rename the class"
            )
        return Term("marker", name)
    if name in classes:
        return Term("class", name)
    every = [*markers, *(c for c in classes if c != inside)]
    folded = {other.casefold(): other for other in every}
    near = difflib.get_close_matches(name.casefold(), folded, 1)
    guess = f", did you mean {folded[near[0]]}?" if near else ";"
    others = f" and the classes {', '.join(classes)}" if classes else ""
    raise RegdataError(
        f"class {inside} uses {name!r}, which is no marker or class{guess} "
        f"there are the markers {', '.join(markers)}{others}"
    )


def _refuse_circle(path: list[str], read: Mapping[str, Definition]) -> None:
    """Raise when a class is defined by way of itself."""
    for leaf in read[path[-1]].term.leaves():
        if leaf.kind != "class":
            continue
        if leaf.name in path:
            circle = " -> ".join([*path[path.index(leaf.name) :], leaf.name])
            raise RegdataError(f"classes are defined by one another: {circle}")
        _refuse_circle([*path, leaf.name], read)
