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


@pytest.fixture(scope="module")
def peptide_types():
    """Bead types of ACE-X-NME under heavy_residue."""
    from cgprot.reference.structure import structure_from_sequence, topology_of

    def types(sequence: str) -> list[str]:
        atoms = topology_of(structure_from_sequence(sequence).topology)
        # Names must not matter: every protonation state gets the same residue name.
        generic = {"HID": "HIS", "HIE": "HIS", "HIP": "HIS", "ASH": "ASP", "GLH": "GLU", "LYN": "LYS"}
        names = np.array([generic.get(name, name) for name in atoms.residue_name])
        system = build_system(atoms._replace(residue_name=names), load_rules("heavy_residue"))
        return system.type_name.tolist()

    return types


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("HID", {"HIS.NDH", "HIS.NE"}),
        ("HIE", {"HIS.ND", "HIS.NEH"}),
        ("HIP", {"HIP.ND", "HIP.NE"}),
        ("ASP", {"ASP.OD"}),
        ("ASH", {"ASH.O", "ASH.OH"}),
        ("GLU", {"GLU.OE"}),
        ("GLH", {"GLH.O", "GLH.OH"}),
        ("LYS", {"LYS.NZ"}),
        ("LYN", {"LYN.NZ"}),
        ("CYS", {"CYS.SG"}),
    ],
)
def test_protonation_states_have_types_of_their_own(peptide_types, state, expected):
    special = ("HIS.N", "HIP.N", "ASP.OD", "ASH", "GLU.OE", "GLH", "LYS.NZ", "LYN.NZ", "CYS.SG", "CYM", "CYX")
    found = {name for name in peptide_types(f"ACE-{state}-NME") if name.startswith(special)}
    assert found - {"HIS.N"} == expected


def test_termini_and_caps_have_types_of_their_own(peptide_types):
    free = peptide_types("ALA-GLY")
    assert free[0] == "NT.NH3"
    assert free.count("CT.O") == 2
    capped = peptide_types("ACE-ALA-GLY-NME")
    assert {"ACE.CH3", "ACE.C", "ACE.O", "NME.N", "NME.C"} <= set(capped)
    assert not {"NT.NH3", "CT.O"} & set(capped)
    assert peptide_types("PRO-GLY")[0] == "NT.NH2+"


def test_a_disulfide_is_told_from_a_thiol():
    atoms = topology("CSSC", [(0, 1), (1, 2), (2, 3)])
    named = atoms._replace(
        name=np.array(["CB", "SG", "SG", "CB"]),
        residue_name=np.array(["CYS"] * 4),
        residue_id=np.array([1, 1, 2, 2]),
    )
    assert build_system(named, load_rules("heavy_residue")).type_name.tolist() == [
        "CYS.CB", "CYX.SG", "CYX.SG", "CYS.CB",
    ]  # fmt: skip
    thiolate = named._replace(bonds=np.array([(0, 1), (2, 3)]))
    system = build_system(thiolate, load_rules("heavy_residue"))
    assert system.type_name.tolist() == ["CYS.CB", "CYM.SG", "CYM.SG", "CYS.CB"]
    assert system.charge.sum() == -2


def test_beads_are_bonded_through_the_atoms_between_them(chignolin_atoms):
    system = build_system(chignolin_atoms.topology, load_rules("ca"))
    assert system.bonds.tolist() == [[i, i + 1] for i in range(9)]
    assert system.bead_name.tolist() == ["CA"] * 10
    two = build_system(chignolin_atoms.topology, load_rules("ca_cb"))
    glycines = (two.type_name == "CA.GLY").sum()
    # CA-CA, CA-CB, and the ring of proline closes through N: CB-CA of the residue before.
    assert len(two.bonds) >= 9 + 10 - glycines


def test_an_incomplete_group_is_refused_or_dropped(chignolin_atoms, tmp_path):
    text = 'name = "two"\nposition = "mass"\nforce = "sum"\n'
    rule = (
        'bead = [{ type = "BB", number = 1, atoms = ["N", "CA", "CX"] }, '
        '{ type = "N", number = 2, name = ["N"] }]'
    )
    (tmp_path / "two.toml").write_text(text + rule)
    with pytest.raises(InputError, match=r"no rule for C .* CA of TYR 1"):
        build_system(chignolin_atoms.topology, load_rules(tmp_path / "two.toml"))
    (tmp_path / "two.toml").write_text(text + 'unmapped = "drop"\n' + rule)
    system = build_system(chignolin_atoms.topology, load_rules(tmp_path / "two.toml"))
    assert set(system.type_name) == {"N"}
    assert (system.bead_of_atom == -1).sum() > 100
