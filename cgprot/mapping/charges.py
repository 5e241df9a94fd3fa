"""Formal charges, read off the bond graph: protonation states without names."""

import numpy as np

from cgprot.beads import neighbours_of


def formal_charges(element: np.ndarray, hydrogens: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Formal charge of every heavy atom.

    Ammonium N (four neighbours) +1; guanidinium and imidazolium +1, shared by the two or three N
    around the carbon; carboxylate -1, shared by its two O; thiolate -1. Shared charges are
    fractions, so that equivalent atoms are equal. A phenolate cannot be told from a carbonyl
    without bond orders and counts as neutral.

    Parameters
    ----------
    element : (n_atoms,) str
    hydrogens : (n_atoms,) int, bonded hydrogens
    bonds : (n_bonds, 2) int, between heavy atoms

    Returns
    -------
    (n_atoms,) [e], zero for hydrogens
    """
    neighbours = neighbours_of(bonds, len(element))
    degree = np.array([len(found) for found in neighbours]) + hydrogens
    charge = np.zeros(len(element))
    charge[(element == "N") & (degree == 4)] = 1.0
    charge[(element == "S") & (degree == 1)] = -1.0
    for carbon in np.flatnonzero(element == "C"):
        _share_charge(neighbours[carbon], element, hydrogens, degree, charge)
    return charge


def _share_charge(around: list[int], element, hydrogens, degree, charge) -> None:
    oxygens = [i for i in around if element[i] == "O" and degree[i] == 1]
    nitrogens = [i for i in around if element[i] == "N"]
    if len(oxygens) == 2:
        charge[oxygens] = -0.5
    guanidinium = len(nitrogens) == 3 and hydrogens[nitrogens].sum() == 5
    # The carbon between the two N of a histidine ring carries one H; both N carry one in HIP only.
    imidazolium = len(around) == 2 and len(nitrogens) == 2 and (hydrogens[nitrogens] == 1).all()
    if guanidinium or imidazolium:
        charge[nitrogens] = 1.0 / len(nitrogens)
