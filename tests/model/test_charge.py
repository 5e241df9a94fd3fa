"""Charge and spin as inputs."""

import laws
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cgprot.errors import InputError
from cgprot.model.graph import build_graph
from cgprot.model.potential import ModelConfig, Potential

CHARGE = np.array([0, 1, 0, 0, -0.5, -0.5, 0, 0, 1, 0])


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
