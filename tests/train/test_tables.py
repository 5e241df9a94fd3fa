"""Steps take the edge networks from tables, validation runs them, and the weights learn the same."""

import pytest
import springs
import torch
from stopping import weights

from cgprot.model.edge_factor import EdgeNetwork
from cgprot.train import loop


@pytest.fixture
def data(tmp_path):
    springs.write_springs(tmp_path)
    return tmp_path


def trained(data, name, **settings):
    config = springs.run_config(data)
    config = config.model_copy(update={"train": config.train.model_copy(update=settings)})
    return config, loop.train(config, data / name)


def test_steps_use_tables_and_validation_does_not(data, monkeypatch):
    seen = []
    factors = EdgeNetwork.factors

    def noted(self, radial):
        seen.append((torch.is_grad_enabled() and radial[0].weight.requires_grad, self.intervals))
        return factors(self, radial)

    def of_layers(self, radial):
        return noted(self, radial) if isinstance(radial, torch.nn.Sequential) else factors(self, radial)

    monkeypatch.setattr(EdgeNetwork, "factors", of_layers)
    config, _ = trained(data, "run")
    assert set(seen) == {(True, 32 * config.model.rbf), (False, None)}


def test_weights_learn_the_same_without_tables(data):
    runs = [weights(trained(data, f"run_{n}", table_intervals=n)[1], "model.safetensors") for n in (32, 0, 1)]
    tables, exact, coarse = (torch.cat([w.flatten() for w in run.values()]) for run in runs)
    moved = (tables - exact).abs().max()
    assert 0 < moved < 1e-4
    assert (coarse - exact).abs().max() > 10 * moved
