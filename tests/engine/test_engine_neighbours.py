"""Neighbours against an image sum that cannot be wrong, and against vesin."""

import functools
import itertools

import numpy as np
import pytest
import torch
from engines import TYPES, cluster, cuda_on_c, cuda_on_gpu, each_engine, model_forces, potential_of

from cgprot.engine.cpu import CpuEngine
from cgprot.engine.grid import distance_of, horizon_of
from cgprot.engine.neighbours import is_good, list_pairs
from cgprot.engine.tables import tabulate
from cgprot.errors import InputError


def by_images(positions: np.ndarray, reach: float, box: np.ndarray) -> list[tuple]:
    """(i, j, vector from j to i) of every pair within reach, among images enough to hold them all."""
    fraction = positions @ np.linalg.inv(box)
    height = 1 / np.linalg.norm(np.linalg.inv(box), axis=0)
    most = np.ceil(reach / height + np.ptp(fraction, axis=0)).astype(int)
    images = itertools.product(*(range(-n, n + 1) for n in most))
    found = []
    for image in images:
        vectors = positions[:, None] - (positions[None] + np.array(image) @ box)
        for i, j in np.argwhere(np.linalg.norm(vectors, axis=-1) < reach):
            if i < j or (i == j and image > (0, 0, 0)):
                found.append((i, j, *np.round(vectors[i, j], 6)))
    return sorted(found)


def listed(positions, reach, box):
    found = list_pairs(positions, reach, box)
    i, j = found.pairs.T
    vectors = positions[i] - (positions[j] + (found.shifts if box is not None else 0))
    for row in np.argwhere(i == j).ravel():  # an image and its opposite are the same pair
        if tuple(found.shifts[row] @ np.linalg.inv(box)) < (0, 0, 0):
            vectors[row] *= -1
    return sorted((a, b, *np.round(v, 6)) for a, b, v in zip(i, j, vectors, strict=True))


def listed_by_cells(engine, positions, reach, box):
    """As `listed`, by the kernels for a GPU, which list every edge from both ends."""
    potential = potential_of(layers=0, channels=2, rbf=2, cutoff=reach)
    settings = {"box": box, "room": 16}  # too few in many boxes
    made = engine(tabulate(potential, 2), np.ones(len(positions), int), 1, np.float64, **settings)
    made(positions[None])
    of = {name: made.array(name).get() for name in ("count", "sender", "interval", "fraction", "direction")}
    receiver = np.repeat(np.arange(len(positions)), of["count"])
    edges = receiver * made.room + np.concatenate([np.arange(n) for n in of["count"]])
    r = distance_of((of["interval"] + of["fraction"])[edges], horizon_of(reach, 2))
    vectors = of["direction"][edges] * r[:, None]
    found = sorted(
        (i, j, *np.round(v, 6)) for i, j, v in zip(receiver, of["sender"][edges], vectors, strict=True)
    )
    assert found == sorted((j, i, *np.round(-np.array(v), 6)) for i, j, *v in found)
    return [edge for edge in found if edge[0] < edge[1] or (edge[0] == edge[1] and edge[2:] > (0, 0, 0))]


def random_box(rng: np.random.Generator) -> np.ndarray:
    """Triclinic, from half to four times the cutoff along an edge, not too flat."""
    while True:
        box = rng.normal(size=(3, 3)) + 2 * np.eye(3)
        box *= rng.uniform(2.5, 20.0, size=(3, 1)) / np.linalg.norm(box, axis=1, keepdims=True)
        if (1 / np.linalg.norm(np.linalg.inv(box), axis=0)).min() > 1.8:
            return box


by_engine = pytest.mark.parametrize(
    "listed_by",
    [
        listed,
        functools.partial(listed_by_cells, cuda_on_c),
        pytest.param(functools.partial(listed_by_cells, cuda_on_gpu), marks=pytest.mark.gpu),
    ],
    ids=["cpu", "cuda on c", "cuda"],
)


@by_engine
@pytest.mark.parametrize("seed", range(50))
def test_ten_random_boxes_against_images_and_vesin(seed, listed_by):
    from vesin import NeighborList

    rng = np.random.default_rng(seed)
    for _ in range(10):
        box = random_box(rng)
        fraction = rng.uniform(-1.5, 2.5, size=(8, 3))
        fraction[0], fraction[1], fraction[2, 0] = 0, (1, 1, 1), 1  # corners and a face
        fraction[1] += (0, 0, 0.5)
        positions = fraction @ box
        found = listed_by(positions, 5.0, box)
        vesin_pairs = NeighborList(cutoff=5.0, full_list=True).compute(positions, box, True, "ij")
        assert 2 * len(found) == len(vesin_pairs[0])
        if seed < 10:
            # A self-image is kept once, either way round: compare lengths there, whole vectors elsewhere.
            expected = by_images(positions, 5.0, box)
            assert [p for p in found if p[0] != p[1]] == [p for p in expected if p[0] != p[1]]
            assert sorted(np.hypot.reduce(p[2:]).round(4) for p in found if p[0] == p[1]) == sorted(
                np.hypot.reduce(p[2:]).round(4) for p in expected if p[0] == p[1]
            )


@pytest.mark.parametrize("n_beads", [1, 2, 40, 500])
@by_engine
def test_free_space_against_brute_force(n_beads, listed_by):
    rng = np.random.default_rng(n_beads)
    positions = rng.uniform(0, 1, size=(n_beads, 3)) * [40.0, 7.0, 1.0]
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    expected = np.argwhere(np.triu(distance < 5.0, 1))
    found = np.array([pair[:2] for pair in listed_by(positions, 5.0, None)]).reshape(-1, 2)
    np.testing.assert_array_equal(found, expected)


def test_two_beads_very_far_apart_cost_nothing():
    assert len(list_pairs(np.array([[0.0, 0, 0], [1e9, -1e9, 1e9]]), 5.0).pairs) == 0


@pytest.mark.parametrize("box", [None, np.diag([20.0, 20.0, 20.0])])
@each_engine
def test_the_cutoff_itself_is_outside(box, engine):
    made = engine(tabulate(potential_of(layers=1), 64), TYPES[:2], 1, np.float64, box=box)
    edges = []
    for r in (np.nextafter(5.0, 0), 5.0, np.nextafter(5.0, 6)):
        made(np.array([[[0, 0, 0], [r, 0, 0]]]))
        edges.append(int(made.edges[0].start[-1] if engine is CpuEngine else made.array("count").get().sum()))
    assert edges == [2, 0, 0]


def test_a_flat_box_is_refused():
    with pytest.raises(InputError, match="span a volume"):
        list_pairs(cluster()[0], 5.0, np.array([[5.0, 0, 0], [0, 5, 0], [5, 5, 0]]))


def test_a_list_is_good_until_half_the_skin():
    positions = cluster()[0]
    pair_list = list_pairs(positions, 5.5)
    moved = positions.copy()
    moved[3, 1] += 0.249
    assert is_good(pair_list, moved, 0.5)
    moved[3, 1] += 0.002
    assert not is_good(pair_list, moved, 0.5)


@each_engine
def test_a_small_box_is_a_piece_of_a_crystal(engine):
    """Forces in a box smaller than twice the cutoff are those in the middle of a large block of copies."""
    potential = potential_of(layers=1, cutoff=3.0)
    box = np.array([[5.2, 0, 0], [1.1, 4.4, 0], [-0.7, 0.9, 6.6]])
    positions = np.random.default_rng(4).permutation(cluster()[0])[:6] * 0.9
    types = TYPES[:6]
    made = engine(tabulate(potential, 2048), types, 1, np.float64, box=box)
    energy, forces = made(positions[None])
    images = np.array(list(itertools.product(range(-4, 5), repeat=3)))
    images = images[np.linalg.norm(images @ box, axis=1) < 22]
    images = images[np.argsort(np.linalg.norm(images, axis=1), kind="stable")]  # the middle first
    block = (positions + (images @ box)[:, None]).reshape(1, -1, 3)
    _, crystal = model_forces(potential, np.tile(types, len(images)), torch.float64)(block)
    np.testing.assert_allclose(forces[0], crystal[0, :6], atol=1e-6 * np.abs(forces).max())
    wrapped = positions + np.random.default_rng(5).integers(-2, 3, size=(6, 3)) @ box
    wrapped_energy, wrapped_forces = made(wrapped[None])
    np.testing.assert_allclose(wrapped_energy, energy, rtol=1e-11)
    np.testing.assert_allclose(wrapped_forces, forces, atol=1e-10)
