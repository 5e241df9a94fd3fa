"""The oxygen that ends a chain.

PDBFixer builds OXT some 85 degrees from CA about C, where a carboxylate has 118: a minimisation of all atoms
mends that, beads feel 200 kcal/mol/Å, and a model that never saw it may hold the atom there.
"""

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from openmm import app

_C_OXT = 1.249  # Å; Engh and Huber, International Tables for Crystallography F (2001), table 18.3.2.3
_LEAST_ANGLE = 100.0  # degrees, CA-C-OXT; thermal ones at 500 K are above it


class _Terminus(NamedTuple):
    residue: app.topology.Residue
    atoms: list[int]  # CA, C, O, OXT


def straighten(topology: app.Topology, positions: np.ndarray, built: Collection[int]) -> np.ndarray:
    """Positions (n_atoms, 3) [Å] with OXT of some residues where the plane of CA, C and O has room.

    Parameters
    ----------
    built : the residues' numbers in the topology
    """
    straight = positions.copy()
    for residue, (ca, c, o, oxt) in _termini(topology):
        if residue.index in built:
            between = _unit(positions[ca] - positions[c]) + _unit(positions[o] - positions[c])
            straight[oxt] = positions[c] - _C_OXT * _unit(between)
    return straight


def tell_bent(path: Path, topology: app.Topology, positions: np.ndarray) -> None:
    """One line to standard error for every OXT that is not where a carboxylate has it."""
    for residue, (ca, c, _, oxt) in _termini(topology):
        cosine = _unit(positions[ca] - positions[c]) @ _unit(positions[oxt] - positions[c])
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        if angle < _LEAST_ANGLE:
            who = f"{path}: OXT of {residue.name} {residue.id}"
            advice = "leave that atom out of the file and it is built anew"
            print(f"{who} is {angle:.0f} degrees from CA about C, not 118: {advice}", file=sys.stderr)


def _termini(topology: app.Topology) -> Iterator[_Terminus]:
    for residue in topology.residues():
        index = {atom.name: atom.index for atom in residue.atoms()}
        if {"CA", "C", "O", "OXT"} <= index.keys():
            yield _Terminus(residue, [index[name] for name in ("CA", "C", "O", "OXT")])


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)
