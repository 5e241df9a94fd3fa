"""Refusing a start that is no molecule, before anything moves."""

import numpy as np
from scipy.spatial import cKDTree

from cgprot.analyse.structure import bond_lengths
from cgprot.beads import BeadSystem
from cgprot.errors import InputError

# Å; longer ones are a molecule cut by a periodic box or a gap in a chain. Where every bead is one heavy
# atom bonds are covalent (a disulfide has 2.05); coarser beads are farther apart (3.8 from CA to CA).
_LONGEST_BOND = 5.0
_LONGEST_COVALENT_BOND = 2.5
# Å; heavy atoms without a bond keep 2.1 (two bonds apart, at the sharpest angles). Nearer ones overlap:
# no such frame was ever learnt from, and the forces need not push them apart.
_NEAREST_BEADS = 1.5


def refuse_broken_molecule(system: BeadSystem, positions: np.ndarray) -> None:
    """Refuse what no force field can have been trained on.

    Parameters
    ----------
    positions : (n_replicas, n_beads, 3) [Å]

    Raises
    ------
    InputError
        if a bond is longer than 5 Å (2.5 Å where a bead is a heavy atom), or beads without a bond are
        nearer than 1.5 Å
    """
    _refuse_long_bonds(system, positions)
    _refuse_overlap(system, positions)


def _refuse_long_bonds(system: BeadSystem, positions: np.ndarray) -> None:
    of_atoms = (system.element != "").all()  # by any mapping, a user's own too
    longest = _LONGEST_COVALENT_BOND if of_atoms else _LONGEST_BOND
    length = bond_lengths(positions, system.bonds)
    if length.size and not length.max() < longest:
        replica, bond = np.unravel_index(np.argmax(length), length.shape)
        raise InputError(
            f"starting frame {replica}: bond {bead_names(system, system.bonds[bond])} is "
            f"{length[replica, bond]:.1f} Å long: make the molecule whole across the box, or "
            f"mend the gap in its chain"
        )


def _refuse_overlap(system: BeadSystem, positions: np.ndarray) -> None:
    bonded = {frozenset(bond) for bond in system.bonds.tolist()}
    for replica, frame in enumerate(positions):
        # Replicas mostly start alike, and non-finite positions are named by the first check.
        if not np.isfinite(frame).all() or (replica and np.array_equal(frame, positions[0])):
            continue
        near = cKDTree(frame).query_pairs(_NEAREST_BEADS)
        apart = {pair: float(np.linalg.norm(frame[pair[0]] - frame[pair[1]])) for pair in near}
        pairs = [pair for pair in apart if frozenset(pair) not in bonded]
        if pairs:
            first, second = min(pairs, key=lambda pair: (apart[pair], pair))
            raise InputError(
                f"starting frame {replica}: {bead_names(system, [first])} and "
                f"{bead_names(system, [second])} are {apart[first, second]:.2f} Å apart without a bond: "
                f"remove what overlaps"
            )


def bead_names(system: BeadSystem, beads: np.ndarray | list[int]) -> str:
    """ "CB-SG of CYS 12 A"; the residue is that of the first bead."""
    first = beads[0]
    names = "-".join(str(system.bead_name[bead]) for bead in beads)
    return (
        f"{names} of {system.residue_name[first]} {system.residue_id[first]} {system.chain[first]}".rstrip()
    )
