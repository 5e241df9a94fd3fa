"""A wider network that computes the same, and whose copies of a channel do not stay copies."""

import numpy as np
import pytest
import springs
import torch

from cgprot.errors import UsageError
from cgprot.model.graph import build_graph
from cgprot.model.potential import ModelConfig, Potential
from cgprot.train import loop, widen
from cgprot.train.metrics import read_metrics
from cgprot.train.widen import widened


@pytest.fixture(
    params=[{}, {"group": "SO(3)", "layers": 2}, {"layers": 0}, {"charge": "total", "spin": True}]
)
def potential(request):
    torch.manual_seed(0)
    return Potential(ModelConfig(channels=6, rbf=5, **request.param)).double()


@pytest.fixture
def graph():
    positions = springs.REST + np.random.default_rng(0).normal(scale=0.2, size=(2, 6, 3))
    inputs = {"total_charge": 1.0, "spin": 1.0}
    return build_graph(positions, springs.TYPES, 5.0, dtype=torch.float64, **inputs)


def compared(potential, wide, graph):
    return max(
        (a - b).abs().max()
        for a, b in zip(*(p.energy_and_forces(graph) for p in (potential, wide)), strict=True)
    )


@pytest.mark.parametrize("copies", [2, 3])
def test_it_computes_the_same(potential, graph, copies):
    wide = widened(potential, copies, seed=1)
    assert wide.config.channels == copies * 6
    assert compared(potential, wide, graph) < 1e-12


def test_comparison_catches_fractions_that_do_not_add_up(potential, graph, monkeypatch):
    fractions = widen._fractions
    monkeypatch.setattr(widen, "_fractions", lambda *given: 1.001 * fractions(*given))
    assert compared(potential, widened(potential, 2, seed=1), graph) > 1e-6


def spread_of_gradients(potential, graph):
    """Between the copies of the embedding's linear map of the scalar part, relative to their size."""
    energy = potential.energy(graph).sum()
    (gradient,) = torch.autograd.grad(energy, [potential.network.embedding.linear.parts[0].weight])
    first, second = gradient.unflatten(0, (2, -1))
    return ((first - second).norm() / gradient.norm()).item()


def test_copies_part_in_training(potential, graph, monkeypatch):
    assert spread_of_gradients(widened(potential, 2, seed=1), graph) > 0.1
    monkeypatch.setattr(widen, "_SPREAD", 0.0)
    assert spread_of_gradients(widened(potential, 2, seed=1), graph) < 1e-10


def test_training_begins_where_the_narrow_network_ended(tmp_path):
    springs.write_springs(tmp_path)
    narrow = loop.train(springs.run_config(tmp_path, steps=40, learning_rate=0.01), tmp_path / "narrow")
    config = springs.run_config(tmp_path, start=narrow, learning_rate=1e-12, warmup_steps=0, ema_decay=0.0)
    wider = config.model_copy(update={"model": config.model.model_copy(update={"channels": 48})})
    first = read_metrics(loop.train(wider, tmp_path / "wide"))[0].validation_force_rmse_kcal_mol_A
    assert first == pytest.approx(read_metrics(narrow)[-1].validation_force_rmse_kcal_mol_A, rel=1e-4)


@pytest.mark.parametrize(
    "changes", [{"channels": 24}, {"channels": 8}, {"channels": 32, "outputs": ("dipole",)}]
)
def test_other_numbers_of_channels_are_refused(tmp_path, changes):
    springs.write_springs(tmp_path)
    outputs = changes.get("outputs", ())
    narrow = loop.train(springs.run_config(tmp_path, steps=1, outputs=outputs), tmp_path / "narrow")
    config = springs.run_config(tmp_path, start=narrow, outputs=outputs)
    wider = config.model_copy(update={"model": config.model.model_copy(update=changes)})
    with pytest.raises(UsageError, match=r"has model\.channels 16, the configuration"):
        loop.train(wider, tmp_path / "wide")
    assert not (tmp_path / "wide").exists()
