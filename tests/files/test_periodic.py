"""Whole molecules: bit for bit where nothing was split, to 1e-6 Å where a box cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MDAnalysis.lib.mdamath import triclinic_vectors

from cgprot.files.periodic import Bonded, inspect_frames, make_whole

BOXES = {
    "cubic": np.eye(3) * 40.0,
    "triclinic": np.array([[45.0, 0.0, 0.0], [12.0, 42.0, 0.0], [-9.0, 14.0, 40.0]]),
}


@pytest.fixture(scope="module")
def bonded(chignolin_atoms):
    return Bonded.from_bonds(chignolin_atoms.topology.bonds, 166)


@pytest.fixture(scope="module")
def positions(chignolin_atoms):
    return np.array([frame.positions for frame in chignolin_atoms])


def wrap(positions: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Every atom into the box, wherever that cuts the molecule."""
    fractional = positions @ np.linalg.inv(box)
    return (fractional - np.floor(fractional)) @ box


def pair_of(positions, bonded, apart):
    """Two molecules, their centres so far apart, and the bonds of both."""
    n = positions.shape[1]
    bonds = np.column_stack([bonded.order[1:], bonded.parent[bonded.order[1:]]])
    two = Bonded.from_bonds(np.concatenate([bonds, bonds + n]), 2 * n)
    return np.concatenate([positions[:1], positions[:1] + apart], axis=1), two


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), images=st.tuples(*[st.integers(-2, 2)] * 3))
def test_neighbours_in_a_dodecahedron_stay_neighbours(bonded, positions, seed, images):
    """Its images are 80 Å away, farther than twice 30 Å; rounding took one in eighteen for nearer ones."""
    box = triclinic_vectors([80.0, 80.0, 80.0, 60.0, 60.0, 90.0], np.float64)
    direction = np.random.default_rng(seed).normal(size=3)
    pair, two = pair_of(positions, bonded, 30.0 * direction / np.linalg.norm(direction))
    moved = pair.copy()
    moved[:, positions.shape[1] :] += np.array(images) @ box
    np.testing.assert_allclose(make_whole(moved, two, box), pair, atol=1e-6)


@pytest.mark.parametrize("name", BOXES)
@settings(max_examples=20, deadline=None)
@given(shift=st.tuples(*[st.floats(-100.0, 100.0)] * 3))
def test_a_split_protein_equals_the_whole_one(bonded, positions, name, shift):
    box = BOXES[name]
    whole = positions + shift
    mended = make_whole(wrap(whole, box), bonded, box)
    lattice = (mended[:, :1] - whole[:, :1]) @ np.linalg.inv(box)
    np.testing.assert_allclose(lattice, np.round(lattice), atol=1e-9)
    np.testing.assert_allclose(mended - mended[:, :1], whole - whole[:, :1], atol=1e-6)


def test_a_box_that_is_wrong_is_seen(bonded, positions):
    """What the test above catches: whole-making in another box than the one that cut."""
    wrapped = wrap(positions + 15.0, BOXES["cubic"])
    mended = make_whole(wrapped, bonded, BOXES["cubic"] * 1.01)
    assert np.abs(mended - mended[:, :1] - (positions - positions[:, :1])).max() > 0.1


def test_whole_molecules_stay_bit_for_bit(bonded, positions):
    np.testing.assert_array_equal(make_whole(positions, bonded, BOXES["cubic"]), positions)
    assert not inspect_frames(positions, bonded)[1].any()
    assert inspect_frames(wrap(positions + 15.0, BOXES["cubic"]), bonded)[1].all()


def test_a_second_molecule_follows_the_first(positions):
    pair = np.concatenate([positions[:1], positions[:1] + np.array([12.0, 0.0, 0.0])], axis=1)
    n = positions.shape[1]
    bonds = np.array([(i, i + 1) for i in range(n - 1)] + [(n + i, n + i + 1) for i in range(n - 1)])
    bonded = Bonded.from_bonds(bonds, 2 * n)
    apart = pair.copy()
    apart[:, n:] += BOXES["triclinic"][1] - BOXES["triclinic"][2]
    np.testing.assert_allclose(make_whole(apart, bonded, BOXES["triclinic"]), pair, atol=1e-9)


def test_a_row_of_molecules_longer_than_half_the_box_stays(bonded, positions):
    """Its third is nearer to the first through the box's face than to the first itself."""
    along = np.array([[0.0, 0.0, 0.0], [16.0, 0.0, 0.0], [27.0, 0.0, 0.0]])
    row = np.concatenate([positions[:1] + step for step in along], axis=1)
    bonds = np.concatenate([np.column_stack([bonded.order[1:], bonded.parent[bonded.order[1:]]])] * 3)
    bonds += np.repeat(166 * np.arange(3), 165)[:, None]
    three = Bonded.from_bonds(bonds, 3 * 166)
    np.testing.assert_array_equal(make_whole(row, three, BOXES["triclinic"]), row)
    apart = row.copy()
    apart[:, 166:332] += BOXES["triclinic"][2]
    apart[:, 332:] -= BOXES["triclinic"][0]
    np.testing.assert_allclose(make_whole(apart, three, BOXES["triclinic"]), row, atol=1e-9)


def test_each_fault_has_its_name(bonded, positions):
    frames = np.repeat(positions[:1], 5, axis=0)
    frames[1, 3, 2] = np.nan
    frames[2, 3, 2] = -2.1e7
    frames[3] = 0.0
    fault, split = inspect_frames(frames, bonded)
    assert fault.tolist() == [0, 1, 2, 3, 0]
    assert not split.any()
