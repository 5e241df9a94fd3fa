"""OXT of a chain's end: built where a carboxylate has it, and told where a file has it elsewhere."""

import MDAnalysis
import numpy as np
import pytest
from MDAnalysis.lib.distances import calc_angles

from cgprot.reference.structure import load_structure, topology_of


def angles(structure):
    """CA-C-OXT and O-C-OXT [degrees], and the length of C-OXT [Å]."""
    index = {name: i for i, name in enumerate(topology_of(structure.topology).name)}  # the last of each name
    ca, c, o, oxt = (structure.positions[index[name]] for name in ("CA", "C", "O", "OXT"))
    return np.degrees(calc_angles(ca, c, oxt)), np.degrees(calc_angles(o, c, oxt)), np.linalg.norm(oxt - c)


@pytest.mark.parametrize("residues", ["1:10", "1:7"])  # all, and up to a glycine
def test_a_missing_oxt_is_built_in_the_plane_of_the_carboxylate(residues, examples, tmp_path):
    protein = MDAnalysis.Universe(examples / "chignolin.pdb")
    protein.select_atoms(f"resid {residues} and not name OXT").write(tmp_path / "cut.pdb")
    structure = load_structure(tmp_path / "cut.pdb")
    to_ca, to_o, length = angles(structure)
    assert 112 < to_ca < 125
    assert 112 < to_o < 128
    assert length == pytest.approx(1.249, abs=1e-3)


def test_an_oxt_that_is_there_stays_and_is_told_if_it_is_bent(examples, tmp_path, capsys):
    protein = MDAnalysis.Universe(examples / "chignolin.pdb")
    before = angles(load_structure(examples / "chignolin.pdb"))
    assert "OXT" not in capsys.readouterr().err
    oxt, c, ca = (
        protein.select_atoms(f"resid 10 and name {name}").positions[0] for name in ("OXT", "C", "CA")
    )
    axis = np.cross(ca - c, oxt - c)
    protein.select_atoms("name OXT").rotateby(80 - before[0], axis, point=c)
    protein.atoms.write(tmp_path / "bent.pdb")
    structure = load_structure(tmp_path / "bent.pdb")
    assert angles(structure)[0] == pytest.approx(80, abs=0.5)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "OXT of TYR 10 is 80 degrees from CA about C, not 118: leave that atom out" in said
