"""All-atom positions and forces -> those of the beads (the "heavy" position and "sum" force map)."""

import numpy as np

from cgprot.beads import BeadSystem, Topology
from cgprot.errors import InputError


class Projection:
    """Projects arrays of all atoms onto the beads of a system.

    Position map: R = position of the bead's heavy atom. Force map: F = force on the heavy atom
    plus those on its bonded hydrogens. Both satisfy the consistency condition of Noid et al.
    (doi:10.1063/1.2938860): position map times force map transposed is the identity. Constraint
    forces along X-H bonds cancel in the sum, so trajectories with constrained hydrogens qualify.

    Parameters
    ----------
    topology : all atoms
    system : the beads made from it
    """

    def __init__(self, topology: Topology, system: BeadSystem) -> None:
        self.n_atoms = len(topology.element)
        self._heavy = np.flatnonzero(topology.element != "H")
        self._hydrogen_slots = _hydrogen_slots(topology, system)

    def positions(self, atom_positions: np.ndarray) -> np.ndarray:
        """Bead positions, (..., n_atoms, 3) [Å] -> (..., n_beads, 3) [Å]."""
        self._check(atom_positions, "positions")
        return atom_positions[..., self._heavy, :]

    def forces(self, atom_forces: np.ndarray) -> np.ndarray:
        """Bead forces, (..., n_atoms, 3) -> (..., n_beads, 3), both [kcal/mol/Å]."""
        self._check(atom_forces, "forces")
        summed = atom_forces[..., self._heavy, :]
        for beads, hydrogens in self._hydrogen_slots:
            summed[..., beads, :] += atom_forces[..., hydrogens, :]
        return summed

    def _check(self, array: np.ndarray, what: str) -> None:
        if array.shape[-2:] != (self.n_atoms, 3):
            raise InputError(
                f"{what} of shape {array.shape} do not fit {self.n_atoms} atoms: check the topology"
            )
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            raise InputError(f"{what} are not finite (first at index {tuple(bad[0])}): leave that frame out")


def _hydrogen_slots(topology: Topology, system: BeadSystem) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs (beads, hydrogens): the k-th pair holds every bead's k-th hydrogen.

    Adding slot by slot needs no scatter: within a slot no bead occurs twice.
    """
    hydrogens = np.flatnonzero(topology.element == "H")
    beads = system.bead_of_atom[hydrogens]
    order = np.argsort(beads, kind="stable")
    hydrogens, beads = hydrogens[order], beads[order]
    rank = np.arange(len(beads)) - np.searchsorted(beads, beads)
    return [(beads[rank == k], hydrogens[rank == k]) for k in range(rank.max(initial=-1) + 1)]
