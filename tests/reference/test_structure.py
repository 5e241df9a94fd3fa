"""Structures: what is there stays, what is missing is added, what is unknown is refused."""

from pathlib import Path

import MDAnalysis
import numpy as np
import pytest
from openmm import app

from cgprot.analyse.dihedrals import peptide_bonds
from cgprot.errors import InputError, StorageError, UsageError
from cgprot.files.universe import AtomSource, open_universe
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference.peptide import as_quantity, build_peptide, residue_names
from cgprot.reference.structure import load_structure, structure_from_sequence, topology_of
from cgprot.simulate.box import multiplied, n_chains

USED_BEFORE = "chain with a letter used before"


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


def test_a_missing_side_chain_atom_is_built_and_told(examples, tmp_path, capsys):
    path = tmp_path / "short.pdb"
    path.write_text(lines_of(examples / "chignolin.pdb", lambda line: line[12:16].strip() != "CZ3"))
    assert len(load_structure(path).positions) == 166
    assert "missing heavy atoms built: 1 in 1 residues, the first in TRP 9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "number"),
    [("A   1A", 2), ("A   1 ", 1)],  # an insertion code; a second chain of the same letter and number
)
def test_residues_of_one_number_and_name_stay_two(examples, tmp_path, capsys, place, number):
    lines = (examples / "chignolin.pdb").read_text().splitlines(keepends=True)
    again = [line[:21] + place + line[27:] if line[22:26] == "   2" else line for line in lines]
    if number == 1:  # both tyrosines, each the only residue of its chain
        first = [line for line in lines if line[22:26] == "   1"]
        far = [f"{line[:30]}{float(line[30:38]) + 30:8.3f}{line[38:]}" for line in first]
        again = [*first, "TER\n", *far]
    path = tmp_path / "again.pdb"
    path.write_text("".join(again))
    system = build_system(topology_of(load_structure(path).topology), load_rules("heavy"))
    alpha = system.bead_name == "CA"
    places = list(zip(system.chain[alpha].tolist(), system.residue_id[alpha].tolist(), strict=True))
    assert len(set(places)) == len(places)
    assert system.residue_index[-1] + 1 == len(places)
    assert ("B", 1) in places if number == 1 else len(peptide_bonds(system)) == 9
    assert "residues of one number" in capsys.readouterr().err


@pytest.mark.parametrize("letter", ["A", " "])
def test_every_chain_has_a_letter_of_its_own(examples, tmp_path, capsys, letter):
    """Numbers that go on over a TER told the residues of a homodimer apart, not its chains."""
    atoms = lines_of(examples / "chignolin.pdb", lambda line: line.startswith("ATOM")).splitlines()
    one = [f"{line[:21]}{letter}{line[22:]}" for line in atoms]
    two = [
        f"{line[:22]}{int(line[22:26]) + 10:4d}{line[26:30]}{float(line[30:38]) + 25:8.3f}{line[38:]}"
        for line in one
    ]
    path = tmp_path / "dimer.pdb"
    path.write_text("\n".join([*one, "TER", *two, "TER", "END"]) + "\n")
    structure = load_structure(path)
    told = capsys.readouterr().err
    assert told == f"{path}: chains of one letter or residues of one number: {USED_BEFORE}: 1\n"
    system = build_system(topology_of(structure.topology), load_rules("heavy"))
    assert system.chain.tolist() == ["A"] * 93 + ["B"] * 93
    assert np.unique(system.residue_id).tolist() == list(range(1, 21))  # as in the file
    assert n_chains(system) == 2
    assert list(dict.fromkeys(multiplied(system, 2).chain)) == ["A", "B", "C", "D"]
    write_structure(structure, tmp_path / "written.pdb")
    assert AtomSource(tmp_path / "written.pdb", []).topology.chain.tolist() == ["A"] * 166 + ["B"] * 166


def test_models_and_alternate_locations_that_are_left_out_are_told(examples, tmp_path, capsys):
    atoms = lines_of(examples / "chignolin.pdb", lambda line: line.startswith("ATOM"))
    both = "".join(
        f"{line[:16]}{place}{line[17:30]}{float(line[30:38]) + shift:8.3f}{line[38:]}"
        for line in atoms.splitlines(keepends=True)
        for place, shift in ((("A", 0.0), ("B", 0.5)) if line[22:26] == "   9" else ((" ", 0.0),))
    )
    path = tmp_path / "several.pdb"
    path.write_text(f"MODEL        1\n{both}ENDMDL\nMODEL        2\n{both}ENDMDL\n")
    expected = load_structure(examples / "chignolin.pdb").positions
    capsys.readouterr()
    np.testing.assert_allclose(load_structure(path).positions, expected, atol=1e-6)
    told = capsys.readouterr().err
    assert "the first of 2 models taken" in told
    assert "of alternate locations A, B that of the highest occupancy taken" in told


def test_the_location_of_the_highest_occupancy_is_taken_as_map_takes_it(examples, tmp_path):
    """Both ways of reading a crystal structure begin from the same atoms."""
    places = {"   2": (("A", 0.0, 0.4), ("B", 0.3, 0.6)), "   9": (("A", 0.0, 0.5), ("B", 0.3, 0.5))}
    written = [
        f"{line[:16]}{place}{line[17:30]}{float(line[30:38]) + x:8.3f}{line[38:54]}{share:6.2f}{line[60:]}"
        for line in lines_of(examples / "chignolin.pdb", lambda line: line.startswith("ATOM")).splitlines(
            True
        )
        for place, x, share in places.get(line[22:26], ((" ", 0.0, 1.0),))
    ]
    path = tmp_path / "located.pdb"
    path.write_text("".join(written))
    found = load_structure(path).positions
    moved = found - load_structure(examples / "chignolin.pdb").positions
    number = topology_of(load_structure(path).topology).residue_id
    np.testing.assert_allclose(moved[:, 0], np.where(number == 2, 0.3, 0.0), atol=1e-6)
    np.testing.assert_allclose(next(iter(AtomSource(path, []))).positions, found, atol=1e-3)
    same = load_structure(as_mmcif(written, tmp_path / "located.cif")).positions
    np.testing.assert_array_equal(same, found)


def as_mmcif(lines: list[str], path: Path) -> Path:
    """Atoms of a PDB in two models; PDBx writers of crystallographers name the columns so."""
    columns = "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_seq_id"
    columns += " pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy"
    columns += " auth_seq_id auth_comp_id auth_asym_id auth_atom_id pdbx_PDB_model_num"
    rows = [
        f"ATOM {line[6:11]} {line[76:78]} {line[12:16]} {line[16].strip() or '.'} {line[17:20]} A"
        f" {line[22:26]} ? {line[30:54]} {line[54:60]} {line[22:26]} {line[17:20]} A {line[12:16]} {model}"
        for model in (1, 2)
        for line in lines
    ]
    heads = [f"_atom_site.{column}" for column in columns.split()]
    path.write_text("\n".join(["data_located", "loop_", *heads, *rows, "#\n"]))
    return path


@pytest.mark.parametrize("share", ["  0.60", "******", "      "])
def test_locations_of_later_models_leave_the_first_alone(examples, tmp_path, share):
    lines = lines_of(examples / "chignolin.pdb", lambda line: line.startswith("ATOM")).splitlines(True)
    first = "".join(f"{line[:16]}A{line[17:54]}  0.40{line[60:]}" for line in lines)
    second = "".join(f"{line[:16]}B{line[17:54]}{share}{line[60:]}" for line in lines)
    path = tmp_path / "models.pdb"
    path.write_text(f"MODEL        1\n{first}ENDMDL\nMODEL        2\n{second}ENDMDL\n")
    expected = load_structure(examples / "chignolin.pdb").positions
    np.testing.assert_allclose(load_structure(path).positions, expected, atol=1e-6)
    path.write_text("".join(second.splitlines(True)))  # an occupancy that cannot be read is no fault
    np.testing.assert_allclose(load_structure(path).positions, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("before", "after", "error", "words"),
    [
        ("PRO A   4", "XYZ A   4", InputError, "unknown residue XYZ 4 in chain A"),
        ("   5.136  -0.305", "     nan  -0.305", InputError, "N of TYR 1 is not finite"),
        ("   5.136  -0.305", "   5.1x6  -0.305", InputError, r"not a PDB or mmCIF .*5\.1x6.*, line \d+\)"),
        ("ATOM", "#TOM", InputError, "not a PDB or mmCIF"),
    ],
)
def test_wrong_structures_are_refused(examples, tmp_path, before, after, error, words):
    path = tmp_path / "wrong.pdb"
    path.write_text((examples / "chignolin.pdb").read_text().replace(before, after))
    with pytest.raises(error, match=words) as caught:
        load_structure(path)
    assert "\n" not in str(caught.value)


NO_ATOMS = "data_X\nloop_\n_atom_site.group_PDB\n_atom_site.id\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [("none.pdb", ""), ("none.pdb", "TITLE  ATOM\nEND\n"), ("none.cif", NO_ATOMS)],
)
def test_a_file_without_atoms_is_refused_in_plain_words(tmp_path, examples, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=rf"{name}: not a PDB or mmCIF structure \(no atoms in it\)"):
        load_structure(path)
    with pytest.raises(InputError, match=rf"{name}: no atoms in it: check the file"):
        open_universe(path, [examples / "chignolin.trr"])


HOH = "HETATM   23  O   HOH A   4       9.000   9.000   9.000  1.00  0.00           O  \n"


def write_structure(structure, path, keep=lambda line: True, rename=("", "")) -> None:
    with open(path, "w") as stream:
        app.PDBFile.writeFile(structure.topology, as_quantity(structure.positions), stream, keepIds=True)
    path.write_text(lines_of(path, lambda line: keep(line) and line[:6] != "CONECT").replace(*rename))


def heavy_line(line: str) -> bool:
    return line[76:78] != " H"


def test_caps_survive_the_adding_of_hydrogens(examples, tmp_path):
    """A capped peptide is no zwitterion."""
    full = load_structure(examples / "alanine_dipeptide.pdb")
    write_structure(full, tmp_path / "bare.pdb", heavy_line)
    bare = load_structure(tmp_path / "bare.pdb")
    topology = topology_of(bare.topology)
    assert list(dict.fromkeys(topology.residue_name)) == ["ACE", "ALA", "NME"]
    heavy, heavy_full = (topology_of(one.topology).element != "H" for one in (bare, full))
    assert (heavy.sum(), (~heavy).sum()) == (10, 12)
    np.testing.assert_allclose(bare.positions[heavy], full.positions[heavy_full], atol=1e-3)


def test_water_is_left_out_and_the_rest_untouched(examples, tmp_path, capsys):
    full = load_structure(examples / "alanine_dipeptide.pdb")
    assert capsys.readouterr().err == ""
    path = tmp_path / "wet.pdb"
    path.write_text(
        lines_of(examples / "alanine_dipeptide.pdb", lambda line: line[:6] not in ("CONECT", "END")) + HOH
    )
    wet = load_structure(path)
    np.testing.assert_array_equal(wet.positions, full.positions)
    assert topology_of(wet.topology).name.tolist() == topology_of(full.topology).name.tolist()
    assert "residues of solvent and ions left out: 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "parent", "charge"),
    [("HIP", "HIS", 1), ("HID", "HIS", 0), ("ASH", "ASP", 0), ("ASP", "ASP", -1), ("LYN", "LYS", 0)],
)
@pytest.mark.parametrize("form", ["pdb", "cif"])
def test_names_state_the_protonation(tmp_path, name, parent, charge, form):
    """OpenMM reads HIP as HIS, which is neutral at pH 7."""
    sequence = structure_from_sequence(f"ACE-ALA-{name}-NME")
    path = tmp_path / "named.pdb"
    write_structure(sequence, path, heavy_line, (f"{parent} A   3", f"{name} A   3"))
    if form == "cif":
        pdb = app.PDBFile(str(path))
        path = tmp_path / "named.cif"
        with open(path, "w") as stream:
            app.PDBxFile.writeFile(pdb.topology, pdb.positions, stream, keepIds=True)
        path.write_text(path.read_text().replace(parent, name))
    topology = topology_of(load_structure(path).topology)
    assert build_system(topology, load_rules("heavy")).charge.sum() == pytest.approx(charge)
    assert set(topology.residue_name) == {"ACE", "ALA", parent, "NME"}


def test_a_chain_with_residues_cut_out_is_refused(examples, tmp_path):
    path = tmp_path / "cut.pdb"
    path.write_text(lines_of(examples / "chignolin.pdb", lambda line: line[22:26].strip() not in ("4", "5")))
    with pytest.raises(InputError, match="chain A is broken between ASP 3 and THR 6"):
        load_structure(path)


def test_coordinates_in_nanometres_are_refused(examples, tmp_path):
    path = tmp_path / "nm.pdb"
    structure = MDAnalysis.Universe(examples / "chignolin.pdb").atoms
    structure.positions /= 10
    structure.write(path)
    with pytest.raises(InputError, match=r"C of TYR 1 and N of TYR 2 are 0\.1. Å apart: .* not in nm"):
        load_structure(path)


@pytest.mark.parametrize("sequence", ["CYS", "ACE", "NME", "LYN-ALA"])
def test_sequences_beyond_the_force_field_are_refused(sequence):
    with pytest.raises(UsageError, match=f"--sequence {sequence}: not known to the force field") as caught:
        structure_from_sequence(sequence)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        load_structure(tmp_path / "none.pdb")


ALL = "GLY-ALA-VAL-LEU-ILE-MET-PHE-TYR-TRP-SER-THR-CYS-ASN-GLN-ASP-GLU-LYS-ARG-HIE-PRO"


def test_a_sequence_is_built_to_the_same_bits_every_time():
    one, two = (structure_from_sequence("ACE-SER-LYS-TRP-NME").positions for _ in range(2))
    np.testing.assert_array_equal(one, two)


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
        ("GYDX", "unknown residue 'GYDX'"),
    ],
)
def test_wrong_sequences_are_refused(sequence, words):
    with pytest.raises(UsageError, match=words):
        build_peptide(sequence)


@pytest.mark.parametrize(
    ("sequence", "names", "ends"),
    [
        ("gydp", "GLY-TYR-ASP-PRO", "residues 4, N-terminus NH3+, C-terminus COO-"),
        ("ACE-AGW-NME", "ACE-ALA-GLY-TRP-NME", "residues 3, N-terminus capped, C-terminus capped"),
        ("ACE-ALA-NME", "ACE-ALA-NME", "residues 1, N-terminus capped, C-terminus capped"),
        ("ALA-GLY-NME", "ALA-GLY-NME", "residues 2, N-terminus NH3+, C-terminus capped"),
    ],
)
def test_either_code_and_which_ends(sequence, names, ends, capsys):
    structure = structure_from_sequence(sequence)
    assert [residue.name for residue in structure.topology.residues()] == names.split("-")
    assert capsys.readouterr().err == f"--sequence: {names}: {ends}\n"


def test_every_letter_is_a_residue():
    assert residue_names("ARNDCQEGHILKMFPSTWYV") == [
        *("ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE"),
        *("LEU", "LYS", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL"),
    ]


@pytest.mark.parametrize("sequence", ["ACE-SEP-NME", "ACE-MSE-NME", "SEP"])
def test_a_modified_residue_is_no_three_letters_of_a_sequence(sequence):
    with pytest.raises(UsageError, match="unknown residue"):
        structure_from_sequence(sequence)
