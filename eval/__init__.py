"""Evaluation: how far predictions are from pathologists' annotations."""
