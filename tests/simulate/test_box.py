"""Boxes: their size at a concentration, and chains placed in them."""

import numpy as np
import pytest
from chain import N_BEADS, chain_start, chain_system

from cgprot.errors import InputError
from cgprot.simulate.box import (
    box_vectors,
    complete_cell,
    cubic_cell,
    multiplied,
    place_copies,
    refuse_overlapping_images,
)

CELL = complete_cell((25.0, 23.0, 24.0, 80.0, 95.0, 100.0))  # crowded: most trials meet another copy


def test_concentration_is_chains_in_a_volume():
    # 1 mmol/L is 1 chain in 1/(6.02214076e20) L = 1.66053907e6 Å³.
    assert cubic_cell(1.0, 1)[0] == pytest.approx(118.42, abs=0.01)
    edge = cubic_cell(5.0, 20)[0]
    assert 20 / (edge * 1e-8) ** 3 / 6.02214076e23 * 1e6 == pytest.approx(5.0, rel=1e-4)  # mol/cm³ -> mM


def test_cells_of_one_three_and_six_numbers():
    assert complete_cell((12.0,)) == (12.0, 12.0, 12.0, 90.0, 90.0, 90.0)
    np.testing.assert_allclose(box_vectors(complete_cell((12.0, 13.0, 14.0))), np.diag([12.0, 13.0, 14.0]))
    lengths = np.linalg.norm(box_vectors(CELL), axis=1)
    np.testing.assert_allclose(lengths, CELL[:3], rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ((1.0, 2.0), "2 numbers"),
        ((0.0,), "spans no volume"),
        ((-5.0,), "spans no volume"),
        ((9.0, 9.0, 9.0, 90.0, 10.0, 170.0), "spans no volume"),
        ((1e-3,), "thin"),
        ((9.0, 9.0, 9.0, 90.0, 90.0, 4.0), "thin"),
        ((1e6,), "at most 99999"),
    ],
)
def test_cells_that_hold_nothing_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        complete_cell(wrong)


def test_copies_are_chains_of_their_own():
    one, three = chain_system(), multiplied(chain_system(), 3)
    assert three.n_beads == 3 * N_BEADS
    assert list(dict.fromkeys(three.chain)) == ["A", "B", "C"]
    np.testing.assert_array_equal(three.bonds[5:10], one.bonds + N_BEADS)
    np.testing.assert_array_equal(three.bead_of_atom, np.arange(3 * N_BEADS))
    assert three.residue_index.max() == 3 * 2 - 1
    assert len(set(multiplied(one, 100).chain)) == 100


def test_residues_of_many_beads_are_counted_once():
    """Asked for at every peptide bond they cost minutes in a box of chains."""
    system = multiplied(chain_system(), 3)
    assert system.residue_index is system.residue_index
    with pytest.raises(ValueError, match="read-only"):
        system.residue_index[0] = 1


def nearest(positions, box):
    """[Å] between beads of different copies, and between a copy and its own images."""
    images = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    # Copies lie anywhere in the box, and the box is wider than a copy.
    apart = positions[:, None, None] - positions[None, :, None] - images @ box
    distance = np.linalg.norm(apart, axis=-1)
    copy = np.arange(len(positions)) // N_BEADS
    same = (copy[:, None] == copy)[..., None] & ~images.any(axis=1)
    return distance[~same].min()


def test_copies_keep_apart_and_keep_their_shape():
    placed = place_copies(chain_start(), 12, CELL, [7] * 4)
    assert placed.positions.shape == (4, 12 * N_BEADS, 3)
    bond = np.diff(placed.positions.reshape(4, 12, N_BEADS, 3), axis=2)
    own = np.diff(chain_start().positions[0], axis=0)
    np.testing.assert_allclose((bond**2).sum(-1), np.broadcast_to((own**2).sum(-1), (4, 12, 5)))
    direction = bond[:, :, 0] / np.linalg.norm(bond[:, :, 0], axis=-1, keepdims=True)
    assert np.linalg.norm(direction.mean(axis=1), axis=-1).max() < 0.8  # they point anywhere
    box = box_vectors(CELL)
    for frame in placed.positions:
        assert 4.0 <= nearest(frame, box) < 12.0
        centre = frame.reshape(12, N_BEADS, 3).mean(axis=1) @ np.linalg.inv(box)
        assert np.all((centre >= -1e-9) & (centre <= 1 + 1e-9))
    assert np.abs(placed.positions[0] - placed.positions[1]).max() > 1  # replicas differ


def test_places_follow_the_seed():
    first, again, other = (place_copies(chain_start(), 4, CELL, [seed]).positions for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


def test_handedness_survives():
    beads = chain_start().positions[0] + np.random.default_rng(0).normal(size=(N_BEADS, 3))
    volume = np.linalg.det(beads[1:4] - beads[0])
    start = type(chain_start())(chain_system(), beads[None])
    for copy in place_copies(start, 6, complete_cell((60.0,)), [3]).positions[0].reshape(6, N_BEADS, 3):
        assert np.linalg.det(copy[1:4] - copy[0]) == pytest.approx(volume)


def test_no_room_is_one_line():
    with pytest.raises(InputError, match=r"no room for copy \d+ of 50 in a box of 20 x 20 x 20 Å") as caught:
        place_copies(chain_start(), 50, complete_cell((20.0,)), [1])
    assert "\n" not in str(caught.value)
    with pytest.raises(
        InputError, match="no room for copy 1 of 1"
    ):  # it meets its own images, however turned
        place_copies(chain_start(), 1, complete_cell((4.5,)), [1])


def test_a_box_narrower_than_the_molecule_is_refused():
    start = chain_start()  # 7.5 Å long
    refuse_overlapping_images(start.system, start.positions, complete_cell((12.0,)))
    with pytest.raises(InputError, match=r"overlaps an image of .* choose a larger --box"):
        refuse_overlapping_images(start.system, start.positions, complete_cell((7.0, 12.0, 12.0)))
