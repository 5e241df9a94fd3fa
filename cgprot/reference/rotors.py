"""Hydroxyls and thiols turn about the bond to their carbon, while the heavy atoms are held.

Dynamics of a label is too short for it: over the barrier they turn in picoseconds and longer, and where one
points decides its forces and those of whatever it is bonded to by up to 20 kcal/mol/Å. So it is turned by
random angles, accepted by the rule of Metropolis (doi:10.1063/1.1699114): angles are uniform, the rotation
keeps volumes, and velocities take no part, hence the ensemble of the dynamics between is kept as well.
"""

from typing import NamedTuple

import numpy as np
import openmm
from openmm import unit

from cgprot.beads import Topology, neighbours_of
from cgprot.reference.moves import turned_about
from cgprot.units import BOLTZMANN, KCAL_PER_KJ


class Rotor(NamedTuple):
    """A lone hydrogen that turns about the bond of its oxygen or sulfur; numbers of atoms."""

    anchor: int
    centre: int
    hydrogen: int


def rotors_of(topology: Topology) -> list[Rotor]:
    """Of hydroxyls, those of acids too, and of thiols; the hydrogens of a methyl or an amine are alike."""
    neighbours = neighbours_of(topology.bonds, len(topology.element))
    found = []
    for centre in np.flatnonzero(np.isin(topology.element, ["O", "S"])).tolist():
        hydrogens = [atom for atom in neighbours[centre] if topology.element[atom] == "H"]
        anchors = [atom for atom in neighbours[centre] if topology.element[atom] != "H"]
        if len(hydrogens) == len(anchors) == 1:
            found.append(Rotor(anchors[0], centre, hydrogens[0]))
    return found


def turn(
    context: openmm.Context, rotors: list[Rotor], kelvin: float, sweeps: int, generator: np.random.Generator
) -> int:
    """Try to turn every rotor so many times; the context's positions are then those of the last one accepted.

    Returns
    -------
    how many were accepted
    """
    accepted = 0
    if not rotors:
        return accepted
    state = context.getState(getPositions=True, getEnergy=True)
    positions, energy = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer), _energy(state)
    for rotor in rotors * sweeps:
        angle = generator.uniform(-np.pi, np.pi)
        trial = turned_about(positions, rotor.anchor, rotor.centre, [rotor.hydrogen], angle)
        context.setPositions(trial)
        after = _energy(context.getState(getEnergy=True))
        # Accepted with min(1, exp(-x)); never where the energy is not a number.
        if (after - energy) / (BOLTZMANN * kelvin) < generator.exponential():
            positions, energy, accepted = trial, after, accepted + 1
    context.setPositions(positions)
    return accepted


def _energy(state: openmm.State) -> float:
    """[kcal/mol]."""
    return state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole) * KCAL_PER_KJ
