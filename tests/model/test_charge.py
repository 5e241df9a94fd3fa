"""Charge and spin as inputs."""

import laws
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cgprot.errors import InputError
from cgprot.model.graph import build_graph, join_graphs
from cgprot.model.potential import ModelConfig, Potential


def potential_of(**config) -> Potential:
    torch.manual_seed(0)
    return Potential(ModelConfig(channels=8, rbf=8, cutoff=4.0, **config)).double()


@pytest.mark.parametrize(
    ("config", "named"),
    [({"charge": "bead"}, "charge"), ({"charge": "total"}, "total_charge"), ({"spin": True}, "spin")],
)
def test_missing_input_is_refused(config, named):
    graph = build_graph(laws.cluster(), laws.TYPES, 4.0, torch.float64)
    with pytest.raises(InputError, match=f"give build_graph `{named}`"):
        potential_of(**config).energy(graph)


def test_total_charge_at_which_the_factor_vanishes_is_refused():
    graph = build_graph(laws.cluster(), laws.TYPES, 4.0, torch.float64, total_charge=-10)
    with pytest.raises(InputError, match=r'charge of -10 .* charge = "bead"'):
        potential_of(charge="total").energy(graph)


@pytest.mark.parametrize("config", [{"layers": 0, "charge": "total"}, {"charge": "bead", "spin": True}])
def test_input_that_would_do_nothing_or_spread_is_refused(config):
    with pytest.raises(ValidationError):
        ModelConfig(**config)


@pytest.mark.parametrize("shape", [(9,), (10, 1), ()])
def test_charges_that_fit_no_beads_are_refused(shape):
    with pytest.raises(InputError, match="charges of shape"):
        build_graph(laws.cluster(), laws.TYPES, 4.0, charge=np.zeros(shape))


def energy_at(potential: Potential, **states) -> float:
    graph = build_graph(laws.cluster(), laws.TYPES, 4.0, torch.float64, **states)
    return potential.energy(graph).item()


def test_no_charge_is_the_network_without_charge():
    plain, charged, by_bead = (potential_of(charge=charge) for charge in ("none", "total", "bead"))
    assert energy_at(charged, total_charge=0) == energy_at(plain)
    assert energy_at(by_bead, charge=np.zeros(10)) == energy_at(plain)
    assert abs(energy_at(charged, total_charge=1) - energy_at(plain)) > 1e-6


def test_the_same_charge_on_every_bead_is_a_total_charge_of_that_size():
    energies = energy_at(potential_of(charge="bead"), charge=np.full(10, -2.0))
    assert energies == energy_at(potential_of(charge="total"), total_charge=-2.0)


@pytest.mark.parametrize("group", ["O(3)", "SO(3)"])
def test_no_two_states_coincide(group):
    """As (Q, S) = (2, 0) and (0, 2) would, if the spin were added to the charge everywhere."""
    potential = potential_of(charge="total", spin=True, group=group)
    states = [(Q, S) for Q in (-2, -1, 0, 1, 2) for S in (0, 0.5, 1, 1.5, 2)]
    energies = np.sort([energy_at(potential, total_charge=Q, spin=S) for Q, S in states])
    assert np.diff(energies).min() > 1e-9


def test_charge_of_a_bead_acts_on_its_surroundings_only():
    potential = potential_of(charge="bead", layers=1)
    positions = np.concatenate([laws.cluster(1), laws.cluster(2) + 50], axis=1)
    types, charge = np.tile(laws.TYPES, 2), np.zeros(20)
    before = potential.energy_and_forces(build_graph(positions, types, 4.0, torch.float64, charge=charge))[1]
    charge[3] = 1.0
    after = potential.energy_and_forces(build_graph(positions, types, 4.0, torch.float64, charge=charge))[1]
    assert (after - before)[:10].abs().max() > 1e-6
    torch.testing.assert_close(after[10:], before[10:], rtol=0, atol=1e-14)


def test_charges_join_and_a_graph_without_is_refused():
    with_charge = build_graph(laws.cluster(), laws.TYPES, 4.0, total_charge=1)
    without = build_graph(laws.cluster(), laws.TYPES, 4.0)
    assert join_graphs([with_charge, with_charge]).total_charge.tolist() == [1, 1]
    with pytest.raises(InputError, match="total_charge"):
        join_graphs([with_charge, without])
