"""Handedness of stereocentres.

An O(3)-invariant energy is the same for L and D, so only barriers keep a simulated protein left-handed.
"""

import numpy as np

from cgprot.analyse.structure import bonded_neighbours
from cgprot.beads import BeadSystem


def stereocentres(system: BeadSystem) -> np.ndarray:
    """Every sp3 carbon with one folded hydrogen and three bonded neighbours, whatever the mapping.

    CB of valine and CG of leucine carry two like methyl groups and are no stereocentres in the strict
    sense; their arrangement cannot invert without breaking a bond either, so they count.

    Returns
    -------
    (n_centres, 4) int: centre and its neighbours in ascending index
    """
    neighbours = bonded_neighbours(system)
    centres = [
        [bead, *neighbours[bead]]
        for bead in np.flatnonzero((system.element == "C") & (system.hydrogens == 1))
        if len(neighbours[bead]) == 3
    ]
    return np.array(centres, dtype=np.int64).reshape(-1, 4)


def chirality(positions: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Handedness: the sign of a · (b × c), with a, b, c the bonds from the centre to its neighbours.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å]
    centres : (n_centres, 4) int, from `stereocentres`

    Returns
    -------
    (n_frames, n_centres), -1 or 1; 0 where the centre is flat, nan where positions are not finite
    """
    a, b, c = (positions[:, centres[:, k]] - positions[:, centres[:, 0]] for k in (1, 2, 3))
    return np.sign(np.einsum("fcx,fcx->fc", a, np.cross(b, c), dtype=float))


def chirality_flips(positions: np.ndarray, reference: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Which centres are not as in `reference`.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å]
    reference : (n_beads, 3) [Å]
    centres : (n_centres, 4) int, from `stereocentres`

    Returns
    -------
    (n_frames, n_centres) bool
    """
    return chirality(positions, centres) != chirality(reference[None], centres)


def d_residues(positions: np.ndarray, system: BeadSystem) -> list[str]:
    """The residues that are D amino acids, "TYR 1": those with CB on the other side of N, CA and C.

    Parameters
    ----------
    positions : (n_beads, 3) [Å]
    """
    corners = []
    for index in np.unique(system.residue_index):
        own = np.flatnonzero(system.residue_index == index)
        bead = {str(system.bead_name[k]): k for k in own}
        if {"N", "CA", "C", "CB"} <= bead.keys():
            corners.append([bead[name] for name in ("CA", "N", "CB", "C")])
    centres = np.array(corners, dtype=np.int64).reshape(-1, 4)
    mirrored = centres[chirality(positions[None], centres)[0] > 0, 0]  # negative in L
    return [f"{system.residue_name[k]} {system.residue_id[k]}" for k in mirrored]
