"""MSE(label) = MSE(mean force) + Var(noise), and what is reported of it."""

import math

import numpy as np
import pytest
import springs
import torch

from cgprot.model.potential import ModelConfig, Potential
from cgprot.train.evaluate import force_errors
from cgprot.train.loss import ForceErrors, Objective


def errors_of(predicted, labels, noise):
    errors = ForceErrors()
    for part in zip(predicted.split(7000), labels.split(7000), noise.split(7000), strict=True):
        errors.add(*part)
    return errors


def add_noise_in_quadrature(sigma, stated):
    """rmse against noisy labels, and what the noise floor predicts for it."""
    generator = torch.Generator().manual_seed(0)
    mean, error, noise = torch.randn(3, 100_000, 3, generator=generator, dtype=torch.float64)
    predicted, labels = 5 * mean + 0.3 * error, 5 * mean + sigma * noise
    errors = errors_of(predicted, labels, torch.full_like(labels, stated))
    clean = errors_of(predicted, 5 * mean, torch.full_like(labels, stated))
    return errors.rmse**2, clean.rmse**2 + errors.noise_floor**2


def test_noise_floor_adds_in_quadrature():
    np.testing.assert_allclose(*add_noise_in_quadrature(sigma=0.8, stated=0.8), rtol=0.01)


def test_comparison_catches_a_standard_error_taken_for_a_variance():
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(*add_noise_in_quadrature(sigma=0.8, stated=0.8**2), rtol=0.01)


def test_sums_by_hand():
    errors = ForceErrors()
    errors.add(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0]), torch.tensor([3.0, 4.0]))
    errors.add(torch.tensor([0.0]), torch.tensor([2.0]), torch.tensor([5.0]))
    np.testing.assert_allclose(errors.rmse, math.sqrt((1 + 4 + 4) / 3))
    np.testing.assert_allclose(errors.mae, 5 / 3)
    np.testing.assert_allclose(errors.signal, math.sqrt(20 / 3))
    np.testing.assert_allclose(errors.noise_floor, math.sqrt(50 / 3))


def test_unknown_noise_gives_no_floor():
    errors = ForceErrors()
    errors.add(torch.ones(2), torch.ones(2), torch.tensor([1.0, math.nan]))
    assert math.isnan(errors.noise_floor)
    assert math.isnan(ForceErrors().rmse)


def test_loss_is_in_units_of_the_signal():
    objective = Objective({"forces": 1.0}, {"forces": 5.0})
    loss = objective.loss({"forces": torch.full((4, 3), 5.0)}, torch.zeros(4, 3), {"forces": 12})
    np.testing.assert_allclose(loss, 1.0)


def test_errors_by_entry_and_bead_type_add_up():
    entries = {"a/300/0": springs.spring_frames(9, 0, noise=0.5), "b/300/0": springs.spring_frames(3, 1)}
    torch.manual_seed(0)
    potential = Potential(ModelConfig(channels=8, rbf=8))
    rows = force_errors(potential, entries)
    (total,) = (row for row in rows if row.group == "all")
    assert total.n_components == 12 * 18
    for group, names in {
        "entry": ["a/300/0", "b/300/0"],
        "bead type": ["CH0", "CH1", "CH2", "NH1", "OH0"],
    }.items():
        parts = [row for row in rows if row.group == group]
        assert [row.name for row in parts] == names
        square = sum(row.n_components * row.rmse**2 for row in parts)
        np.testing.assert_allclose(math.sqrt(square / total.n_components), total.rmse)
    (first,) = (row for row in rows if row.name == "a/300/0")
    np.testing.assert_allclose(first.noise_floor, 0.5)
    np.testing.assert_allclose(first.signal, np.sqrt(np.mean(entries["a/300/0"].forces ** 2)), rtol=1e-6)
    assert math.isnan(total.noise_floor)
