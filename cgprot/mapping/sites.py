"""Which atoms form which bead: the rules applied to a topology."""

from typing import NamedTuple

import numpy as np

from cgprot.beads import Topology
from cgprot.errors import InputError
from cgprot.mapping.charges import formal_charges
from cgprot.mapping.rules import BeadRule, MappingRules


class Site(NamedTuple):
    """One bead before it has a number.

    Attributes
    ----------
    rule : the rule that made it
    atoms : its heavy atoms, in the order of the topology
    carried : heavy atoms whose mass and forces it takes as well
    """

    rule: BeadRule
    atoms: np.ndarray
    carried: np.ndarray


class HeavyAtoms(NamedTuple):
    """The heavy atoms of a topology with what the rules ask of them, (n_atoms,) each."""

    is_heavy: np.ndarray
    parent: np.ndarray  # the heavy atom of a hydrogen; a heavy atom's own index
    hydrogens: np.ndarray  # bonded hydrogens
    charge: np.ndarray  # [e], formal
    residue: np.ndarray  # residues counted from 0


def find_heavy_atoms(topology: Topology) -> HeavyAtoms:
    """Parents of the hydrogens, hydrogens per heavy atom, and formal charges, all from the bonds.

    Raises
    ------
    InputError
        if a hydrogen is not bonded to exactly one heavy atom
    """
    is_heavy = topology.element != "H"
    parent = _parents(topology, is_heavy)
    hydrogens = np.bincount(parent, minlength=len(parent)) - 1
    hydrogens[~is_heavy] = 0
    heavy_bonds = topology.bonds[is_heavy[topology.bonds].all(axis=1)]
    charge = formal_charges(topology.element, hydrogens, heavy_bonds)
    return HeavyAtoms(is_heavy, parent, hydrogens, charge, residue_of_atom(topology))


def residue_of_atom(topology: Topology) -> np.ndarray:
    """(n_atoms,) int, residues counted from 0; atoms of one residue need not be neighbours."""
    keys = np.array([topology.chain, topology.residue_id.astype(str), topology.residue_name])
    return np.unique(keys, axis=1, return_inverse=True)[1].ravel()


def _parents(topology: Topology, is_heavy: np.ndarray) -> np.ndarray:
    bonds = np.concatenate([topology.bonds, topology.bonds[:, ::-1]])
    to_heavy = bonds[~is_heavy[bonds[:, 0]] & is_heavy[bonds[:, 1]]]
    count = np.bincount(to_heavy[:, 0], minlength=len(is_heavy))
    wrong = np.flatnonzero(~is_heavy & (count != 1))
    if len(wrong):
        raise InputError(
            f"hydrogen {describe_atom(topology, wrong[0])} is bonded to {count[wrong[0]]} heavy atoms "
            f"({len(wrong)} such atoms): give a topology whose bonds are complete"
        )
    parent = np.arange(len(is_heavy))
    parent[to_heavy[:, 0]] = to_heavy[:, 1]
    return parent


def find_sites(topology: Topology, rules: MappingRules, heavy: HeavyAtoms) -> list[Site]:
    """The beads that the rules make, in the order of their first atoms.

    Raises
    ------
    InputError
        if no rule fits a heavy atom and the rules do not drop such atoms, or no atom is mapped
    """
    free = heavy.is_heavy.copy()
    members = [_apply(topology, rule, heavy, free) for rule in rules.bead]
    sites = []
    for rule, groups in zip(rules.bead, members, strict=True):
        for atoms in groups:
            sites.append(Site(rule, atoms, _take_carried(topology, rule, heavy, free, atoms)))
    if rules.unmapped == "refuse" and free.any():
        _refuse(topology, rules, heavy, int(np.flatnonzero(free)[0]))
    if not sites:
        raise InputError(f"mapping {rules.name}: no rule fits any atom: check the atoms' names")
    return sorted(sites, key=lambda site: site.atoms[0])


def _apply(topology: Topology, rule: BeadRule, heavy: HeavyAtoms, free: np.ndarray) -> list[np.ndarray]:
    """The groups of atoms that a rule makes beads of; they are free no more."""
    fits = free.copy()
    if rule.element is not None:
        fits &= topology.element == rule.element
    if rule.hydrogens is not None:
        fits &= heavy.hydrogens == rule.hydrogens
    if rule.charge is not None:
        fits &= np.abs(heavy.charge - rule.charge) < 0.01
    names = rule.name or [name for entry in rule.atoms for name in entry.split("|")]
    if names:
        fits &= np.isin(topology.name, names)
    if rule.residue:
        fits &= np.isin(topology.residue_name, rule.residue)
    found = np.flatnonzero(fits)
    groups = [found[i : i + 1] for i in range(len(found))]
    if rule.atoms:
        by_residue = [found[heavy.residue[found] == residue] for residue in np.unique(heavy.residue[found])]
        groups = [atoms for atoms in by_residue if _is_complete(topology.name[atoms], rule.atoms)]
    for atoms in groups:
        free[atoms] = False
    return groups


def _is_complete(names: np.ndarray, wanted: tuple[str, ...]) -> bool:
    """Whether each wanted atom, or one of its alternatives "CD1|CD", is there exactly once."""
    return len(names) == len(wanted) and all(np.isin(names, entry.split("|")).sum() == 1 for entry in wanted)


def _take_carried(topology, rule: BeadRule, heavy: HeavyAtoms, free, atoms) -> np.ndarray:
    if not rule.carries:
        return np.empty(0, dtype=int)
    carried = free & (heavy.residue == heavy.residue[atoms[0]])
    if rule.carries != "residue":
        carried &= np.isin(topology.name, rule.carries)
    free[carried] = False
    return np.flatnonzero(carried)


def _refuse(topology: Topology, rules: MappingRules, heavy: HeavyAtoms, atom: int) -> None:
    raise InputError(
        f"mapping {rules.name}: no rule for {topology.element[atom]} with {heavy.hydrogens[atom]} hydrogens "
        f"(atom {describe_atom(topology, atom)}): leave that residue out or add a rule"
    )


def describe_atom(topology: Topology, atom: int) -> str:
    """An atom as people name it, "CA of ALA 3 in chain A"."""
    residue = f"{topology.residue_name[atom]} {topology.residue_id[atom]}"
    chain = f" in chain {topology.chain[atom]}" if topology.chain[atom] else ""
    return f"{topology.name[atom]} of {residue}{chain}"
