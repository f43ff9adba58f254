"""The command line: each command parses, calls one function and prints one summary."""

__all__: list[str] = []
