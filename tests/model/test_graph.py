import laws
import numpy as np
import pytest
import torch

from cgprot.errors import InputError
from cgprot.model.edges import neighbour_edges
from cgprot.model.graph import build_graph, join_graphs
from cgprot.model.potential import ModelConfig, Potential


def all_pairs(positions, cutoff):
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    return np.argwhere((distance < cutoff) & ~np.eye(len(positions), dtype=bool)).T


@pytest.mark.parametrize("cutoff", [0.5, 3.0, 100.0])
def test_edges_are_all_close_pairs_in_order(cutoff):
    positions = laws.cluster()[0]
    np.testing.assert_array_equal(neighbour_edges(positions, cutoff), all_pairs(positions, cutoff))


def test_a_pair_at_the_cutoff_is_no_edge():
    assert neighbour_edges(np.array([[0.0, 0, 0], [3.0, 0, 0]]), 3.0).shape == (2, 0)


def test_coincident_beads_are_named():
    positions = laws.cluster()[0]
    positions[7] = positions[3] + 1e-7
    with pytest.raises(InputError, match="beads 3 and 7 coincide"):
        neighbour_edges(positions, 4.0)


def test_position_that_is_not_finite_is_named():
    positions = laws.cluster()[0]
    positions[4, 1] = np.nan
    with pytest.raises(InputError, match="bead 4"):
        neighbour_edges(positions, 4.0)


def test_far_off_coordinates_lose_nothing_in_float32():
    positions = np.round(laws.cluster() * 1024) / 1024
    here = build_graph(positions, laws.TYPES, 4.0)
    there = build_graph(positions + 2.0**20, laws.TYPES, 4.0)
    torch.testing.assert_close(there.positions, here.positions, rtol=0, atol=1e-6)


def test_wrong_number_of_bead_types_is_refused():
    with pytest.raises(InputError, match="10 bead types"):
        build_graph(laws.cluster()[:, :9], laws.TYPES, 4.0)


def test_join_keeps_systems_apart():
    one, two = (build_graph(laws.cluster(k), laws.TYPES, 4.0) for k in (0, 1))
    joined, built = (
        join_graphs([one, two]),
        build_graph(np.concatenate([laws.cluster(0), laws.cluster(1)]), laws.TYPES, 4.0),
    )
    assert joined.n_systems == built.n_systems == 2
    for a, b in zip(joined[:4], built[:4], strict=True):
        assert torch.equal(a, b)


def test_edges_beyond_the_cutoff_add_nothing():
    """As rounding to float32, or a neighbour list with a margin, may bring them."""
    torch.manual_seed(0)
    potential = Potential(ModelConfig(channels=4, rbf=4, cutoff=3.0)).double()
    exact, wide = (build_graph(laws.cluster(), laws.TYPES, cutoff, torch.float64) for cutoff in (3.0, 6.0))
    assert wide.edges.shape[1] > exact.edges.shape[1]
    for a, b in zip(potential.energy_and_forces(exact), potential.energy_and_forces(wide), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("bead_type", [0, 13])
def test_unknown_bead_type_is_refused(bead_type):
    graph = build_graph(laws.cluster()[:, :2], np.array([1, bead_type]), 4.0)
    with pytest.raises(InputError, match=f"bead type {bead_type} "):
        Potential(ModelConfig(channels=4, rbf=4)).energy(graph)
