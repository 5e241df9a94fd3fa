"""What holds for every potential, of every number it predicts.

Each law is a function that asserts it of the potential it is given, whatever its outputs, priors and inputs.
"""

import copy

import numpy as np
import torch

from cgprot.errors import InputError
from cgprot.model.graph import Graph, build_graph, join_graphs
from cgprot.model.potential import Potential

TYPES = np.array([1, 4, 2, 7, 3, 9, 12, 2, 1, 5])
CHARGES = np.array([1.0, -0.5, 0, 0.5, -1, 0, 0.25, 0, -0.25, 0])  # neutral: a dipole has no origin
BONDS = np.array([[i, i + 1] for i in range(9)])
NO_BONDS = np.empty((0, 2), dtype=int)
BOX = np.array([[9.0, 0, 0], [2.0, 8.0, 0], [-1.5, 1.0, 7.5]])  # Å, triclinic, beads see several images


def cluster(seed: int = 0, n_systems: int = 1) -> np.ndarray:
    """Ten beads at least 1.2 Å apart, many within 5 Å of each other, some not; (n_systems, 10, 3) [Å]."""
    rng = np.random.default_rng(seed)
    lattice = np.array([(i, j, k) for i in range(3) for j in range(2) for k in range(2)])[:10] * 2.2
    return lattice + rng.uniform(-0.5, 0.5, size=(n_systems, 10, 3))


def graph_of(
    potential: Potential,
    positions: np.ndarray,
    types: np.ndarray = TYPES,
    charge: np.ndarray = CHARGES,
    bonds: np.ndarray = BONDS,
    box: np.ndarray | None = None,
    reach: float | None = None,
) -> Graph:
    """With all that a potential may ask for; a dipole asks for no charges in a box.

    The total charge is a number of its own, 0.1 e a bead, so that all that should add up does.
    """
    dtype = potential.energy_scale.dtype
    if box is not None and "dipole" in potential.config.outputs:
        charge = 0 * charge
    more = {"charge": charge, "bonds": bonds, "box": box, "total_charge": 0.1 * len(types), "spin": 0.5}
    return build_graph(positions, types, reach or potential.config.reach, dtype, **more)


def rotation(seed: int = 3) -> np.ndarray:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return matrix * np.linalg.det(matrix)


Values = dict[str, torch.Tensor]


def is_of_beads(name: str) -> bool:
    return name == "forces" or name.startswith("bead_")


def assert_equal(here: Values, there: Values, tolerance: float = 1e-10) -> None:
    """All values alike, to a fraction of the largest."""
    assert here.keys() == there.keys()
    for name, value in here.items():
        size = max(1.0, float(value.abs().max())) if value.numel() else 1.0
        np.testing.assert_allclose(there[name], value, rtol=0, atol=tolerance * size, err_msg=name)


def forces_are_the_slope_of_the_energy(potential: Potential) -> None:
    positions = cluster()
    forces = potential.predict(graph_of(potential, positions))["forces"]
    direction = np.random.default_rng(1).normal(size=positions.shape)
    h = 1e-4
    rise = [
        float(potential.predict(graph_of(potential, positions + s * h * direction))["energy"])
        for s in (2, 1, -1, -2)
    ]
    slope = (-rise[0] + 8 * rise[1] - 8 * rise[2] + rise[3]) / (12 * h)
    np.testing.assert_allclose(-(forces.numpy() * direction[0]).sum(), slope, rtol=1e-6)


def derivative_by_the_parameters_is_exact(potential: Potential) -> None:
    """Of a loss of forces and all other values, along a random direction in the space of the parameters."""
    graph = graph_of(potential, cluster(n_systems=2))
    labels = {
        name: value + torch.linspace(-1, 1, value.numel(), dtype=value.dtype).view_as(value)
        for name, value in potential.predict(graph).items()
    }

    def loss() -> torch.Tensor:
        values = potential.predict(graph, create_graph=True)
        return sum(((values[name] - label) ** 2).mean() for name, label in labels.items())

    parameters = list(potential.parameters())
    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True)
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True) if g is not None)
    h, sides = 1e-5, []
    for step in (h, -2 * h):
        for parameter, d in zip(parameters, direction, strict=True):
            parameter.data.add_(d, alpha=step)
        sides.append(loss().item())
    np.testing.assert_allclose(slope, (sides[0] - sides[1]) / (2 * h), rtol=1e-5)


def the_network_learns_from_every_value(potential: Potential) -> None:
    values = potential.predict(graph_of(potential, cluster()), create_graph=True)
    network = dict(potential.network.named_parameters())
    for name, value in values.items():
        loss = (value**2).sum()
        assert loss.requires_grad, name
        gradients = torch.autograd.grad(loss, network.values(), retain_graph=True, allow_unused=True)
        for parameter, gradient in zip(network, gradients, strict=True):
            assert gradient is not None, f"{parameter} from {name}"
            assert gradient.abs().max() > 0, f"{parameter} from {name}"


def rotation_turns_every_value(potential: Potential) -> None:
    _turned_alike(potential, rotation())


def mirror_image_turns_every_value(potential: Potential) -> None:
    """The energy and all scalars are the same, vectors are polar."""
    _turned_alike(potential, -rotation())


def _turned_alike(potential: Potential, matrix: np.ndarray) -> None:
    positions, R = cluster(), torch.from_numpy(matrix)
    by_rank = {1: lambda x: x, 2: lambda x: x @ R.T, 3: lambda x: R @ x @ R.T}
    values = potential.predict(graph_of(potential, positions))
    turned = {name: by_rank[value.dim()](value) for name, value in values.items()}
    assert_equal(turned, potential.predict(graph_of(potential, positions @ matrix.T)))


def translation_changes_nothing(potential: Potential) -> None:
    graph = graph_of(potential, cluster())
    shifted = graph._replace(positions=graph.positions + torch.tensor([5.0, -3.0, 1.0]))
    assert_equal(potential.predict(graph), potential.predict(shifted))


def order_of_beads_is_meaningless(potential: Potential) -> None:
    positions, order = cluster(), np.random.default_rng(2).permutation(10)
    values = potential.predict(graph_of(potential, positions))
    shuffled = graph_of(
        potential, positions[:, order], TYPES[order], CHARGES[order], np.argsort(order)[BONDS]
    )
    expected = {name: value[order] if is_of_beads(name) else value for name, value in values.items()}
    assert_equal(expected, potential.predict(shuffled))


def systems_of_a_batch_do_not_meet(potential: Potential) -> None:
    small = graph_of(potential, cluster(5)[:, :4], TYPES[:4], CHARGES[:4], BONDS[:3])
    replicas = graph_of(potential, cluster(6, n_systems=2))
    one, two = (potential.predict(graph) for graph in (small, replicas))
    expected = {name: torch.cat([one[name], two[name]]) for name in one}
    assert_equal(expected, potential.predict(join_graphs([small, replicas])))


def nothing_jumps_at_a_cutoff(potential: Potential) -> None:
    priors = potential.config.priors.chosen.values()
    cutoffs = {potential.config.cutoff, *(prior.reach for prior in priors)} - {0.0}

    def at(distance: float) -> Values:
        pair = np.array([[[0.0, 0, 0], [0.6 * distance, 0, 0.8 * distance]]])
        return potential.predict(graph_of(potential, pair, TYPES[:2], CHARGES[:2], NO_BONDS))

    for cutoff in cutoffs:
        inside, outside = at(cutoff - 1e-6), at(cutoff + 1e-6)
        for name, value in inside.items():
            np.testing.assert_allclose(value, outside[name], rtol=0, atol=1e-4, err_msg=name)
    assert at(max(cutoffs) + 1e-6)["forces"].abs().max() == 0


def edges_beyond_the_reach_add_nothing(potential: Potential) -> None:
    """As rounding to float32, or a neighbour list with a margin, may bring them."""
    positions = 1.5 * cluster()
    exact = graph_of(potential, positions)
    wide = graph_of(potential, positions, reach=potential.config.reach + 1.5)
    assert wide.edges.shape[1] > exact.edges.shape[1]
    assert_equal(potential.predict(exact), potential.predict(wide))


def far_apart_values_add(potential: Potential) -> None:
    near, other = cluster(7), cluster(8)
    both = np.concatenate([near, other + 100.0], axis=1)
    bonds = np.concatenate([BONDS, BONDS + 10])
    together = potential.predict(graph_of(potential, both, np.tile(TYPES, 2), np.tile(CHARGES, 2), bonds))
    one, two = (potential.predict(graph_of(potential, positions)) for positions in (near, other))
    expected = {
        name: torch.cat([one[name], two[name]]) if is_of_beads(name) else one[name] + two[name]
        for name in one
    }
    assert_equal(expected, together)


def a_single_bead_has_no_direction(potential: Potential) -> None:
    values = potential.predict(graph_of(potential, np.zeros((1, 1, 3)), TYPES[:1], CHARGES[:1], NO_BONDS))
    for name, value in values.items():
        assert torch.isfinite(value).all(), name
        if value.dim() == 2:
            assert value.abs().max() == 0, name
        if value.dim() == 3:
            identity = torch.eye(3, dtype=value.dtype)
            torch.testing.assert_close(value, value[:, :1, :1] * identity, rtol=1e-12, atol=1e-12)


def no_beads_have_no_energy(potential: Potential) -> None:
    empty = graph_of(potential, np.zeros((2, 0, 3)), TYPES[:0], CHARGES[:0], NO_BONDS)
    for name, value in potential.predict(empty).items():
        assert len(value) == (0 if is_of_beads(name) else 2), name
        assert (value == 0).all(), name


def net_force_vanishes(potential: Potential) -> None:
    forces = potential.predict(graph_of(potential, cluster()))["forces"]
    assert forces.abs().max() > 1e-3
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-12 * max(1, float(forces.abs().max())))


def net_torque_vanishes(potential: Potential) -> None:
    graph = graph_of(potential, cluster())
    forces = potential.predict(graph)["forces"]
    torque = torch.linalg.cross(graph.positions, forces).sum(0)
    np.testing.assert_allclose(torque, 0, atol=1e-12 * max(1, float(forces.abs().max())))


def tensors_are_symmetric(potential: Potential) -> None:
    values = potential.predict(graph_of(potential, cluster()))
    tensors = {name: value for name, value in values.items() if value.dim() == 3}
    assert len(tensors) == sum(name.endswith(("tensor", "polarizability")) for name in values)
    for name, value in tensors.items():
        assert torch.equal(value, value.mT), name


def coincident_beads_are_named(potential: Potential) -> None:
    positions = cluster()
    positions[0, 7] = positions[0, 3] + 1e-8
    message = "unnoticed"
    try:
        potential.predict(graph_of(potential, positions))
    except InputError as error:
        message = str(error)
    assert "beads 3 and 7 coincide" in message, message


def single_precision_loses_little(potential: Potential) -> None:
    single = copy.deepcopy(potential).float()
    exact = potential.predict(graph_of(potential, cluster()))
    rounded = single.predict(graph_of(single, cluster()))
    for name, value in exact.items():
        assert rounded[name].dtype == torch.float32
        error, size = (rounded[name] - value).abs().max(), value.abs().max()
        assert error <= 2e-5 * size, f"{name}: {error:.1e} of {size:.1e}"


def forces_alone_are_the_predicted_ones(potential: Potential) -> None:
    graph = graph_of(potential, cluster(n_systems=2))
    values = potential.predict(graph)
    energy, forces = potential.energy_and_forces(graph)
    assert torch.equal(energy, values["energy"])
    assert torch.equal(forces, values["forces"])
    torch.testing.assert_close(potential.energy(graph).detach(), energy, rtol=1e-14, atol=0)


def images_of_beads_are_the_beads(potential: Potential) -> None:
    positions = cluster()
    shifts = np.random.default_rng(4).integers(-2, 3, size=(10, 3)) @ BOX
    here, there = (graph_of(potential, where, box=BOX) for where in (positions, positions + shifts))
    assert here.edges.shape[1] > graph_of(potential, positions).edges.shape[1]
    assert_equal(potential.predict(here), potential.predict(there), 1e-9)


def two_boxes_hold_twice_as_much(potential: Potential) -> None:
    positions, long = cluster(), BOX * np.array([[1], [1], [2]])
    doubled = np.concatenate([positions, positions + BOX[2]], axis=1)
    bonds = np.concatenate([BONDS, BONDS + 10])
    one = potential.predict(graph_of(potential, positions, box=BOX))
    two = graph_of(potential, doubled, np.tile(TYPES, 2), np.tile(CHARGES, 2), bonds, box=long)
    expected = {
        name: torch.cat([value, value]) if is_of_beads(name) else 2 * value for name, value in one.items()
    }
    assert_equal(expected, potential.predict(two), 1e-9)
