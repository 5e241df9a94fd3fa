"""What holds for every potential; each law is a function that asserts it of the potential it is given."""

import numpy as np
import torch

from cgprot.model.graph import Graph, build_graph, join_graphs
from cgprot.model.potential import Potential

TYPES = np.array([1, 4, 2, 7, 3, 9, 12, 2, 1, 5])


def cluster(seed: int = 0, n_systems: int = 1) -> np.ndarray:
    """Ten beads at least 1.2 Å apart, many within 5 Å of each other, some not; (n_systems, 10, 3) [Å]."""
    rng = np.random.default_rng(seed)
    lattice = np.array([(i, j, k) for i in range(3) for j in range(2) for k in range(2)])[:10] * 2.2
    return lattice + rng.uniform(-0.5, 0.5, size=(n_systems, 10, 3))


# By bead type, so that a charge goes where its bead goes; [e].
FORMAL_CHARGE = np.array([0, 0, 1, -0.5, 0, 0, 0, 1, 0, -1, 0, 0, 0.5])


def graph_of(potential: Potential, positions: np.ndarray, types: np.ndarray = TYPES) -> Graph:
    charge = FORMAL_CHARGE[types]
    return build_graph(
        positions,
        types,
        potential.config.cutoff,
        torch.float64,
        charge=charge,
        total_charge=charge.sum(),
        spin=0.5,
    )


def rotation(seed: int = 3) -> np.ndarray:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.linalg.det(matrix)


def forces_are_the_slope_of_the_energy(potential: Potential) -> None:
    positions = cluster()
    _, forces = potential.energy_and_forces(graph_of(potential, positions))
    direction = np.random.default_rng(1).normal(size=positions.shape)
    h = 1e-4
    rise = [
        float(potential.energy(graph_of(potential, positions + s * h * direction)).detach())
        for s in (2, 1, -1, -2)
    ]
    slope = (-rise[0] + 8 * rise[1] - 8 * rise[2] + rise[3]) / (12 * h)
    np.testing.assert_allclose(-(forces.numpy() * direction[0]).sum(), slope, rtol=1e-6)


def parameter_gradient_of_the_forces_is_exact(potential: Potential) -> None:
    graph = graph_of(potential, cluster(n_systems=2))
    target = torch.linspace(-1, 1, graph.positions.numel(), dtype=torch.float64).view(-1, 3)

    def loss() -> torch.Tensor:
        return ((potential.energy_and_forces(graph, create_graph=True)[1] - target) ** 2).mean()

    potential.zero_grad()
    loss().backward()
    h = 1e-5
    for parameter in potential.parameters():
        if parameter.grad is None:
            continue
        entry = int(parameter.grad.abs().argmax())
        values = parameter.data.view(-1)
        before = values[entry].item()
        sides = []
        for side in (h, -h):
            values[entry] = before + side
            sides.append(loss().item())
        values[entry] = before
        numeric = (sides[0] - sides[1]) / (2 * h)
        np.testing.assert_allclose(parameter.grad.view(-1)[entry].item(), numeric, rtol=1e-4, atol=1e-8)


def some_parameter_learns_from_the_forces(potential: Potential) -> None:
    _, forces = potential.energy_and_forces(graph_of(potential, cluster()), create_graph=True)
    potential.zero_grad()
    (forces**2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in potential.network.parameters())


def rotation_turns_the_forces(potential: Potential) -> None:
    _turned_alike(potential, rotation())


def mirror_image_has_the_same_energy(potential: Potential) -> None:
    _turned_alike(potential, -rotation())


def _turned_alike(potential: Potential, matrix: np.ndarray) -> None:
    positions = cluster()
    energy, forces = potential.energy_and_forces(graph_of(potential, positions))
    turned_energy, turned_forces = potential.energy_and_forces(graph_of(potential, positions @ matrix.T))
    np.testing.assert_allclose(turned_energy, energy, rtol=1e-10)
    np.testing.assert_allclose(turned_forces, forces.numpy() @ matrix.T, rtol=0, atol=1e-10)


def translation_changes_nothing(potential: Potential) -> None:
    graph = graph_of(potential, cluster())
    shifted = graph._replace(positions=graph.positions + torch.tensor([5.0, -3.0, 1.0]))
    for here, there in zip(
        potential.energy_and_forces(graph), potential.energy_and_forces(shifted), strict=True
    ):
        np.testing.assert_allclose(there, here, rtol=1e-9, atol=1e-11)


def order_of_beads_is_meaningless(potential: Potential) -> None:
    positions, order = cluster(), np.random.default_rng(2).permutation(10)
    energy, forces = potential.energy_and_forces(graph_of(potential, positions))
    shuffled = graph_of(potential, positions[:, order], TYPES[order])
    shuffled_energy, shuffled_forces = potential.energy_and_forces(shuffled)
    np.testing.assert_allclose(shuffled_energy, energy, rtol=1e-10)
    np.testing.assert_allclose(shuffled_forces, forces[order], rtol=0, atol=1e-11)


def systems_of_a_batch_do_not_meet(potential: Potential) -> None:
    small = graph_of(potential, cluster(5)[:, :4], TYPES[:4])
    replicas = graph_of(potential, cluster(6, n_systems=2))
    batch_energy, batch_forces = potential.energy_and_forces(join_graphs([small, replicas]))
    alone = [potential.energy_and_forces(graph) for graph in (small, replicas)]
    np.testing.assert_allclose(batch_energy, torch.cat([energy for energy, _ in alone]), rtol=1e-10)
    np.testing.assert_allclose(batch_forces, torch.cat([forces for _, forces in alone]), rtol=0, atol=1e-11)


def nothing_jumps_at_the_cutoff(potential: Potential) -> None:
    def at(distance: float) -> tuple[float, float]:
        pair = np.array([[[0.0, 0, 0], [distance, 0, 0]]])
        energy, forces = potential.energy_and_forces(graph_of(potential, pair, TYPES[:2]))
        return float(energy), float(forces.abs().max())

    edge = potential.config.cutoff
    inside, outside = at(edge - 1e-4), at(edge + 1e-4)
    assert abs(inside[0] - outside[0]) < 1e-9
    assert inside[1] < 1e-5
    assert outside[1] == 0


def far_apart_energies_add(potential: Potential) -> None:
    near, other = cluster(7), cluster(8)
    both = np.concatenate([near, other + 100.0], axis=1)
    energy, forces = potential.energy_and_forces(graph_of(potential, both, np.tile(TYPES, 2)))
    alone = [potential.energy_and_forces(graph_of(potential, positions)) for positions in (near, other)]
    np.testing.assert_allclose(energy, alone[0][0] + alone[1][0], rtol=1e-10)
    np.testing.assert_allclose(forces, torch.cat([alone[0][1], alone[1][1]]), rtol=0, atol=1e-10)


def a_single_bead_rests(potential: Potential) -> None:
    energy, forces = potential.energy_and_forces(graph_of(potential, np.zeros((1, 1, 3)), TYPES[:1]))
    assert torch.isfinite(energy).all()
    assert torch.equal(forces, torch.zeros_like(forces))


def net_force_vanishes(potential: Potential) -> None:
    _, forces = potential.energy_and_forces(graph_of(potential, cluster()))
    assert forces.abs().max() > 1e-3
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-12)


def net_torque_vanishes(potential: Potential) -> None:
    graph = graph_of(potential, cluster())
    _, forces = potential.energy_and_forces(graph)
    np.testing.assert_allclose(torch.linalg.cross(graph.positions, forces).sum(0), 0, atol=1e-12)
