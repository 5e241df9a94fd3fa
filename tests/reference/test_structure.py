"""Structures: what is there stays, what is missing is added, what is unknown is refused."""

import numpy as np
import pytest

from cgprot.errors import InputError, StorageError, UsageError
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference.peptide import build_peptide
from cgprot.reference.structure import load_structure, structure_from_sequence, topology_of


def bead_types(structure) -> list[str]:
    return build_system(topology_of(structure.topology), load_rules("heavy")).type_name.tolist()


def lines_of(path, keep) -> str:
    return "\n".join(line for line in path.read_text().splitlines() if keep(line)) + "\n"


def test_a_complete_structure_is_left_alone(examples):
    structure = load_structure(examples / "chignolin.pdb")
    assert structure.positions.shape == (166, 3)
    assert structure.positions[0] == pytest.approx([5.136, -0.305, -2.646], abs=1e-6)


def test_hydrogens_are_added_and_heavy_atoms_stay(examples, tmp_path, chignolin):
    bare = tmp_path / "bare.pdb"
    bare.write_text(lines_of(examples / "chignolin.pdb", lambda line: not line.rstrip().endswith(" H")))
    structure = load_structure(bare)
    full = load_structure(examples / "chignolin.pdb")
    assert bead_types(structure) == bead_types(full)
    heavy = topology_of(structure.topology).element != "H"
    heavy_full = topology_of(full.topology).element != "H"
    np.testing.assert_allclose(structure.positions[heavy], full.positions[heavy_full], atol=1e-6)


def test_a_missing_side_chain_atom_is_built(examples, tmp_path):
    path = tmp_path / "short.pdb"
    path.write_text(lines_of(examples / "chignolin.pdb", lambda line: line[12:16].strip() != "CZ3"))
    assert len(load_structure(path).positions) == 166


@pytest.mark.parametrize(
    ("before", "after", "error", "words"),
    [
        ("PRO A   4", "XYZ A   4", InputError, "unknown residue XYZ 4 in chain A"),
        ("   5.136  -0.305", "     nan  -0.305", InputError, "N of TYR 1 is not finite"),
        ("ATOM", "#TOM", InputError, "not a PDB or mmCIF"),
    ],
)
def test_wrong_structures_are_refused(examples, tmp_path, before, after, error, words):
    path = tmp_path / "wrong.pdb"
    path.write_text((examples / "chignolin.pdb").read_text().replace(before, after))
    with pytest.raises(error, match=words) as caught:
        load_structure(path)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        load_structure(tmp_path / "none.pdb")


ALL = "GLY-ALA-VAL-LEU-ILE-MET-PHE-TYR-TRP-SER-THR-CYS-ASN-GLN-ASP-GLU-LYS-ARG-HIE-PRO"


@pytest.mark.parametrize("sequence", [f"ACE-{ALL}-NME", ALL])
def test_every_residue_can_be_built(sequence):
    structure = structure_from_sequence(sequence)
    types = bead_types(structure)
    assert len(types) == 167 + {True: 5, False: 1}[sequence.startswith("ACE")]  # caps, or OXT


@pytest.mark.parametrize(("state", "charge"), [("HIP", 1), ("HID", 0), ("ASH", 0), ("LYN", 0), ("GLH", 0)])
def test_protonation_states(state, charge):
    topology = topology_of(structure_from_sequence(f"ACE-{state}-NME").topology)
    assert build_system(topology, load_rules("heavy")).charge.sum() == pytest.approx(charge)


def dihedral(a, b, c, d) -> float:
    n1, n2 = np.cross(b - a, c - b), np.cross(c - b, d - c)
    return np.degrees(np.arctan2(np.cross(n1, n2) @ (c - b) / np.linalg.norm(c - b), n1 @ n2))


def test_peptide_has_the_geometry_it_promises():
    peptide = build_peptide("ALA-PRO-TRP-LYS")
    atoms = {
        (a.residue.index, a.name): x for a, x in zip(peptide.topology.atoms(), peptide.positions, strict=True)
    }
    for i in range(3):
        n, ca, c = (atoms[i, name] for name in ("N", "CA", "C"))
        n2, ca2, c2 = (atoms[i + 1, name] for name in ("N", "CA", "C"))
        assert abs(dihedral(ca, c, n2, ca2)) == pytest.approx(180, abs=1e-6)
        assert dihedral(n, ca, c, n2) == pytest.approx(130, abs=1e-6)
        assert dihedral(c, n2, ca2, c2) == pytest.approx(-65 if i == 0 else -120, abs=1e-6)
        assert np.linalg.norm(c - n2) == pytest.approx(1.336)
        volume = np.cross(n - ca, c - ca) @ (atoms[i, "CB"] - ca)
        assert volume > 2  # L; a mirror image has it negative


@pytest.mark.parametrize(
    ("sequence", "words"),
    [
        ("ACE-XXX", "unknown residue 'XXX'"),
        ("ALA-ACE", "cap ACE inside"),
        ("DA-DC", "unknown"),
        ("", "unknown"),
    ],
)
def test_wrong_sequences_are_refused(sequence, words):
    with pytest.raises(UsageError, match=words):
        build_peptide(sequence)
