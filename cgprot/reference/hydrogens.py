"""Hydrogens for hydrogen-free frames: a first placement that a force field then relaxes."""

import numpy as np
from scipy.spatial.transform import Rotation

from cgprot.beads import BeadSystem, Topology, neighbours_of


def place_hydrogens(
    topology: Topology, system: BeadSystem, reference: np.ndarray, beads: np.ndarray
) -> np.ndarray:
    """All-atom positions whose heavy atoms are `beads` exactly and whose hydrogens are near.

    Around every bead the reference structure's heavy atoms bonded to it are turned onto the frame's by
    least squares, with those bonded to its neighbour where it has only one; the bead's hydrogens follow.

    Parameters
    ----------
    topology : all atoms
    system : their beads
    reference : (n_atoms, 3) [Å], any conformation with hydrogens
    beads : (n_beads, 3) [Å], the frame

    Returns
    -------
    (n_atoms, 3) [Å]
    """
    heavy = np.flatnonzero(topology.element != "H")
    positions = np.empty_like(reference)
    positions[heavy] = beads
    surroundings = _surroundings(system)
    for hydrogen in np.flatnonzero(topology.element == "H"):
        around = surroundings[system.bead_of_atom[hydrogen]]
        moving, fixed = reference[heavy[around]], beads[around]
        rotation, _ = Rotation.align_vectors(fixed[1:] - fixed[0], moving[1:] - moving[0])
        positions[hydrogen] = rotation.apply(reference[hydrogen] - moving[0]) + fixed[0]
    return positions


def _surroundings(system: BeadSystem) -> list[list[int]]:
    """For every bead: itself, its neighbours, and theirs where it has only one."""
    neighbours = neighbours_of(system.bonds, system.n_beads)
    found = []
    for bead, near in enumerate(neighbours):
        around = {bead, *near}
        if len(near) == 1:
            around |= set(neighbours[near[0]])
        found.append([bead, *sorted(around - {bead})])
    return found
