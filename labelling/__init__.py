"""Labelling: from antibody channels to a label per nucleus."""

__all__: list[str] = []
