"""Potentials that each break a law, in the energy or in one of the other outputs."""

import torch

from cgprot.model.potential import Potential


class PullsAlongX(Potential):
    def energy_of(self, features, graph):
        return super().energy_of(features, graph) + 0.1 * graph.positions[:, 0].sum()


class PullsToTheX(Potential):
    """Pulls along an axis through the centre: no net force, but a torque."""

    def energy_of(self, features, graph):
        x, y, _ = graph.positions.T
        return super().energy_of(features, graph) + 0.1 * (x * y).sum()


class ForcesTooLarge(Potential):
    def predict(self, graph, create_graph=False):
        values = super().predict(graph, create_graph)
        return values | {"forces": 1.0001 * values["forces"]}


class ForgetsTheSecondDerivative(Potential):
    def predict(self, graph, create_graph=False):
        values = super().predict(graph, create_graph)
        return values | {"forces": 0.5 * (values["forces"] + values["forces"].detach())}


class FrozenNetwork(Potential):
    def predict(self, graph, create_graph=False):
        values = super().predict(graph, create_graph)
        return values | {"forces": values["forces"].detach() * self.head.network[0].weight.sum()}


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


class StartsFromOne(Potential):
    def energy_of(self, features, graph):
        return super().energy_of(features, graph) + 1


class RoundsToHalf(Potential):
    def features(self, graph):
        features = super().features(graph)
        if graph.positions.dtype == torch.float64:
            return features
        return features._replace(invariants=features.invariants.half().float())


class ForgetsAPart(Potential):
    def energy_and_forces(self, graph, create_graph=False):
        energy, forces = super().energy_and_forces(graph, create_graph)
        return energy, forces + 1e-12


class SeesTheOrigin(Potential):
    def energy_of(self, features, graph):
        return super().energy_of(features, graph) + 1e-4 * graph.positions.square().sum()


class AddsARoot(Potential):
    def energy_of(self, features, graph):
        return super().energy_of(features, graph) + 1e-3 * len(graph.positions) ** 0.5


class Changed(Potential):
    """One output beside the energy goes through `change`, a function of all values and the graph."""

    name: str

    def change(self, values, graph):
        raise NotImplementedError

    def predict(self, graph, create_graph=False):
        values = super().predict(graph, create_graph)
        return values | {self.name: self.change(values, graph)}


class LeansToX(Changed):
    name = "bead_vector"

    def change(self, values, graph):
        return values[self.name] + torch.tensor([0.1, 0, 0])


class TurnsOneWay(Changed):
    """A vector that is true under rotation alone: v + v × T v."""

    name = "bead_vector"

    def change(self, values, graph):
        vector = values[self.name]
        other = (values["bead_tensor"] @ vector[:, :, None]).squeeze(-1)
        return vector + 1e4 * torch.linalg.cross(vector, other)


class SkewTensor(Changed):
    name = "bead_tensor"

    def change(self, values, graph):
        x, y, z = 0.1 * values["bead_vector"].T
        zero = torch.zeros_like(x)
        skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1)
        return values[self.name] + skew.unflatten(1, (3, 3))


class DipoleFromTheOrigin(Changed):
    """Charges that do not sum to zero, about no centroid."""

    name = "dipole"

    def change(self, values, graph):
        moment = 1e-3 * graph.positions
        return values[self.name].index_add(0, graph.system_index, moment.to(values[self.name].dtype))


class PointsFromTheCentre(Changed):
    """Out of what is the centre only as long as nothing moves through the box."""

    name = "bead_vector"

    def change(self, values, graph):
        return values[self.name] + 1e-4 * graph.positions


class NumbersTheBeads(Changed):
    name = "bead_scalar"

    def change(self, values, graph):
        return values[self.name] + 1e-6 * torch.arange(len(graph.positions))


class MixesTheMean(Changed):
    name = "system_tensor"

    def change(self, values, graph):
        return values[self.name] + 0.01 * values[self.name].mean(0)


class TellsOfEdges(Changed):
    name = "system_scalar"

    def change(self, values, graph):
        return values[self.name] + 1e-3 * graph.edges.shape[1]


class AveragesBeads(Changed):
    """Intensive where it should be extensive."""

    name = "polarizability"

    def change(self, values, graph):
        return values[self.name] * graph.n_systems / len(graph.positions)


class AlwaysAVector(Changed):
    name = "system_vector"

    def change(self, values, graph):
        return values[self.name] + 1e-3


class FrozenOutput(Changed):
    name = "polarizability"

    def change(self, values, graph):
        return values[self.name].detach()


class RoundedOutput(Changed):
    name = "bead_tensor"

    def change(self, values, graph):
        value = values[self.name]
        return value if value.dtype == torch.float64 else value.half().float()


class HalfDetached(Changed):
    name = "system_vector"

    def change(self, values, graph):
        return 0.5 * (values[self.name] + values[self.name].detach())
