"""What holds for a network in a periodic box, also one smaller than the cutoff."""

import laws
import numpy as np
import pytest
import torch

from cgprot.model.graph import Graph, build_graph, join_graphs
from cgprot.model.potential import ModelConfig, Potential

CUTOFF = 4.0
BOX = np.array([[3.4, 0.2, -0.3], [0.9, 4.1, 0.1], [-0.6, 0.8, 6.2]])  # narrower than the cutoff
POSITIONS = np.array([[0.1, 0.2, 0.3], [1.6, 0.9, 1.9], [0.4, 2.6, 3.7], [2.1, 2.9, 5.2]])
TYPES = laws.TYPES[:4]


@pytest.fixture(scope="module", params=["O(3)", "SO(3)"])
def potential(request) -> Potential:
    torch.manual_seed(0)
    return Potential(ModelConfig(channels=8, rbf=8, layers=2, cutoff=CUTOFF, group=request.param)).double()


def in_box(positions=POSITIONS, types=TYPES, box=BOX) -> Graph:
    return build_graph(np.asarray(positions)[None], types, CUTOFF, torch.float64, box=box)


def supercell(n: tuple[int, int, int]) -> Graph:
    """The same crystal, described with a larger box."""
    shifts = np.stack(np.meshgrid(*map(np.arange, n), indexing="ij"), -1).reshape(-1, 3) @ BOX
    positions = (shifts[:, None] + POSITIONS).reshape(-1, 3)
    return in_box(positions, np.tile(TYPES, len(shifts)), np.array(n)[:, None] * BOX)


def assert_same(potential: Potential, one: Graph, other: Graph) -> None:
    for a, b in zip(potential.energy_and_forces(one), potential.energy_and_forces(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10)


def assert_supercell_has_the_energy_of_its_cells(potential: Potential) -> None:
    energy, forces = potential.energy_and_forces(in_box())
    many_energy, many_forces = potential.energy_and_forces(supercell((3, 2, 1)))
    np.testing.assert_allclose(many_energy, 6 * energy, rtol=1e-11)
    np.testing.assert_allclose(many_forces, np.tile(forces, (6, 1)), rtol=0, atol=1e-11)


def test_supercell_has_the_energy_of_its_cells(potential):
    assert_supercell_has_the_energy_of_its_cells(potential)


class ForgetsTheBox(Potential):
    """Takes every neighbour for the bead itself, not for its image."""

    def features(self, graph):
        return super().features(graph._replace(offset=0.5 * graph.offset))


def test_supercell_catches_a_forgotten_box():
    torch.manual_seed(0)
    broken = ForgetsTheBox(ModelConfig(channels=8, rbf=8, cutoff=CUTOFF)).double()
    with pytest.raises(AssertionError):
        assert_supercell_has_the_energy_of_its_cells(broken)


def test_forces_are_the_slope_of_the_energy(potential):
    _, forces = potential.energy_and_forces(in_box())
    assert forces.abs().max() > 1e-3
    h = 1e-5
    for bead, axis in ((0, 0), (2, 1), (3, 2)):
        step = np.zeros_like(POSITIONS)
        step[bead, axis] = h
        rise = potential.energy(in_box(POSITIONS + step)) - potential.energy(in_box(POSITIONS - step))
        np.testing.assert_allclose(forces[bead, axis], -rise.item() / (2 * h), rtol=1e-6, atol=1e-8)


def test_parameter_gradient_of_the_forces_is_exact(potential, monkeypatch):
    monkeypatch.setattr(laws, "graph_of", lambda *_, **__: in_box())
    monkeypatch.setattr(laws, "cluster", lambda **_: None)
    laws.derivative_by_the_parameters_is_exact(potential)


@pytest.mark.parametrize("image", [(1, 0, 0), (0, -2, 1), (5, 3, -4)])
def test_an_image_stands_for_the_bead(potential, image):
    moved = POSITIONS.copy()
    moved[1] += image @ BOX
    assert_same(potential, in_box(moved), in_box())


def test_rotation_of_box_and_beads_turns_the_forces(potential):
    R = laws.rotation()
    energy, forces = potential.energy_and_forces(in_box())
    turned_energy, turned_forces = potential.energy_and_forces(in_box(POSITIONS @ R.T, box=BOX @ R.T))
    np.testing.assert_allclose(turned_energy, energy, rtol=1e-10)
    np.testing.assert_allclose(turned_forces, forces.numpy() @ R.T, rtol=0, atol=1e-10)


def test_box_vectors_may_be_exchanged_for_others_of_the_same_lattice(potential):
    other = np.array([[1, 0, 0], [-2, 1, 0], [3, 1, 1]]) @ BOX
    assert_same(potential, in_box(box=other), in_box())


def test_net_force_vanishes(potential):
    np.testing.assert_allclose(potential.energy_and_forces(in_box())[1].sum(0), 0, atol=1e-12)


def test_periodic_and_free_systems_share_a_batch(potential):
    free = build_graph(laws.cluster(n_systems=2), laws.TYPES, CUTOFF, torch.float64)
    graphs = [in_box(), free, supercell((2, 1, 1))]
    alone = [potential.energy_and_forces(graph) for graph in graphs]
    joined = join_graphs(graphs)
    assert torch.equal(joined.box[0], torch.from_numpy(BOX))
    assert not joined.box[1:3].any()
    energy, forces = potential.energy_and_forces(joined)
    np.testing.assert_allclose(energy, torch.cat([e for e, _ in alone]), rtol=1e-10)
    np.testing.assert_allclose(forces, torch.cat([f for _, f in alone]), rtol=0, atol=1e-10)


def test_a_box_for_each_system(potential):
    boxes = np.stack([BOX, 1.5 * BOX])
    both = build_graph(np.stack([POSITIONS] * 2), TYPES, CUTOFF, torch.float64, box=boxes)
    alone = torch.cat([potential.energy(in_box(box=box)) for box in boxes])
    torch.testing.assert_close(potential.energy(both), alone, rtol=1e-12, atol=0)
