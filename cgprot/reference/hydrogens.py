"""Hydrogens for hydrogen-free frames: a first placement that a force field then relaxes."""

import numpy as np

from cgprot.beads import BeadSystem, Topology


def place_hydrogens(
    topology: Topology, system: BeadSystem, reference: np.ndarray, beads: np.ndarray
) -> np.ndarray:
    """All-atom positions whose heavy atoms are `beads` exactly and whose hydrogens are near.

    Around every bead the reference structure's heavy atoms within two bonds are laid on the
    frame's by least squares (Kabsch, doi:10.1107/S0567739476001873); the bead's hydrogens follow.

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
        rotation, origin, target = _superpose(reference[heavy[around]], beads[around])
        positions[hydrogen] = (reference[hydrogen] - origin) @ rotation + target
    return positions


def _surroundings(system: BeadSystem) -> list[list[int]]:
    """For every bead: itself, its neighbours, and theirs where it has only one."""
    neighbours: list[list[int]] = [[] for _ in range(system.n_beads)]
    for i, j in system.bonds:
        neighbours[i].append(int(j))
        neighbours[j].append(int(i))
    found = []
    for bead, near in enumerate(neighbours):
        around = {bead, *near}
        if len(near) == 1:
            around |= set(neighbours[near[0]])
        found.append([bead, *sorted(around - {bead})])
    return found


def _superpose(moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotation about the first atom that lays `moving` on `fixed`, and the two origins."""
    u, _, vt = np.linalg.svd((moving - moving[0]).T @ (fixed - fixed[0]))
    u[:, -1] *= np.sign(np.linalg.det(u @ vt))
    return u @ vt, moving[0], fixed[0]
