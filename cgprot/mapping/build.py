"""Topology -> BeadSystem."""

import numpy as np
from scipy.sparse.csgraph import connected_components

from cgprot.beads import BeadSystem, Topology, bond_graph
from cgprot.mapping.rules import MappingRules
from cgprot.mapping.sites import HeavyAtoms, Site, find_heavy_atoms, find_sites


def build_system(topology: Topology, rules: MappingRules) -> BeadSystem:
    """The beads of a topology.

    Parameters
    ----------
    topology : all atoms, hydrogens included, with their bonds
    rules : the mapping

    Returns
    -------
    BeadSystem with beads in the order of their first heavy atoms. Two beads are bonded if their
    atoms are, directly or through atoms that belong to no bead or are carried by one.

    Raises
    ------
    InputError
        if a hydrogen is not bonded to exactly one heavy atom, or no rule fits a heavy atom
    """
    heavy = find_heavy_atoms(topology)
    sites = find_sites(topology, rules, heavy)
    bead_of_atom = owners(heavy, sites)
    first = np.array([site.atoms[0] for site in sites])
    mapped = bead_of_atom >= 0

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(bead_of_atom[mapped], weights=values[mapped], minlength=len(sites))

    return BeadSystem(
        bead_type=np.array([site.rule.number for site in sites], dtype=np.int64),
        type_name=np.array([site.rule.type for site in sites]),
        mass=total(topology.mass),
        charge=total(heavy.charge),
        bonds=_bead_bonds(topology, heavy, sites),
        bead_of_atom=bead_of_atom,
        bead_name=np.array(
            [topology.name[site.atoms[0]] if len(site.atoms) == 1 else site.rule.type for site in sites]
        ),
        residue_name=topology.residue_name[first],
        residue_id=topology.residue_id[first],
        chain=topology.chain[first],
        mapping=rules.name,
        mapping_hash=rules.hash,
    )


def owners(heavy: HeavyAtoms, sites: list[Site]) -> np.ndarray:
    """(n_atoms,) int, the bead whose mass and forces an atom adds to; -1 if none."""
    bead_of_atom = np.full(len(heavy.parent), -1, dtype=np.int64)
    for bead, site in enumerate(sites):
        bead_of_atom[site.atoms] = bead
        bead_of_atom[site.carried] = bead
    return bead_of_atom[heavy.parent]


def _bead_bonds(topology: Topology, heavy: HeavyAtoms, sites: list[Site]) -> np.ndarray:
    n_atoms = len(heavy.parent)
    bead = np.full(n_atoms, -1)
    for index, site in enumerate(sites):
        bead[site.atoms] = index
    bonds = topology.bonds[heavy.is_heavy[topology.bonds].all(axis=1)]
    ends = bead[bonds]
    pairs = [tuple(pair) for pair in ends[(ends >= 0).all(axis=1)]]
    # Atoms without a bead of their own bridge the beads around them.
    loose = bonds[(ends < 0).all(axis=1)]
    bridge = connected_components(bond_graph(loose, n_atoms), directed=False)[1]
    touching: dict[int, set[int]] = {}
    for (i, j), (bead_i, bead_j) in zip(bonds, ends, strict=True):
        if (bead_i < 0) != (bead_j < 0):
            touching.setdefault(bridge[i if bead_i < 0 else j], set()).add(max(bead_i, bead_j))
    pairs += [(i, j) for beads in touching.values() for i in beads for j in beads if i < j]
    distinct = {tuple(sorted(map(int, pair))) for pair in pairs if pair[0] != pair[1]}
    return np.array(sorted(distinct), dtype=np.int64).reshape(-1, 2)
