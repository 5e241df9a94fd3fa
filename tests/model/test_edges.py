"""Neighbours in periodic boxes, against sums over images and against vesin."""

import numpy as np
import pytest
import torch
from vesin import NeighborList

from cgprot.errors import InputError
from cgprot.model.edges import neighbour_edges, periodic_edges, undirected_pairs


def random_box(rng: np.random.Generator, n_beads: int) -> tuple[np.ndarray, np.ndarray]:
    """A triclinic box of no particular orientation, sides 2 to 9 Å, and beads in and around it."""
    box = np.diag(rng.uniform(2, 9, size=3)) + rng.uniform(-1.2, 1.2, size=(3, 3))
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return rng.uniform(-1, 2, size=(n_beads, 3)) @ box @ rotation, box @ rotation


def image_sum(positions: np.ndarray, cutoff: float, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs and all images that could matter, one by one."""
    span = np.abs((positions[:, None] - positions) @ np.linalg.inv(box)).max()
    reach = int(np.ceil(cutoff * np.linalg.norm(np.linalg.inv(box), axis=0).max() + span))
    images = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    vector = (positions[:, None] - positions)[:, :, None] - images @ box
    near = np.linalg.norm(vector, axis=-1) < cutoff
    near &= ~(np.eye(len(positions), dtype=bool)[:, :, None] & ~images.any(-1))
    i, j, n = np.nonzero(near)
    return np.stack([i, j]), images[n]


@pytest.mark.parametrize("seed", range(40))
def test_periodic_edges_are_the_sum_over_images(seed):
    rng = np.random.default_rng(seed)
    positions, box = random_box(rng, n_beads=int(rng.integers(1, 9)))
    cutoff = rng.uniform(1, 6)
    edges, image = periodic_edges(positions, cutoff, box)
    expected_edges, expected_image = image_sum(positions, cutoff, box)
    np.testing.assert_array_equal(edges, expected_edges)
    np.testing.assert_array_equal(image, expected_image)


@pytest.mark.parametrize("seed", range(5))
def test_periodic_edges_are_vesins(seed):
    positions, box = random_box(np.random.default_rng(100 + seed), n_beads=30)
    edges, image = periodic_edges(positions, 5.0, box)
    i, j, shift = NeighborList(cutoff=5.0, full_list=True).compute(positions, box, True, "ijS")
    ours = np.column_stack([*edges, image])
    theirs = np.column_stack([i, j, shift]).astype(int)
    np.testing.assert_array_equal(ours, theirs[np.lexsort(theirs.T[::-1])])


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("case", ["free", "through the wall", "own image"])
def test_an_edge_ends_to_the_last_bit_at_the_cutoff(case, seed):
    box = np.array([[6.1, 0.0, 0.0], [0.7, 7.3, 0.0], [-0.4, 0.9, 8.2]])
    positions = np.array([[0.3, 0.4, 0.5], [5.8, 0.1, 1.0]]) + np.random.default_rng(seed).normal(
        scale=0.1, size=(2, 3)
    )
    vector = positions[0] - positions[1]
    if case == "through the wall":
        vector = vector + box[0]
    elif case == "own image":
        box *= 1 + 0.01 * seed
        positions, vector = positions[:1], box[0]
    distance = np.linalg.norm(vector[None], axis=1)[0]

    def n_edges(cutoff: float) -> int:
        if case == "free":
            return neighbour_edges(positions, cutoff).shape[1]
        return periodic_edges(positions, cutoff, box)[0].shape[1]

    assert n_edges(np.nextafter(distance, np.inf)) == 2
    assert n_edges(distance) == 0
    assert n_edges(np.nextafter(distance, 0)) == 0


def test_a_box_out_of_reach_is_free_space():
    positions = np.random.default_rng(0).uniform(0, 8, size=(20, 3))
    edges, image = periodic_edges(positions, 4.0, np.diag([100.0, 100, 100]))
    np.testing.assert_array_equal(edges, neighbour_edges(positions, 4.0))
    assert not image.any()


def test_beads_that_coincide_through_the_wall_are_named():
    positions = np.array([[0.0, 1, 1], [3.0, 1, 1], [10.0 - 1e-8, 1, 1]])
    with pytest.raises(InputError, match=r"beads (0 and 2|2 and 0) coincide"):
        periodic_edges(positions, 4.0, np.diag([10.0, 10, 10]))


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        (np.zeros((3, 3)), "thick"),
        (np.array([[9.0, 0, 0], [0, 9, 0], [9, 9, 1e-3]]), "thick"),
        (np.diag([9.0, 9, np.nan]), "finite"),
        (np.array([9.0, 9, 9]), "3 x 3"),
    ],
)
def test_a_box_that_holds_nothing_is_refused(box, reason):
    with pytest.raises(InputError, match=reason):
        periodic_edges(np.zeros((1, 3)), 4.0, box)


def directed(seed: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    positions, box = random_box(np.random.default_rng(seed), n_beads=5)
    edges, image = periodic_edges(positions, 6.0, box)
    return torch.from_numpy(edges), torch.from_numpy(image @ box)


def test_every_pair_is_two_edges_that_mirror_each_other():
    edges, offset = directed()
    assert (edges[0] == edges[1]).any()
    forward, pair = undirected_pairs(edges, offset)
    assert 2 * int(forward.sum()) == edges.shape[1]
    there = torch.cat([edges.double(), offset.T])[:, forward][:, pair]
    here = torch.cat([edges.double(), offset.T])
    back = torch.cat([here[:2].flip(0), -here[2:]])
    assert torch.equal(torch.where(forward, here, back), there)


@pytest.mark.parametrize("mistake", ["one missing", "unsorted", "offset", "no offset"])
def test_edges_without_a_reverse_are_refused(mistake):
    edges, offset = directed()
    if mistake == "one missing":
        edges, offset = edges[:, 1:], offset[1:]
    elif mistake == "unsorted":
        edges, offset = edges.flip(1), offset.flip(0)
    elif mistake == "offset":
        offset = offset.clone()
        offset[3, 0] += 1
    elif mistake == "no offset":
        offset = torch.zeros_like(offset)
        edges = edges[:, edges[0] <= edges[1]]
        offset = offset[: edges.shape[1]]
    with pytest.raises(InputError, match="lack a reverse"):
        undirected_pairs(edges, offset)
