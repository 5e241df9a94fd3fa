"""Tables of the edge networks: near the network, exactly differentiable, and only where asked for."""

import laws
import numpy as np
import pytest
import torch

from cgprot.model import messages
from cgprot.model.potential import ModelConfig, Potential

INTERVALS = 512
SHAPES = {
    "O(3)": {},
    "SO(3), two layers": {"group": "SO(3)", "layers": 2},
    "no layer, odd channels": {"layers": 0, "channels": 9},
    "Gaussian, long cutoff": {"basis": "gauss", "cutoff": 7.3},
}


def potential_of(shape: str) -> Potential:
    torch.manual_seed(0)
    return Potential(ModelConfig(**{"channels": 16, "rbf": 12, "cutoff": 4.5, **SHAPES[shape]})).double()


def force_error(potential: Potential, intervals: int) -> float:
    """Largest deviation from the network's own forces, relative to the largest force."""
    graph = laws.graph_of(potential, laws.cluster(n_systems=4))
    exact = potential.energy_and_forces(graph)[1]
    with potential.network.tabulated(intervals):
        tabulated = potential.energy_and_forces(graph)[1]
    return float((tabulated - exact).abs().max() / exact.abs().max())


@pytest.mark.parametrize("shape", SHAPES)
def test_forces_from_tables_are_the_networks(shape):
    potential = potential_of(shape)
    assert force_error(potential, INTERVALS) < 1e-5
    assert force_error(potential, 8) > 1e-5


def test_the_error_falls_with_the_third_power_of_the_spacing():
    potential = potential_of("O(3)")
    errors = [force_error(potential, n) for n in (64, 128, 256, 512)]
    order = -np.polyfit(np.log([64, 128, 256, 512]), np.log(errors), 1)[0]
    assert 2.6 < order < 3.6


def test_single_precision_adds_no_more_than_its_rounding():
    exact, single = potential_of("O(3)"), potential_of("O(3)").float()
    graph = laws.graph_of(exact, laws.cluster(n_systems=4))
    forces = exact.energy_and_forces(graph)[1]
    with single.network.tabulated(INTERVALS):
        rounded = single.energy_and_forces(graph._replace(positions=graph.positions.float()))[1]
    assert (rounded - forces).abs().max() < 1e-5 * forces.abs().max()


LAWS = [
    laws.forces_are_the_slope_of_the_energy,
    laws.derivative_by_the_parameters_is_exact,
    laws.the_network_learns_from_every_value,
    laws.rotation_turns_every_value,
    laws.nothing_jumps_at_a_cutoff,
    laws.net_torque_vanishes,
    laws.a_single_bead_has_no_direction,
]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("shape", SHAPES)
def test_laws_hold_for_tables(law, shape):
    potential = potential_of(shape)
    with potential.network.tabulated(64):
        law(potential)


def test_wrong_slopes_break_the_parameter_gradient(monkeypatch):
    right = messages.MESSAGES
    wrong = (*right[:2], lambda *x: 1.1 * right[2](*x), right[3])
    monkeypatch.setattr(messages, "MESSAGES", wrong)
    potential = potential_of("O(3)")
    with potential.network.tabulated(64), pytest.raises(AssertionError):
        laws.derivative_by_the_parameters_is_exact(potential)


def test_tables_end_with_the_context():
    potential = potential_of("O(3)")
    graph = laws.graph_of(potential, laws.cluster())
    before = potential.energy_and_forces(graph)[1]
    with pytest.raises(ZeroDivisionError), potential.network.tabulated(16):
        raise ZeroDivisionError
    assert torch.equal(potential.energy_and_forces(graph)[1], before)


def test_a_pass_computes_only_what_is_used(monkeypatch):
    """Forces need no derivative by the weights, and the gradient none by the positions."""
    counts = {"table": 0, "weight": 0}

    def counted(slot, function):
        def call(*arguments):
            counts[slot] += 1
            return function(*arguments)

        return call

    w, T = 2, 3
    form = [*messages.EMBEDDING]
    form[T], form[w] = counted("table", form[T]), counted("weight", form[w])
    monkeypatch.setattr(messages, "EMBEDDING", tuple(form))
    potential = potential_of("O(3)")
    graph = laws.graph_of(potential, laws.cluster())
    with potential.network.tabulated(64):
        _, forces = potential.energy_and_forces(graph, create_graph=True)
    assert counts == {"table": 0, "weight": 1}
    (forces**2).sum().backward(inputs=list(potential.parameters()))
    assert counts == {"table": 3, "weight": 1}
