import numpy as np
import pytest

from cgprot.analyse.chirality import chirality, chirality_flips, d_residues, stereocentres

from .peptide import bead_system, peptide


def inverted_substituents(positions, system, residue):
    """One residue made D: its CB reflected through the plane of N, CA and C, bond lengths kept."""
    of_residue = {name: i for i, name in enumerate(system.bead_name) if system.residue_id[i] == residue}
    ca, n, c, cb = (positions[of_residue[name]] for name in ("CA", "N", "C", "CB"))
    normal = np.cross(n - ca, c - ca)
    normal /= np.linalg.norm(normal)
    moved = positions.copy()
    moved[of_residue["CB"]] = cb - 2 * np.dot(cb - ca, normal) * normal
    return moved


def test_stereocentres_of_valines_are_alpha_and_beta_carbons(valines):
    system, _ = valines
    centres = stereocentres(system)
    assert system.bead_name[centres[:, 0]].tolist() == ["CA", "CB"] * 3
    assert np.all(np.diff(centres[:, 1:], axis=1) > 0)


def test_an_aromatic_carbon_with_one_hydrogen_is_no_centre():
    ring = bead_system([(f"C{i}", "CH1", "PHE", 1) for i in range(6)], [(i, (i + 1) % 6) for i in range(6)])
    assert len(stereocentres(ring)) == 0


def test_stereocentres_are_the_same_whatever_the_bead_types_are_called(chignolin, chignolin_as):
    """They were found by the types of mapping heavy: with others there was none to watch."""
    expected = stereocentres(chignolin.system)
    assert len(expected) == 11
    assert np.array_equal(stereocentres(chignolin_as("heavy_residue").system), expected)


def test_only_the_carbons_that_a_mapping_leaves_whole_are_centres(chignolin_as):
    backbone = chignolin_as("backbone_cb").system
    assert backbone.bead_name[stereocentres(backbone)[:, 0]].tolist() == ["CA"] * 9  # one of ten is glycine
    for mapping in ("ca", "ca_cb", "backbone_sidechain"):
        assert len(stereocentres(chignolin_as(mapping).system)) == 0


def test_handedness_of_a_known_corner():
    axes = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    assert chirality(axes, np.array([[0, 1, 2, 3], [0, 2, 1, 3]])).tolist() == [[1.0, -1.0]]


def test_every_residue_built_is_left_handed(valines):
    # N, CB, C run clockwise seen from CA against its hydrogen: negative in every L residue.
    system, positions = valines
    for residue in (2, 3, 4):
        bead = {name: i for i, name in enumerate(system.bead_name) if system.residue_id[i] == residue}
        corner = np.array([[bead["CA"], bead["N"], bead["CB"], bead["C"]]])
        assert chirality(positions[None], corner).tolist() == [[-1.0]]


def test_a_reflection_flips_every_centre(valines, rotated):
    system, positions = valines
    frames = np.array([rotated(positions), rotated(positions * [1, 1, -1])])
    flips = chirality_flips(frames, positions, stereocentres(system))
    assert flips.sum(axis=1).tolist() == [0, 6]


def test_swapped_substituents_flip_exactly_one_centre(valines, rotated):
    system, positions = valines
    swapped = positions.copy()
    first, second = (np.flatnonzero(system.bead_name == name)[1] for name in ("CG1", "CG2"))
    swapped[[first, second]] = positions[[second, first]]
    centres = stereocentres(system)
    flips = chirality_flips(rotated(swapped)[None], positions, centres)
    assert flips.sum() == 1
    assert centres[flips[0], 0].tolist() == [np.flatnonzero(system.bead_name == "CB")[1]]


def test_a_side_chain_on_the_wrong_side_flips_its_alpha_carbon(rotated):
    system, positions = peptide([-60.0, -70.0], [-45.0, 140.0])
    centres = stereocentres(system)
    moved = inverted_substituents(positions, system, residue=3)
    assert chirality_flips(rotated(moved)[None], positions, centres).tolist() == [[False, True]]


def test_an_exploded_centre_counts_as_flipped(valines):
    system, positions = valines
    assert chirality_flips(positions[None] * np.nan, positions, stereocentres(system)).all()


def test_bond_lengths_and_angles_cannot_see_a_reflection(valines):
    # Why chirality has its own count: every distance is the same in the mirror.
    _, positions = valines
    mirrored = positions * [1, 1, -1]
    distances = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (positions, mirrored)]
    assert distances[0] == pytest.approx(distances[1])


def test_d_residues_are_named(valines):
    system, positions = valines
    assert d_residues(positions, system) == []
    assert d_residues(inverted_substituents(positions, system, 2), system) == ["VAL 2"]
    mirrored = positions * [-1.0, 1.0, 1.0]
    assert d_residues(mirrored, system) == ["VAL 2", "VAL 3", "VAL 4"]
