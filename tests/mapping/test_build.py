"""Bead types and charges of known residues; hydrogens are counted from bonds."""

import numpy as np
import pytest

from cgprot.beads import Topology
from cgprot.errors import InputError
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules


def topology(elements: str, bonds: list[tuple[int, int]]) -> Topology:
    n = len(elements)
    masses = {"H": 1.0, "C": 12.0, "N": 14.0, "O": 16.0, "S": 32.0, "P": 31.0}
    return Topology(
        element=np.array(list(elements)),
        name=np.array([f"{symbol}{i}" for i, symbol in enumerate(elements)]),
        mass=np.array([masses[symbol] for symbol in elements]),
        residue_name=np.array(["LIG"] * n),
        residue_id=np.ones(n, dtype=int),
        chain=np.array(["A"] * n),
        bonds=np.array(bonds),
    )


METHYLAMMONIUM = topology("CHHHNHHH", [(0, 1), (0, 2), (0, 3), (0, 4), (4, 5), (4, 6), (4, 7)])
FORMATE = topology("COOH", [(0, 1), (0, 2), (0, 3)])
GUANIDINIUM = topology(
    "CNNNHHHHHC", [(0, 1), (0, 2), (0, 3), (1, 4), (1, 5), (2, 6), (2, 7), (3, 8), (3, 9)]
)  # hydrogen 8 on N3, which also binds a carbon


def test_methylammonium():
    system = build_system(METHYLAMMONIUM, load_rules("heavy"))
    assert system.type_name.tolist() == ["CH3", "NH3"]
    assert system.bead_type.tolist() == [4, 8]
    assert system.mass.tolist() == [15.0, 17.0]
    assert system.charge.tolist() == [0.0, 1.0]
    assert system.bonds.tolist() == [[0, 1]]
    assert system.bead_of_atom.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_carboxylate_shares_its_charge():
    assert build_system(FORMATE, load_rules("heavy")).charge.tolist() == [0.0, -0.5, -0.5]


def test_guanidinium_counts_five_hydrogens():
    atoms = GUANIDINIUM._replace(
        element=np.array(list("CNNNHHHHHC")),
        bonds=np.array([(0, 1), (0, 2), (0, 3), (1, 4), (1, 5), (2, 6), (2, 7), (3, 8), (3, 9)]),
    )
    # The methyl carbon is bare here: only the graph around the guanidinium matters.
    assert build_system(atoms, load_rules("heavy")).charge[:4] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])


def test_order_of_atoms_does_not_matter():
    order = np.array([5, 4, 1, 0, 7, 2, 6, 3])
    place = np.argsort(order)
    shuffled = METHYLAMMONIUM._replace(
        element=METHYLAMMONIUM.element[order],
        name=METHYLAMMONIUM.name[order],
        mass=METHYLAMMONIUM.mass[order],
        bonds=place[METHYLAMMONIUM.bonds],
    )
    assert sorted(build_system(shuffled, load_rules("heavy")).type_name) == ["CH3", "NH3"]


def test_hydrogen_without_a_bond_is_refused():
    broken = METHYLAMMONIUM._replace(bonds=METHYLAMMONIUM.bonds[1:])
    with pytest.raises(InputError, match=r"H1 of LIG 1 .* bonded to 0 heavy atoms"):
        build_system(broken, load_rules("heavy"))


def test_element_without_a_rule_is_refused():
    with pytest.raises(InputError, match="no rule for P with 1 hydrogens"):
        build_system(topology("PH", [(0, 1)]), load_rules("heavy"))


def test_chignolin(chignolin):
    system = chignolin.system
    assert system.n_beads == 93
    assert system.charge.sum() == pytest.approx(-2)  # Asp, Glu, and the termini cancel
    assert system.residue_index[-1] == 9
    assert system.type_name[:4].tolist() == ["NH3", "CH1", "CH0", "OH0"]
    tyrosine_hydroxyl = system.bead_name == "OH"
    assert set(system.type_name[tyrosine_hydroxyl]) == {"OH1"}
