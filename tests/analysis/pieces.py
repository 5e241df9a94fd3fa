"""Pieces of a trajectory."""

import dataclasses

from cgprot.beads import BeadFrames


def some(frames, chosen, **more):
    names = [field.name for field in dataclasses.fields(frames)]
    parts = {name: getattr(frames, name)[chosen] for name in ("positions", "time", "forces")}
    return BeadFrames(**{name: parts.get(name, getattr(frames, name)) for name in names} | more)
