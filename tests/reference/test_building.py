"""Missing heavy atoms are built where the force field wants them; an OXT elsewhere in a file is told."""

import MDAnalysis
import numpy as np
import pytest
from MDAnalysis.lib.distances import calc_angles, calc_dihedrals

from cgprot.reference.structure import load_structure, topology_of


@pytest.fixture
def protein(examples):
    return MDAnalysis.Universe(examples / "chignolin.pdb")


def load(atoms, path):
    atoms.write(path)
    structure = load_structure(path)
    topology = topology_of(structure.topology)
    names = zip(topology.chain, topology.residue_id, topology.name, strict=True)
    return {
        (str(chain), int(number), str(name)): position
        for (chain, number, name), position in zip(names, structure.positions, strict=True)
    }


def angle(place, residue, *names, chain="A"):
    return np.degrees(calc_angles(*(place[chain, residue, name] for name in names)))


@pytest.mark.parametrize(
    ("kept", "residue", "end"),
    [
        ("not name OXT", 10, "CA"),
        ("resid 1:7 and not name OXT", 7, "CA"),  # a glycine
        ("not (resid 10 and name C O OXT)", 10, "CA"),  # all of the carboxylate
        ("not (resid 3 and name OD1)", 3, "CB"),
        ("not (resid 3 and name OD2)", 3, "CB"),
        ("not (resid 5 and name CG CD OE1 OE2)", 5, "CG"),
    ],
)
def test_a_carboxylate_is_built_flat_and_with_its_angles(kept, residue, end, protein, tmp_path):
    place = load(protein.select_atoms(f"({kept}) and not element H"), tmp_path / "cut.pdb")
    centre, one, two = {"CA": ("C", "O", "OXT"), "CB": ("CG", "OD1", "OD2"), "CG": ("CD", "OE1", "OE2")}[end]
    assert 108 < angle(place, residue, end, centre, one) < 125
    assert 108 < angle(place, residue, end, centre, two) < 125
    assert 118 < angle(place, residue, one, centre, two) < 134
    improper = calc_dihedrals(*(place["A", residue, name] for name in (end, one, two, centre)))
    assert abs(np.degrees(improper)) < 15
    for oxygen in (one, two):
        assert 1.15 < np.linalg.norm(place["A", residue, oxygen] - place["A", residue, centre]) < 1.35


def test_every_chain_gets_its_end_and_atoms_that_are_there_stay(protein, tmp_path):
    bare = protein.select_atoms("not name OXT")
    other = bare.universe.copy()
    other.add_TopologyAttr("chainIDs", ["B"] * len(other.atoms))
    other.atoms.translate([40.0, 0, 0])
    two = MDAnalysis.Merge(bare, other.select_atoms("not name OXT"))
    place = load(two.atoms, tmp_path / "two.pdb")
    for chain in "AB":
        assert 108 < angle(place, 10, "CA", "C", "OXT", chain=chain) < 125
    for atom in two.atoms:
        np.testing.assert_allclose(place[atom.chainID, atom.resid, atom.name], atom.position, atol=2e-3)


def test_an_oxt_that_is_there_stays_and_is_told_if_it_is_bent(protein, tmp_path, capsys):
    before = angle(load(protein.atoms, tmp_path / "whole.pdb"), 10, "CA", "C", "OXT")
    assert "OXT" not in capsys.readouterr().err
    ca, c, oxt = (
        protein.select_atoms(f"resid 10 and name {name}").positions[0] for name in ("CA", "C", "OXT")
    )
    axis = np.cross(ca - c, oxt - c)
    protein.select_atoms("name OXT").rotateby(80 - before, axis, point=c)
    bent = load(protein.atoms, tmp_path / "bent.pdb")
    assert angle(bent, 10, "CA", "C", "OXT") == pytest.approx(80, abs=0.5)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "OXT of TYR 10 in chain A is 80 degrees from CA about C, not 118: leave that atom out" in said


def test_what_is_built_is_the_same_every_time(protein, tmp_path):
    """Beads begin at these places: a run of one seed must repeat."""
    cut = protein.select_atoms("not element H and not name OXT OE1 CZ3")
    one, two = (load(cut, tmp_path / f"{name}.pdb") for name in "ab")
    assert one.keys() == two.keys()
    for atom in one:
        np.testing.assert_array_equal(one[atom], two[atom])
