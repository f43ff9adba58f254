"""Labelling: from antibody channels to a label per nucleus."""
