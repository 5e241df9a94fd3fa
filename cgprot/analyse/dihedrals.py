"""Dihedrals φ, ψ, ω and χ1, IUPAC signs, found from bead names and bonds."""

import numpy as np
from MDAnalysis.lib.distances import calc_dihedrals

from cgprot.analyse.structure import bonded_neighbours
from cgprot.beads import BeadSystem

CIS_BELOW = 90.0  # |ω| in degrees; trans is 180
# The fourth atom of χ1, by the IUPAC-IUB rules of 1969: of two branches the first.
_GAMMA = ("CG", "CG1", "OG", "OG1", "SG")


def peptide_bonds(system: BeadSystem) -> np.ndarray:
    """Bonds between a bead C and a bead N of another residue.

    Returns
    -------
    (n_peptide_bonds, 2) int: C, N
    """
    bonds = np.concatenate([system.bonds, system.bonds[:, ::-1]]).astype(np.int64)
    first, second = bonds.T
    residue = system.residue_index
    is_peptide = (
        (system.bead_name[first] == "C")
        & (system.bead_name[second] == "N")
        & (residue[first] != residue[second])
    )
    found = bonds[is_peptide]
    return found[np.argsort(found[:, 1], kind="stable")]


def phi_psi_beads(system: BeadSystem) -> np.ndarray:
    """The beads of φ and ψ of every residue that has both.

    A cap (ACE, NME) is the neighbour of its residue and has none itself.

    Returns
    -------
    (n_residues, 5) int: C of the residue before, N, CA, C, N of the residue after
    """
    residue = system.residue_index
    bonds = peptide_bonds(system)
    before = {int(residue[n]): (int(c), int(n)) for c, n in bonds}
    after = {int(residue[c]): (int(c), int(n)) for c, n in bonds}
    alpha = {int(residue[bead]): int(bead) for bead in np.flatnonzero(system.bead_name == "CA")}
    rows = [(*before[r], alpha[r], *after[r]) for r in sorted(alpha) if r in before and r in after]
    return np.array(rows, dtype=np.int64).reshape(-1, 5)


def omega_beads(system: BeadSystem) -> np.ndarray:
    """The beads of ω of every peptide bond; in a cap its methyl carbon stands for CA.

    Returns
    -------
    (n_omega, 4) int: CA, C, N, CA
    """
    neighbours = bonded_neighbours(system)
    # An α carbon may carry its side chain, and then has no element of its own.
    is_carbon = (system.bead_name == "CA") | (system.element == "C")
    rows = []
    for carbon, nitrogen in peptide_bonds(system):
        ends = [_alpha(system, bead, neighbours[bead], is_carbon) for bead in (carbon, nitrogen)]
        if None not in ends:
            rows.append((ends[0], carbon, nitrogen, ends[1]))
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def chi1_beads(system: BeadSystem) -> np.ndarray:
    """The beads of χ1 of every residue that has it; all but glycine, alanine and caps do.

    Returns
    -------
    (n_residues, 4) int: N, CA, CB, and CG, CG1, OG, OG1 or SG
    """
    residue, rows = system.residue_index, []
    for number in range(int(residue[-1]) + 1):
        beads = np.flatnonzero(residue == number)
        named = dict(zip(system.bead_name[beads].tolist(), beads.tolist(), strict=True))
        names = ["N", "CA", "CB", next((name for name in _GAMMA if name in named), "none")]
        if all(name in named for name in names):
            rows.append([named[name] for name in names])
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def backbone_dihedrals(positions: np.ndarray, system: BeadSystem) -> np.ndarray:
    """φ and ψ of every residue that has both.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å]
    system : BeadSystem

    Returns
    -------
    (n_frames, n_residues, 2) [degrees, -180 to 180], residues as in `phi_psi_beads`
    """
    beads = phi_psi_beads(system)
    return np.stack([dihedrals(positions, beads[:, :4]), dihedrals(positions, beads[:, 1:])], axis=-1)


def peptide_omega(positions: np.ndarray, system: BeadSystem) -> np.ndarray:
    """ω of every peptide bond.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å]
    system : BeadSystem

    Returns
    -------
    (n_frames, n_omega) [degrees, -180 to 180], bonds as in `omega_beads`
    """
    return dihedrals(positions, omega_beads(system))


def cis_flips(omega: np.ndarray, reference_omega: np.ndarray) -> np.ndarray:
    """Which peptide bonds changed between cis and trans.

    Parameters
    ----------
    omega : (n_frames, n_omega) [degrees]
    reference_omega : (n_omega,) [degrees]

    Returns
    -------
    (n_frames, n_omega) bool; True also where ω is not a number
    """
    return ((np.abs(omega) < CIS_BELOW) != (np.abs(reference_omega) < CIS_BELOW)) | np.isnan(omega)


def dihedrals(positions: np.ndarray, beads: np.ndarray) -> np.ndarray:
    """Dihedral angles of the bead quadruples `beads` (n, 4).

    Returns
    -------
    (n_frames, n) [degrees, -180 to 180]
    """
    corners = [
        np.ascontiguousarray(positions[:, column], dtype=np.float32).reshape(-1, 3) for column in beads.T
    ]
    shape = (len(positions), len(beads))
    if 0 in shape:
        return np.empty(shape)
    return np.degrees(calc_dihedrals(*corners)).reshape(shape)


def _alpha(system: BeadSystem, bead: int, bonded: np.ndarray, is_carbon: np.ndarray) -> int | None:
    """The carbon that carries C or N within its residue: CA, or the methyl carbon of a cap."""
    residue = system.residue_index
    carbons = [int(other) for other in bonded if residue[other] == residue[bead] and is_carbon[other]]
    named = [other for other in carbons if system.bead_name[other] == "CA"]
    return next(iter(named + carbons), None)
