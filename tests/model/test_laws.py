"""Every potential obeys the laws, and every law catches a potential that breaks it."""

import laws
import pytest
import torch

from cgprot.model.potential import ModelConfig, Potential


def potential_of(kind: type[Potential] = Potential, **config) -> Potential:
    torch.manual_seed(0)
    return kind(ModelConfig(**{"channels": 8, "rbf": 8, **config})).double()


class PullsAlongX(Potential):
    def energy_of(self, features, graph):
        return super().energy_of(features, graph) + 0.1 * graph.positions[:, 0].sum()


class PullsToTheX(Potential):
    """Pulls along an axis through the centre: no net force, but a torque."""

    def energy_of(self, features, graph):
        return (
            super().energy_of(features, graph) + 0.1 * (graph.positions[:, 0] * graph.positions[:, 1]).sum()
        )


class ForcesTooLarge(Potential):
    def energy_and_forces(self, graph, create_graph=False):
        energy, forces = super().energy_and_forces(graph, create_graph)
        return energy, 1.0001 * forces


class ForgetsTheSecondDerivative(Potential):
    def energy_and_forces(self, graph, create_graph=False):
        energy, forces = super().energy_and_forces(graph, create_graph)
        return energy, 0.5 * (forces + forces.detach())


class FrozenNetwork(Potential):
    def energy_and_forces(self, graph, create_graph=False):
        energy, forces = super().energy_and_forces(graph, create_graph)
        return energy, forces.detach() * self.head.network[0].weight.sum()


class Handed(Potential):
    def energy_of(self, features, graph):
        a, b, c, d = graph.positions[:4]
        return super().energy_of(features, graph) + 0.01 * torch.dot(b - a, torch.linalg.cross(c - a, d - a))


class CountsBeads(Potential):
    def energy_of(self, features, graph):
        number = torch.arange(len(graph.positions))
        return super().energy_of(features, graph) + 1e-3 * (number * graph.positions.square().sum(1)).sum()


class MixesTheBatch(Potential):
    def energy_of(self, features, graph):
        energy = super().energy_of(features, graph)
        return energy + 0.1 * energy.mean() / len(energy)


class CountsEdges(Potential):
    def energy_of(self, features, graph):
        return super().energy_of(features, graph) + 1e-3 * graph.edges.shape[1]


class ReachesFar(Potential):
    def energy_of(self, features, graph):
        return super().energy_of(features, graph) + torch.pdist(graph.positions).reciprocal().sum()


class NeedsNeighbours(Potential):
    def energy_of(self, features, graph):
        return super().energy_of(features, graph) + torch.tensor(float(graph.edges.shape[1])).log()


BROKEN = {
    laws.forces_are_the_slope_of_the_energy: ForcesTooLarge,
    laws.parameter_gradient_of_the_forces_is_exact: ForgetsTheSecondDerivative,
    laws.some_parameter_learns_from_the_forces: FrozenNetwork,
    laws.rotation_turns_the_forces: PullsAlongX,
    laws.mirror_image_has_the_same_energy: Handed,
    laws.translation_changes_nothing: PullsAlongX,
    laws.order_of_beads_is_meaningless: CountsBeads,
    laws.systems_of_a_batch_do_not_meet: MixesTheBatch,
    laws.nothing_jumps_at_the_cutoff: CountsEdges,
    laws.far_apart_energies_add: ReachesFar,
    laws.a_single_bead_rests: NeedsNeighbours,
    laws.net_force_vanishes: PullsAlongX,
    laws.net_torque_vanishes: PullsToTheX,
}


# SO(3) may tell a mirror image apart.
CASES = [
    (law, group)
    for law in BROKEN
    for group in ("O(3)", "SO(3)")
    if (law, group) != (laws.mirror_image_has_the_same_energy, "SO(3)")
]


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize(("law", "group"), CASES, ids=[f"{law.__name__}-{group}" for law, group in CASES])
def test_law_holds(law, layers, group):
    law(potential_of(layers=layers, group=group, cutoff=4.0))


@pytest.mark.parametrize(("law", "broken"), BROKEN.items(), ids=lambda x: x.__name__)
def test_law_catches_a_broken_potential(law, broken):
    with pytest.raises(AssertionError):
        law(potential_of(broken, cutoff=4.0))


def test_so3_tells_a_mirror_image_apart():
    with pytest.raises(AssertionError):
        laws.mirror_image_has_the_same_energy(potential_of(layers=1, group="SO(3)"))
