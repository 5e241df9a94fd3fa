import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgprot.analyse.structure import (
    backbone,
    bond_lengths,
    bonded_neighbours,
    broken_bonds,
    molecules,
    radius_of_gyration,
    rmsd,
    rmsf,
)
from cgprot.errors import InputError
from cgprot.simulate.box import multiplied

from .peptide import bead_system

CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)


def test_radius_of_gyration_of_a_cube_is_half_its_diagonal():
    assert radius_of_gyration(3.0 * CUBE[None] + 7.0, np.full(8, 12.0)) == pytest.approx([3.0 * np.sqrt(3.0)])


def test_radius_of_gyration_weighs_by_mass():
    # Masses 3 and 1 at a distance of 4: the centre is 1 from the heavy one, Rg² = (3·1 + 1·9) / 4.
    dumbbell = np.array([[[0.0, 0, 0], [4.0, 0, 0]]])
    assert radius_of_gyration(dumbbell, np.array([3.0, 1.0])) == pytest.approx([np.sqrt(3.0)])
    assert radius_of_gyration(dumbbell, np.ones(2)) == pytest.approx([2.0])


def test_radius_of_gyration_refuses_massless_beads():
    with pytest.raises(ValueError, match="mass sums to zero"):
        radius_of_gyration(CUBE[None], np.zeros(8))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_rmsd_does_not_see_rigid_motion(seed):
    rng = np.random.default_rng(seed)
    body = 10.0 * rng.standard_normal((20, 3))
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    moved = body @ (rotation * np.sign(np.linalg.det(rotation))) + rng.uniform(-50, 50, 3)
    assert rmsd(moved[None], body, np.arange(20))[0] < 1e-4


def test_rmsd_sees_a_reflection():
    body = np.random.default_rng(0).standard_normal((20, 3))
    assert rmsd((body * [1, 1, -1])[None], body, np.arange(20))[0] > 0.5


def test_rmsd_of_a_known_displacement(rotated):
    # A cube swollen by a factor: no rotation helps, every corner moves by 0.1 √3.
    swollen = rotated(1.1 * CUBE)
    assert rmsd(swollen[None], CUBE, np.arange(8)) == pytest.approx([0.1 * np.sqrt(3.0)], abs=1e-6)


def test_rmsd_weighs_by_mass():
    # On a line the superposition only matches the centres.
    line = np.array([[0.0, 0, 0], [4.0, 0, 0], [8.0, 0, 0]])
    drawn = np.array([[0.0, 0, 0], [5.0, 0, 0], [8.0, 0, 0]])
    mass = np.array([1.0, 3.0, 1.0])
    # By mass the centre moves by 0.6: deviations -0.6, 0.4, -0.6. Unweighted by 1/3: -1/3, 2/3, -1/3.
    assert rmsd(drawn[None], line, np.arange(3), mass) == pytest.approx([np.sqrt(0.24)], abs=1e-5)
    assert rmsd(drawn[None], line, np.arange(3)) == pytest.approx([np.sqrt(2) / 3], abs=1e-5)


def test_rmsd_looks_at_the_selection_alone():
    moved = CUBE.copy()
    moved[0] += 5.0
    assert rmsd(moved[None], CUBE, np.arange(1, 8))[0] < 1e-6
    assert rmsd(moved[None], CUBE, np.arange(8))[0] > 1.0


def test_rmsd_of_an_exploded_frame_is_not_a_number():
    frames = np.array([CUBE, CUBE * np.nan, CUBE])
    assert np.isnan(rmsd(frames, CUBE, np.arange(8))).tolist() == [False, True, False]


def test_rmsf_of_tumbling_rigid_bodies_is_zero(rotated):
    frames = np.array([rotated(3.0 * CUBE, seed) for seed in range(10)])
    assert rmsf(frames, np.arange(8)).max() < 1e-5


def test_rmsf_finds_the_bead_that_moves(rotated):
    # One bead flies about, the next steps ±0.3 Å beside eight that are rigid.
    frames = np.repeat(np.vstack([[[0.0, 9.0, 0.0], [9.0, 0.0, 0.0]], 5.0 * CUBE])[None], 4, axis=0)
    frames[:, 0, 1] += [5.0, -40.0, 20.0, 0.0]
    frames[:, 1, 0] += [0.3, -0.3, 0.3, -0.3]
    tumbling = np.array([rotated(frame, seed) for seed, frame in enumerate(frames)])
    fluctuation = rmsf(tumbling, np.array([1, 5]), fit=np.arange(2, 10))
    assert fluctuation == pytest.approx([0.3, 0.0], abs=1e-5)


def test_rmsf_leaves_exploded_frames_out():
    assert rmsf(np.array([CUBE, CUBE * np.inf]), np.arange(8)).max() < 1e-6


def test_bond_lengths(valines):
    system, positions = valines
    lengths = bond_lengths(positions[None], system.bonds)[0]
    built = {frozenset(pair): 1.53 for pair in (("CA", "C"), ("CA", "CB"))}
    built |= {frozenset(pair): 1.23 for pair in (("C", "O"),)}
    for (first, second), length in zip(system.bonds, lengths, strict=True):
        names = frozenset((system.bead_name[first], system.bead_name[second]))
        if names in built:
            assert length == pytest.approx(built[names])


def test_a_stretched_bond_is_counted_and_no_other(valines):
    system, positions = valines
    end = system.n_beads - 1  # the last bead has one bond
    frames = np.repeat(positions[None], 4, axis=0)
    direction = positions[end] - positions[system.bonds[-1, 0]]
    direction /= np.linalg.norm(direction)
    for frame, stretch in enumerate((0.0, 0.49, 0.51, -0.6)):
        frames[frame, end] += stretch * direction
    broken = broken_bonds(bond_lengths(frames, system.bonds))
    assert broken.sum(axis=1).tolist() == [0, 0, 1, 0]
    assert broken[2, -1]


def test_a_bond_of_unknown_length_is_broken():
    assert broken_bonds(np.array([[1.5], [np.nan], [np.inf]])).ravel().tolist() == [False, True, True]


def test_broken_bonds_against_given_lengths():
    assert broken_bonds(np.array([[2.2]]), np.array([1.5])).tolist() == [[True]]
    assert broken_bonds(np.array([[2.2]])).tolist() == [[False]]


def test_backbone_is_found_by_name(valines):
    system, _ = valines
    assert set(system.bead_name[backbone(system)]) == {"N", "CA", "C", "O"}
    assert len(backbone(system)) == 2 + 3 * 4 + 2  # ACE has C and O, NME N and C


def test_backbone_refuses_what_is_no_protein():
    water = bead_system([("OW", "OH0", "HOH", i) for i in range(5)], np.empty((0, 2), dtype=int))
    with pytest.raises(InputError, match="0 backbone beads"):
        backbone(water)


def test_a_molecule_is_a_chain_or_chains_that_bonds_join(valines):
    system, _ = valines
    n, n_backbone = system.n_beads, len(backbone(system))
    gap = dataclasses.replace(system, bonds=system.bonds[system.bonds[:, 1] != 10])
    for alone in (system, gap):
        (molecule,) = molecules(alone)
        assert molecule.beads.tolist() == list(range(n))
        assert np.array_equal(molecule.backbone, backbone(system))
    three = multiplied(system, 3)
    each = [own.beads.tolist() for own in molecules(three)]
    assert each == [list(range(k * n, k * n + n)) for k in range(3)]
    joined = dataclasses.replace(three, bonds=np.vstack([three.bonds, [[5, 2 * n + 5]]]))
    assert [len(own.backbone) for own in molecules(joined)] == [2 * n_backbone, n_backbone]


def test_molecules_too_short_to_superpose_are_left_out_and_alone_refused():
    short = [(name, "CH0", "X", 1) for name in ("N", "CA")]
    two = multiplied(bead_system(short, [(0, 1)]), 2)
    with pytest.raises(InputError, match="no molecule with 3 backbone beads"):
        molecules(two)
    long = bead_system([*short, ("C", "CH0", "X", 1)], [(0, 1), (1, 2)])
    mixed = multiplied(long, 2)
    mixed = dataclasses.replace(mixed, bonds=mixed.bonds[:3], chain=np.array([*"AAABBC"]))
    assert [own.beads.tolist() for own in molecules(mixed)] == [[0, 1, 2]]


def test_bonded_neighbours_ascend():
    system = bead_system(
        [("A", "CH0", "X", 1), ("B", "CH0", "X", 1), ("C", "CH0", "X", 1), ("D", "CH0", "X", 1)],
        [(2, 1), (0, 2), (1, 0)],
    )
    assert [row.tolist() for row in bonded_neighbours(system)] == [[1, 2], [0, 2], [0, 1], []]
