"""Names that every file has or no file may use, and how a name is written in a rule."""

NEGATIVE, UNKNOWN = "negative", "unknown"
RESERVED = (NEGATIVE, UNKNOWN)
"""Labels every file has."""
OPERATORS = ("not", "and", "or")
"""Words that are no names in a rule, in any case."""


def quoted(name: str) -> str:
    """A name as it is written in a rule: in quotes where it would not be read as one word.

    Examples
    --------
    >>> quoted("CD3"), quoted("PD-1 (a)"), quoted("or")
    ('CD3', '"PD-1 (a)"', '"or"')
    """
    plain = name and not set(name) & set("()&|,!~=\"'") and not any(map(str.isspace, name))
    return name if plain and name.lower() not in OPERATORS else '"' + name.replace('"', '""') + '"'
