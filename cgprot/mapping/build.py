"""Topology -> BeadSystem: every heavy atom a bead, its hydrogens counted from the bonds."""

import numpy as np

from cgprot.beads import BeadSystem, Topology
from cgprot.errors import InputError
from cgprot.mapping.rules import MappingRules


def build_system(topology: Topology, rules: MappingRules) -> BeadSystem:
    """The beads of a topology.

    Parameters
    ----------
    topology : all atoms, hydrogens included, with their bonds
    rules : the mapping

    Returns
    -------
    BeadSystem with beads in the order of their heavy atoms

    Raises
    ------
    InputError
        if a hydrogen is not bonded to exactly one heavy atom, or no rule fits a heavy atom
    """
    bead_of_atom = _assign_beads(topology)
    heavy = np.flatnonzero(topology.element != "H")
    hydrogens = np.bincount(bead_of_atom, minlength=len(heavy)) - 1
    counts = zip(heavy.tolist(), hydrogens.tolist(), strict=True)
    matched = [_match(topology, rules, atom, count) for atom, count in counts]
    bonds = _heavy_bonds(topology, bead_of_atom)
    element = topology.element[heavy]
    return BeadSystem(
        bead_type=np.array([rule.number for rule in matched], dtype=np.int64),
        type_name=np.array([rule.type for rule in matched]),
        mass=np.bincount(bead_of_atom, weights=topology.mass, minlength=len(heavy)),
        charge=formal_charges(element, hydrogens, bonds),
        bonds=bonds,
        bead_of_atom=bead_of_atom,
        bead_name=topology.name[heavy],
        residue_name=topology.residue_name[heavy],
        residue_id=topology.residue_id[heavy],
        chain=topology.chain[heavy],
        mapping=rules.name,
        mapping_hash=rules.hash,
    )


def _assign_beads(topology: Topology) -> np.ndarray:
    """Bead of every atom: a heavy atom's own, a hydrogen's parent's."""
    is_hydrogen = topology.element == "H"
    bead_of_atom = np.where(is_hydrogen, -1, np.cumsum(~is_hydrogen) - 1)
    bonds = np.concatenate([topology.bonds, topology.bonds[:, ::-1]])
    to_heavy = bonds[is_hydrogen[bonds[:, 0]] & ~is_hydrogen[bonds[:, 1]]]
    parents = np.bincount(to_heavy[:, 0], minlength=len(is_hydrogen))
    wrong = np.flatnonzero(is_hydrogen & (parents != 1))
    if len(wrong):
        raise InputError(
            f"hydrogen {describe_atom(topology, wrong[0])} is bonded to {parents[wrong[0]]} heavy atoms "
            f"({len(wrong)} such atoms): give a topology whose bonds are complete"
        )
    bead_of_atom[to_heavy[:, 0]] = bead_of_atom[to_heavy[:, 1]]
    return bead_of_atom


def _match(topology: Topology, rules: MappingRules, atom: int, hydrogens: int):
    for rule in rules.bead:
        if rule.element == topology.element[atom] and rule.hydrogens == hydrogens:
            return rule
    raise InputError(
        f"mapping {rules.name}: no rule for {topology.element[atom]} with {hydrogens} hydrogens "
        f"(atom {describe_atom(topology, atom)}): leave that residue out or add a rule"
    )


def describe_atom(topology: Topology, atom: int) -> str:
    """An atom as people name it, "CA of ALA 3 in chain A"."""
    residue = f"{topology.residue_name[atom]} {topology.residue_id[atom]}"
    chain = f" in chain {topology.chain[atom]}" if topology.chain[atom] else ""
    return f"{topology.name[atom]} of {residue}{chain}"


def _heavy_bonds(topology: Topology, bead_of_atom: np.ndarray) -> np.ndarray:
    is_heavy = topology.element != "H"
    kept = topology.bonds[is_heavy[topology.bonds].all(axis=1)]
    return np.unique(np.sort(bead_of_atom[kept], axis=1), axis=0).reshape(-1, 2)


def formal_charges(element: np.ndarray, hydrogens: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Formal charge of every bead, read off the bond graph.

    Ammonium N (four neighbours) +1; guanidinium and imidazolium +1, shared by the two or three N
    around the carbon; carboxylate -1, shared by its two O; thiolate -1. Shared charges are
    fractions, so that equivalent beads are equal. A phenolate cannot be told from a carbonyl
    without bond orders and counts as neutral.

    Parameters
    ----------
    element : (n_beads,) str
    hydrogens : (n_beads,) int, bonded hydrogens
    bonds : (n_bonds, 2) int

    Returns
    -------
    (n_beads,) [e]
    """
    neighbours: list[list[int]] = [[] for _ in element]
    for i, j in bonds:
        neighbours[i].append(j)
        neighbours[j].append(i)
    degree = np.array([len(found) for found in neighbours]) + hydrogens
    charge = np.zeros(len(element))
    charge[(element == "N") & (degree == 4)] = 1.0
    charge[(element == "S") & (degree == 1)] = -1.0
    for carbon in np.flatnonzero(element == "C"):
        _share_charge(carbon, neighbours[carbon], element, hydrogens, degree, charge)
    return charge


def _share_charge(carbon, around, element, hydrogens, degree, charge) -> None:
    oxygens = [i for i in around if element[i] == "O" and degree[i] == 1]
    nitrogens = [i for i in around if element[i] == "N"]
    if len(oxygens) == 2:
        charge[oxygens] = -0.5
    guanidinium = len(nitrogens) == 3 and hydrogens[nitrogens].sum() == 5
    # The carbon between the two N of a histidine ring carries one H; both N carry one in HIP only.
    imidazolium = len(around) == 2 and len(nitrogens) == 2 and (hydrogens[nitrogens] == 1).all()
    if guanidinium or imidazolium:
        charge[nitrogens] = 1.0 / len(nitrogens)
