"""All-atom simulations begin with whole molecules: nothing threaded, every stereocentre as it was given."""

import MDAnalysis
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from cgprot.errors import InputError
from cgprot.reference import peptide
from cgprot.reference.peptide import build_peptide
from cgprot.reference.prepare import prepared
from cgprot.reference.structure import load_structure, structure_from_sequence


@pytest.mark.parametrize("sequence", ["TRP-GLY-HIP", "ACE-ALA-GLU-ASP-TYR-NME"])
def test_side_chains_of_a_peptide_stand_apart(sequence):
    # As the templates stand, atoms are 0.5 and 0.9 Å apart: linked rings, hydrogens that have no place.
    built = build_peptide(sequence)
    distances = squareform(pdist(built.positions))
    bonded = np.zeros_like(distances, dtype=bool)
    for first, second in built.topology.bonds():
        bonded[first.index, second.index] = bonded[second.index, first.index] = True
    assert distances[~bonded & ~np.eye(len(bonded), dtype=bool)].min() > 2.1  # Å, O-C-O
    assert (np.abs(distances[bonded] - 1.4) < 0.2).all()
    assert np.isfinite(structure_from_sequence(sequence).positions).all()


def test_linked_rings_are_refused(monkeypatch):
    # Indole and imidazole as their templates stand; 400 ps at 500 K do not part them.
    monkeypatch.setattr(peptide, "_apart", lambda topology, positions: positions)
    structure = structure_from_sequence("TRP-GLY-HIP")
    with pytest.raises(InputError, match=r"bond .* in chain A stays 2.\d\d Å long .* through a ring"):
        prepared(structure, "obc2", "Reference")


def test_a_residue_that_would_turn_into_its_mirror_image_is_refused(examples, tmp_path):
    """A file with HA between the other three neighbours of CA, as some servers write it."""
    structure = load_structure(examples / "chignolin.pdb")
    atoms = {(a.residue.id, a.name): a.index for a in structure.topology.atoms()}
    centre, hydrogen = (structure.positions[atoms["5", name]] for name in ("CA", "HA"))
    structure.positions[atoms["5", "HA"]] = 2 * centre - hydrogen
    with pytest.raises(InputError, match="CA of GLU 5 in chain A turns into its mirror image when minimised"):
        prepared(structure, "obc2", "Reference")
    bare = MDAnalysis.Universe(examples / "chignolin.pdb").select_atoms("not (resid 5 and element H)")
    bare.write(tmp_path / "bare.pdb")
    prepared(load_structure(tmp_path / "bare.pdb"), "obc2", "Reference")  # what the message advises
