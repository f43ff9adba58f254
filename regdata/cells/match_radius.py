"""How near two positions must be to be of the same nucleus."""

MATCH_RADIUS_UM = 3.75
"""Default of everything that pairs nuclei, µm: 15 px at 0.25 µm/px, some radius of a nucleus.

Presets of published tools have their own (`regdata.eval.conventions`), in the tool's unit.
"""
